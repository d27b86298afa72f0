//! Sockets that ask for echoes, and hear the answers and the errors: what `ping` and `traceroute` need (RFC 792, RFC 4443 4).
//! Here are the calls on them; `echo_table.rs` keeps them.

use core::net::IpAddr;

use netloom_base::Instant;
use netloom_wire::{Icmpv4Message, Icmpv6Message, Protocol, is_same_family};

use crate::echo_table::{Delivery, EchoId, EchoMessage, EchoOpenError, EchoSendError};
use crate::event::OwnedIcmpError;
use crate::internet::Internet;
use crate::packet::{IpSend, NoRoute, SendError};

/// The most data that a request carries: what an IPv4 packet has room for behind its own and the ICMP header.
const MAX_DATA: usize = 65_535 - 28;

impl Internet {
    /// Opens an echo socket at `local`, one of our addresses or the unspecified one of a version of IP. `identifier` as
    /// asked, or one that is free.
    ///
    /// # Errors
    /// If another socket of that version of IP has the identifier, or there are too many.
    pub fn open_echo(&mut self, local: IpAddr, identifier: Option<u16>) -> Result<EchoId, EchoOpenError> {
        let identifier =
            identifier.unwrap_or_else(|| self.echo.free_identifier(local.is_ipv4(), &mut self.rng));
        self.echo.open(local, identifier)
    }

    /// Closes an echo socket: what comes for it is nobody's from now on.
    pub fn close_echo(&mut self, id: EchoId) {
        self.echo.close(id);
    }

    /// Where an echo socket is bound, and its identifier.
    pub fn echo_addr(&self, id: EchoId) -> Option<(IpAddr, u16)> {
        self.echo.sockets.get(id.0).map(|socket| (socket.local, socket.identifier))
    }

    /// TTL or hop limit of its requests from now on; `None`: the layer's own. `false` if there is no such socket.
    pub fn set_echo_hop_limit(&mut self, id: EchoId, hop_limit: Option<u8>) -> bool {
        self.echo.sockets.get_mut(id.0).map(|socket| socket.hop_limit = hop_limit).is_some()
    }

    /// What [`set_echo_hop_limit`](Self::set_echo_hop_limit) set, or else the layer's own.
    pub fn echo_hop_limit(&self, id: EchoId) -> Option<u8> {
        self.echo.sockets.get(id.0).map(|socket| socket.hop_limit.unwrap_or(self.config.hop_limit))
    }

    /// How many echo sockets there are.
    pub fn echo_count(&self) -> usize {
        self.echo.sockets.len()
    }

    /// Asks `remote` for an echo. Drain [`poll_transmit`](Self::poll_transmit) next.
    ///
    /// # Errors
    /// If nothing can be sent there.
    pub fn send_echo(
        &mut self,
        now: Instant,
        id: EchoId,
        remote: IpAddr,
        sequence: u16,
        data: &[u8],
    ) -> Result<(), EchoSendError> {
        let socket = self.echo.sockets.get(id.0).ok_or(EchoSendError::NoSocket)?;
        if !is_same_family(socket.local, remote) || remote.is_unspecified() {
            return Err(EchoSendError::InvalidRemote);
        }
        if data.len() > MAX_DATA {
            return Err(EchoSendError::TooLong);
        }
        let (identifier, hop_limit) = (socket.identifier, socket.hop_limit);
        let bound = Some(socket.local).filter(|local| !local.is_unspecified());
        let path = self.path(bound, remote).map_err(|error| match error {
            NoRoute::ForeignSource | NoRoute::Destination | NoRoute::NoSource => EchoSendError::NoRoute,
        })?;
        let (protocol, header) = match (path.source, remote) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let request = Icmpv6Message::EchoRequest { identifier, sequence, data };
                (Protocol::ICMPV6, request.to_header(source, destination))
            }
            (IpAddr::V4(_), _) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                let request = Icmpv4Message::EchoRequest { identifier, sequence, data };
                (Protocol::ICMP, request.to_header())
            }
        };
        let send = IpSend {
            source: path.source,
            destination: remote,
            protocol,
            hop_limit,
            traffic_class: 0,
            dont_fragment: false,
        };
        self.send(now, &send, &path, &[&header, data]).map_err(|error| match error {
            SendError::TooLong => EchoSendError::TooLong,
            SendError::QueueFull => EchoSendError::QueueFull,
            SendError::TooBig { .. } | SendError::FamilyMismatch => EchoSendError::InvalidRemote,
        })
    }

    /// The oldest message that came for an echo socket.
    pub fn recv_echo(&mut self, id: EchoId) -> Option<EchoMessage> {
        self.echo.pop(id)
    }

    /// Whether a message waits for an echo socket.
    pub fn has_echo(&self, id: EchoId) -> bool {
        self.echo.has_message(id)
    }

    /// The next echo socket for which something has come since it was told of last.
    pub fn poll_echo_event(&mut self) -> Option<EchoId> {
        self.echo.poll_event()
    }

    /// An answer for a socket; `false` if none is waiting for it.
    pub(crate) fn echo_reply(
        &mut self,
        local: IpAddr,
        from: IpAddr,
        (identifier, sequence): (u16, u16),
        hop_limit: u8,
        data: &[u8],
    ) -> bool {
        let message = EchoMessage::Reply { from, sequence, hop_limit, data: data.to_vec() };
        let delivery = self.echo.deliver(local, identifier, message);
        self.count_delivery(delivery);
        delivery != Delivery::NoSocket
    }

    fn count_delivery(&mut self, delivery: Delivery) {
        if delivery == Delivery::NoRoom {
            self.counters.events_dropped.increment();
        }
    }

    /// An error about a request of a socket; nothing, if it is about something else.
    pub(crate) fn echo_error(&mut self, error: &OwnedIcmpError) {
        let &[message_type, _, _, _, id_high, id_low, high, low, ..] = &error.quote[..] else { return };
        let is_request = (error.protocol, message_type) == (Protocol::ICMP, ECHO_REQUEST_V4)
            || (error.protocol, message_type) == (Protocol::ICMPV6, ECHO_REQUEST_V6);
        if is_request {
            let message = EchoMessage::Error {
                from: error.reporter,
                sequence: u16::from_be_bytes([high, low]),
                remote: error.destination,
                kind: error.kind,
            };
            let identifier = u16::from_be_bytes([id_high, id_low]);
            let delivery = self.echo.deliver(error.source, identifier, message);
            self.count_delivery(delivery);
        }
    }
}

/// What an echo request's first byte is (RFC 792).
const ECHO_REQUEST_V4: u8 = 8;
/// The same over IPv6 (RFC 4443 4.1).
const ECHO_REQUEST_V6: u8 = 128;
