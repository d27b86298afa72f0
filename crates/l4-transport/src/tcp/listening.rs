//! What a user does with listeners: open, accept, close (RFC 9293 3.9.1.1).

use core::net::IpAddr;

use netloom_base::Instant;
use netloom_wire::unspecified_like;

use super::config::{ANY_PORT, ListenOptions, TcpBind};
use super::connection::{Notices, Owner};
use super::error::{ListenError, NoSuchSocket};
use super::id::{Accepted, TcpListenerId, TcpSocketId};
use super::layer::Tcp;
use super::listener::Listener;
use super::reason::EndReason;

impl Tcp {
    /// Waits for connections to `local`; port 0 stands for a free one. An unspecified address is every one of its version of
    /// IP, `None` every one of both. A listener on one address and one on any may share a port: the former goes first. Those
    /// that [share](ListenOptions::share) may have the same address too.
    /// [9293 MUST-41, MUST-42, MUST-43] [1122-T035] [1122-T036]
    ///
    /// # Errors
    /// If another listener has the same address and port, no port is free, or the table is full.
    pub fn listen(&mut self, local: TcpBind, options: ListenOptions) -> Result<TcpListenerId, ListenError> {
        let mut bind = local;
        if bind.port == 0 {
            let Self { ports, bound, .. } = self;
            let any_of_version = local.address.map(unspecified_like);
            let is_used = |port| {
                [None, any_of_version, local.address]
                    .into_iter()
                    .any(|address| bound.contains(&TcpBind { address, port }))
            };
            bind.port = ports.pick(is_used).map_err(|_| ListenError::PortsExhausted)?;
        }
        self.listen_at(bind, options)
    }

    /// Waits for connections to `address` (`None`: any) at every port that nobody else listens on. What it gets at an
    /// address that is not the host's own, the internet layer decides.
    ///
    /// # Errors
    /// If another such listener has the address, or the table is full.
    pub fn listen_any_port(
        &mut self,
        address: Option<IpAddr>,
        options: ListenOptions,
    ) -> Result<TcpListenerId, ListenError> {
        self.listen_at(TcpBind { address, port: ANY_PORT }, options)
    }

    fn listen_at(&mut self, bind: TcpBind, options: ListenOptions) -> Result<TcpListenerId, ListenError> {
        if self.bound.is_taken(&bind, options.share) {
            return Err(ListenError::AddressInUse);
        }
        let id = self.listeners.insert(Listener::new(bind, options)).map_err(|_| ListenError::TableFull)?;
        self.bound.insert(bind, options.share, id);
        self.listened_on.add(bind.address, bind.port);
        if !options.share {
            self.listened_on_alone.add(bind.address, bind.port);
        }
        Ok(TcpListenerId(id))
    }

    /// The next connection whose handshake is done, if any; otherwise wait for
    /// [`TcpEvent::Acceptable`](super::TcpEvent::Acceptable). It may have ended again by now: reading it tells.
    pub fn accept(&mut self, listener: TcpListenerId) -> Option<Accepted> {
        let waiting = self.listeners.get_mut(listener.0)?;
        let id = waiting.accept_queue.pop_front()?;
        let has_more = !waiting.accept_queue.is_empty();
        if has_more {
            self.notify_listener(listener.0);
        }
        let connection = self.connections.get_mut(id)?;
        connection.owner = Owner::User;
        connection.notices.take(Notices::CONNECTED);
        let tuple = connection.tuple;
        self.queue_notices(id);
        Some(Accepted { id: TcpSocketId(id), local: tuple.local(), remote: tuple.remote() })
    }

    /// Stops waiting: connections that nobody accepted are reset, handshakes are forgotten, the port is free. Accepted
    /// connections live on.
    pub fn close_listener(&mut self, now: Instant, listener: TcpListenerId) {
        let Some(mut closed) = self.listeners.remove(listener.0) else { return };
        self.bound.remove(&closed.bind, listener.0);
        self.listened_on.remove(closed.bind.address, closed.bind.port);
        if !closed.options.share {
            self.listened_on_alone.remove(closed.bind.address, closed.bind.port);
        }
        while let Some(entry) = closed.oldest_half_open(|entry| self.half_open.get(entry).is_some()) {
            self.fail_half_open(entry, EndReason::ListenerClosed);
        }
        // Those that somebody was told of are his to refuse.
        for entry in closed.fresh {
            self.fail_half_open(entry, EndReason::ListenerClosed);
        }
        for id in closed.accept_queue {
            self.with_connection(now, id, |connection, cx| {
                connection.owner = Owner::Nobody;
                connection.abort(cx, EndReason::ListenerClosed);
                connection.receiver.release();
            });
        }
    }

    /// What a listener was told so far.
    pub fn listener_options(&self, listener: TcpListenerId) -> Option<ListenOptions> {
        self.listeners.get(listener.0).map(|listener| listener.options)
    }

    /// Sets the TTL or hop limit of a listener's answers and of what its next connections begin with; `None`: the internet
    /// layer's own.
    ///
    /// # Errors
    /// If the listener does not exist.
    pub fn set_listener_hop_limit(
        &mut self,
        listener: TcpListenerId,
        hop_limit: Option<u8>,
    ) -> Result<(), NoSuchSocket> {
        let listener = self.listeners.get_mut(listener.0).ok_or(NoSuchSocket)?;
        listener.options.socket.hop_limit = hop_limit;
        Ok(())
    }

    /// Whether a listener waits on the port of `local` at an address that is its, covers it, or is covered by it.
    pub fn is_listened_on(&self, local: TcpBind) -> bool {
        self.listened_on.overlaps(local.address, local.port)
    }

    /// The same of listeners that do not [share](ListenOptions::share).
    pub fn is_listened_on_alone(&self, local: TcpBind) -> bool {
        self.listened_on_alone.overlaps(local.address, local.port)
    }

    /// The address and port that a listener waits on; port 0 is every port.
    pub fn listener_addr(&self, listener: TcpListenerId) -> Option<TcpBind> {
        self.listeners.get(listener.0).map(|listener| listener.bind)
    }

    /// The port that a listener waits on.
    pub fn listener_port(&self, listener: TcpListenerId) -> Option<u16> {
        self.listener_addr(listener).map(|bind| bind.port)
    }
}
