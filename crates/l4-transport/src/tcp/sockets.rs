//! What a user does with connections: open, send, receive, shut down, close, abort (RFC 9293 3.9.1).

use core::net::{IpAddr, SocketAddr};

use netloom_base::{Instant, PathInfo, SharedBytes, SlabId};
use netloom_wire::{is_global_unicast_candidate, unspecified_like};
use tracing::trace;

use super::auto_cork::Corking;
use super::config::{SocketOptions, TcpBind, TcpConfig};
use super::congestion::Congestion;
use super::connection::{Connection, Context, Opening, Origin, Owner};
use super::demux::{Slot, Tables};
use super::error::{ConnectError, NoSuchSocket, SendError, TcpError};
use super::id::TcpSocketId;
use super::layer::Tcp;
use super::negotiation::mss_of_mtu;
use super::reason::{EndReason, SendBlockedBy};
use super::state::{Input, State};
use super::timers::Timer;
use super::tuple::FourTuple;

impl Tcp {
    /// Begins a connection to `remote` over `path`, from `local` or the path's source and an ephemeral port. It is done
    /// at [`TcpEvent::Connected`](super::TcpEvent::Connected) or [`Closed`](super::TcpEvent::Closed); drain
    /// `poll_transmit` to send the SYN. [9293 MUST-43, MUST-44, MUST-45] [1122-T037] [1122-T038]
    ///
    /// # Errors
    /// If the peer's address is none that one can connect to, the two ends are connected already, no port is free, or
    /// the table is full.
    pub fn connect(
        &mut self,
        now: Instant,
        local: TcpBind,
        path: &PathInfo,
        remote: SocketAddr,
        options: &SocketOptions,
    ) -> Result<TcpSocketId, ConnectError> {
        let source = local.address.unwrap_or(path.source);
        let is_host = |address| is_global_unicast_candidate(address) || address.is_loopback();
        // [9293 MUST-46] [1122-T039] [1122-T094]
        if !is_host(remote.ip()) || !is_host(source) || remote.port() == 0 {
            return Err(ConnectError::InvalidAddress);
        }
        if self.connections.is_full() {
            return Err(ConnectError::TableFull);
        }
        let tuple = |port| FourTuple {
            local_address: source,
            remote_address: remote.ip(),
            local_port: port,
            remote_port: remote.port(),
        };
        let port = if local.port == 0 {
            let Self { ports, demux, connections, time_waits, half_open, bound, config, .. } = self;
            let tables = Tables { connections, time_waits, half_open };
            let is_ours = |port| config.sharding.owns_flow(tuple(port).local(), remote);
            let is_listening = |port| {
                [None, Some(unspecified_like(source)), Some(source)]
                    .into_iter()
                    .any(|address| bound.contains(&TcpBind { address, port }))
            };
            ports
                .pick_towards(source, remote, |port| {
                    !is_ours(port) || demux.find(tables, &tuple(port)).is_some() || is_listening(port)
                })
                .map_err(|_| ConnectError::PortsExhausted)?
        } else {
            local.port
        };
        let tuple = tuple(port);
        if self.slot_of(&tuple).is_some() {
            return Err(ConnectError::AddressInUse);
        }
        let opening = Opening {
            tuple,
            iss: self.isn.sequence(now, &tuple),
            mtu: path.mtu,
            advertised_mss: mss_of_mtu(path.mtu, remote.ip()),
            ts_offset: self.isn.timestamp_offset(&tuple),
            options: *options,
        };
        let mut connection = Connection::new(now, &self.config, &opening, Origin::Active, Owner::User);
        connection.transition(Input::ActiveOpen, "connect");
        connection.dues.syn = true;
        connection.membership.in_demux = true;
        connection.membership.wants_output = true;
        if options.fast_open {
            self.prepare_fast_open(now, &mut connection);
        }
        let id = self.connections.insert(connection).map_err(|_| ConnectError::TableFull)?;
        self.demux.insert(&tuple, Slot::Connection(id));
        self.connected_from.add(Some(source), port);
        self.counters.active_opens.increment();
        self.settle(now, id);
        Ok(TcpSocketId(id))
    }

    /// A connection that its user still holds.
    pub(super) fn held(&self, id: TcpSocketId) -> Option<&Connection> {
        self.connections.get(id.0).filter(|connection| connection.owner == Owner::User)
    }

    /// Runs `work` on a connection that its user still holds.
    pub(super) fn with_held<R>(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        work: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        self.held(id)?;
        self.with_connection(now, id.0, work)
    }

    /// Whether the handshake is done, or the user may go on as if it were (RFC 7413): `false` while it runs.
    ///
    /// # Errors
    /// If the connection broke, or does not exist.
    pub fn connected(&self, id: TcpSocketId) -> Result<bool, TcpError> {
        let connection = self.held(id).ok_or(TcpError::ConnectionAborted)?;
        match connection.error() {
            Some(error) => Err(error),
            None => Ok(!matches!(connection.state, State::SynSent | State::SynReceived)
                || connection.is_fast_client()
                || connection.is_fast_server()),
        }
    }

    /// Takes bytes for sending, as many as there is room for; 0: wait for
    /// [`TcpEvent::Writable`](super::TcpEvent::Writable). During the handshake they wait for its end.
    ///
    /// # Errors
    /// After the sending side was shut down, or the connection has ended.
    pub fn send(&mut self, now: Instant, id: TcpSocketId, bytes: &[u8]) -> Result<usize, SendError> {
        let corks = self.auto_cork.is_on;
        self.with_held(now, id, |connection, cx| connection.write(cx, bytes, corks))
            .unwrap_or(Err(SendError::NotFound))
    }

    /// Takes `bytes` for sending without a copy, if there is room for some of them: all of them, or none, and says how many that
    /// was. Fewer than 64 KiB are copied. They are given back when all of them are acknowledged.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_shared(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        bytes: SharedBytes,
    ) -> Result<usize, SendError> {
        let corks = self.auto_cork.is_on;
        self.with_held(now, id, |connection, cx| connection.write_shared(cx, bytes, corks))
            .unwrap_or(Err(SendError::NotFound))
    }

    /// Whether [`send`](Self::send) would take something. If not, [`TcpEvent::Writable`](super::TcpEvent::Writable) comes
    /// when it is worth while again.
    ///
    /// # Errors
    /// What [`send`](Self::send) would fail with.
    pub fn has_room(&mut self, now: Instant, id: TcpSocketId) -> Result<bool, SendError> {
        self.with_held(now, id, |connection, cx| {
            // Nothing is written, but whatever keeps writers from writing is said.
            connection.check_writable()?;
            let has_room = connection.send_allowance(cx, 1) > 0
                && connection.sender.room(connection.congestion.window()) > 0;
            connection.sender.is_writer_waiting |= !has_room;
            Ok(has_room)
        })
        .unwrap_or(Err(SendError::NotFound))
    }

    /// The same, and marks the bytes as urgent, as far as they were taken (RFC 9293 3.8.5; RFC 6093 advises against).
    /// [9293 MUST-30, MUST-31]
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_urgent(&mut self, now: Instant, id: TcpSocketId, bytes: &[u8]) -> Result<usize, SendError> {
        self.with_held(now, id, |connection, cx| {
            let written = connection.write(cx, bytes, false)?;
            if written > 0 {
                connection.sender.urgent_end = Some(connection.sender.data_end());
            }
            Ok(written)
        })
        .unwrap_or(Err(SendError::NotFound))
    }

    /// Says that no more will be sent: after what was taken goes a FIN, be the peer's window as it may. Receiving goes
    /// on. Saying it twice changes nothing.
    ///
    /// # Errors
    /// If the connection broke.
    pub fn shutdown_write(&mut self, now: Instant, id: TcpSocketId) -> Result<(), SendError> {
        self.with_held(now, id, |connection, _| {
            if let Some(error) = connection.error() {
                return Err(SendError::Failed(error));
            }
            connection.finish_sending("shutdown");
            Ok(())
        })
        .unwrap_or(Err(SendError::NotFound))
    }

    /// Gives the socket back. What was taken for sending is still delivered, and the FIN after it; if received data is
    /// unread, the peer is told by a reset (RFC 9293 3.6.1, RFC 2525 2.17). The id is void from now on.
    pub fn close(&mut self, now: Instant, id: TcpSocketId) {
        self.with_held(now, id, Connection::close);
    }

    /// Ends the connection at once with a reset, and gives the socket back.
    pub fn abort(&mut self, now: Instant, id: TcpSocketId) {
        self.with_held(now, id, |connection, cx| {
            connection.owner = Owner::Nobody;
            connection.abort(cx, EndReason::Aborted);
            connection.receiver.release();
        });
    }

    /// Ends every connection of a local address that is lost to another host (RFC 5227 2.4). Walks the table.
    pub fn abort_local(&mut self, now: Instant, address: IpAddr) {
        self.abort_where(now, EndReason::AddressLost, |connection| connection.tuple.local_address == address);
    }

    fn abort_where(&mut self, now: Instant, reason: EndReason, is_meant: impl Fn(&Connection) -> bool) {
        let connections: Vec<SlabId> = self
            .connections
            .iter()
            .filter(|(_, connection)| is_meant(connection))
            .map(|(id, _)| id)
            .collect();
        for id in connections {
            self.with_connection(now, id, |connection, cx| connection.abort(cx, reason));
        }
    }

    /// Ends every connection with a reset, also those that nobody holds, and forgets handshakes and TIME-WAIT. Listeners
    /// stay. Walks the tables.
    pub fn abort_all(&mut self, now: Instant) {
        self.abort_where(now, EndReason::Aborted, |_| true);
        let half_open: Vec<SlabId> = self.half_open.iter().map(|(id, _)| id).collect();
        for id in half_open {
            self.fail_half_open(id, EndReason::Aborted);
        }
        let time_waits: Vec<SlabId> = self.time_waits.iter().map(|(id, _)| id).collect();
        for id in time_waits {
            self.remove_time_wait(id);
        }
    }

    /// Whether a connection, or what is left of one in TIME-WAIT, has the port of `local` at an address that is its or is
    /// covered by it. One that is over has none, and a handshake that a peer has begun has none yet.
    pub fn is_connected_from(&self, local: TcpBind) -> bool {
        self.connected_from.overlaps(local.address, local.port)
    }

    /// Why the connection broke, if it did.
    pub fn error(&self, id: TcpSocketId) -> Option<TcpError> {
        self.held(id)?.error()
    }

    /// Our end.
    pub fn local_addr(&self, id: TcpSocketId) -> Option<SocketAddr> {
        self.held(id).map(|connection| connection.tuple.local())
    }

    /// The peer's end.
    pub fn peer_addr(&self, id: TcpSocketId) -> Option<SocketAddr> {
        self.held(id).map(|connection| connection.tuple.remote())
    }

    /// Switches the Nagle algorithm off (`true`) or on. [9293 MUST-17] [1122-T065]
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_nodelay(&mut self, now: Instant, id: TcpSocketId, nodelay: bool) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            connection.settings.nodelay = nodelay;
            connection.membership.wants_output = true;
        })
        .ok_or(NoSuchSocket)
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    pub fn nodelay(&self, id: TcpSocketId) -> Option<bool> {
        self.held(id).map(|connection| connection.settings.nodelay)
    }

    /// Sets the cork (TCP_CORK): while it is set only full segments leave, and what is less waits for more, up to 200 ms.
    /// When it is taken out the rest leaves at once, and so it does before a FIN. Drain `poll_transmit` afterwards.
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_cork(&mut self, now: Instant, id: TcpSocketId, cork: bool) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            connection.dues.rest = connection.settings.cork && !cork && connection.sender.unsent_len() > 0;
            connection.settings.cork = cork;
            if !cork {
                connection.sender.corking = Corking::Off;
                connection.timers.clear(Timer::Cork);
            }
            connection.membership.wants_output = true;
        })
        .ok_or(NoSuchSocket)
    }

    /// Sets the TTL, or hop limit, of what is sent from now on.
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_hop_limit(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        hop_limit: Option<u8>,
    ) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| connection.settings.hop_limit = hop_limit).ok_or(NoSuchSocket)
    }

    /// Has what comes acknowledged at once for a while, or leaves acknowledgments to the answers (TCP_QUICKACK). As on
    /// Linux it is advice for now: what comes and goes next may change it back.
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_quickack(&mut self, now: Instant, id: TcpSocketId, quick: bool) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            let policy = &mut connection.receiver.ack_policy;
            if quick { policy.be_quick() } else { policy.be_slow() }
        })
        .ok_or(NoSuchSocket)
    }

    /// Whether the next segment is acknowledged at once, whatever its size.
    pub fn quickack(&self, id: TcpSocketId) -> Option<bool> {
        self.held(id).map(|connection| connection.receiver.ack_policy.is_quick())
    }

    /// Switches keep-alive on or off. [9293 MUST-24] [1122-T074]
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_keepalive(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        keepalive: Option<super::config::Keepalive>,
    ) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            connection.settings.set_keepalive(keepalive);
            connection.restart_keepalive(now);
        })
        .ok_or(NoSuchSocket)
    }

    /// Sets how long sent data may go unacknowledged; `None`: until R2. [9293 MUST-21] [1122-T068]
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_user_timeout(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        patience: Option<core::time::Duration>,
    ) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            connection.settings.set_user_timeout(patience);
            connection.restart_user_timeout(now);
        })
        .ok_or(NoSuchSocket)
    }

    /// Sets the congestion control; what the window is stays. [9293 MAY-18]
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_congestion(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        congestion: Congestion,
    ) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| {
            connection.settings.congestion = Some(congestion);
            connection.congestion.switch(congestion);
        })
        .ok_or(NoSuchSocket)
    }

    /// Sets the DSCP of what is sent from now on. [9293 MUST-48, SHLD-21, SHLD-22] [1122-T099]
    ///
    /// # Errors
    /// If the socket does not exist.
    pub fn set_traffic_class(
        &mut self,
        now: Instant,
        id: TcpSocketId,
        traffic_class: u8,
    ) -> Result<(), NoSuchSocket> {
        self.with_held(now, id, |connection, _| connection.settings.traffic_class = traffic_class)
            .ok_or(NoSuchSocket)
    }

    /// What the socket was told so far.
    pub fn options(&self, id: TcpSocketId) -> Option<SocketOptions> {
        self.held(id).map(|connection| connection.settings.options())
    }
}

impl Connection {
    /// `corks`: whether text may wait for the end of the round.
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8], corks: bool) -> Result<usize, SendError> {
        self.check_writable()?;
        let is_first = self.sender.unsent_len() == 0;
        let allowed = bytes.get(..self.send_allowance(cx, bytes.len())).unwrap_or(bytes);
        let written = self.sender.write(allowed, self.congestion.window(), cx.buffers);
        let is_cut_short = written < bytes.len();
        self.sender.is_writer_waiting |= is_cut_short;
        self.note_fullness(is_cut_short, corks);
        if written > 0 {
            self.on_written(cx, is_first);
        }
        Ok(written)
    }

    fn write_shared(
        &mut self,
        cx: &mut Context<'_>,
        bytes: SharedBytes,
        corks: bool,
    ) -> Result<usize, SendError> {
        self.check_writable()?;
        let is_first = self.sender.unsent_len() == 0;
        let len = (*bytes).as_ref().len();
        if len == 0 || self.send_allowance(cx, len) == 0 || self.sender.room(self.congestion.window()) == 0 {
            self.sender.is_writer_waiting |= len > 0;
            return Ok(0);
        }
        self.sender.write_shared(bytes, cx.buffers);
        self.note_fullness(false, corks);
        self.on_written(cx, is_first);
        Ok(len)
    }

    /// A writer that had more than there was room for, or that has left none, most likely goes on when there is some.
    fn note_fullness(&mut self, is_cut_short: bool, corks: bool) {
        self.sender.is_full = is_cut_short || self.sender.room(self.congestion.window()) == 0;
        let is_full = self.sender.is_full;
        self.sender.corking = if corks { self.sender.corking.after_write(is_full) } else { Corking::Off };
    }

    fn check_writable(&self) -> Result<(), SendError> {
        if let Some(error) = self.error() {
            return Err(SendError::Failed(error));
        }
        if self.sender.has_fin || self.is_over() { Err(SendError::Shutdown) } else { Ok(()) }
    }

    /// The user has written something; `is_first`: nothing waited before it.
    fn on_written(&mut self, cx: &mut Context<'_>, is_first: bool) {
        if is_first && !self.state.is_synchronized() {
            trace!(tuple = %self.tuple, was = %self.blocked_by, now = %SendBlockedBy::Handshake, "blocked by");
            cx.counters.count_blocked(SendBlockedBy::Handshake);
        }
        self.membership.wants_output |= self.state.is_synchronized() || self.may_send_early();
        if self.settings.user_timeout().is_some() && !self.timers.is_armed(Timer::UserTimeout) {
            self.restart_user_timeout(cx.now);
        }
    }

    /// The user has no more to send (RFC 9293 3.10.4): the FIN waits behind what was written.
    fn finish_sending(&mut self, cause: &'static str) {
        if self.sender.has_fin || self.is_over() {
            return;
        }
        self.sender.has_fin = true;
        self.membership.wants_output = true;
        match self.state {
            State::Established | State::CloseWait => self.transition(Input::Close, cause),
            // It follows when the handshake is done.
            State::Closed
            | State::Listen
            | State::SynSent
            | State::SynReceived
            | State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait => {}
        }
    }

    fn close(&mut self, cx: &mut Context<'_>) {
        self.owner = Owner::Nobody;
        let has_unread = !self.receiver.queue.is_empty();
        self.receiver.release();
        if self.is_over() {
            return;
        }
        if self.ends_by_closing() {
            self.end(cx, Input::Close, EndReason::ClosedInHandshake);
            return;
        }
        if has_unread {
            // [9293 SHLD-3, MAY-1] [1122-T044]
            self.abort(cx, EndReason::ClosedUnread);
            return;
        }
        self.finish_sending("close");
        self.limit_orphan(cx.now, cx.config);
    }

    /// Nobody holds it any more: what is left to do has a limit.
    fn limit_orphan(&mut self, now: Instant, config: &TcpConfig) {
        if self.state == State::FinWait2 {
            self.limit_fin_wait2(now, config);
        } else {
            self.timers.set(Timer::Lifetime, now + config.orphan_timeout);
        }
    }
}
