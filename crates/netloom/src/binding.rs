//! Which address and port a TCP socket may be bound to: the rules of Linux.
//!
//! Two sockets are in each other's way if they have the same port and either the same address or one of them every address
//! of that family; `[::]` is every address of both. Listeners are unless both share the port; sockets that only have been bound
//! are unless both share the port or both allow reuse of the address; connections, and what is left of them in TIME-WAIT, are
//! unless the newcomer allows either.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use netloom_stack::transport::{ListenOptions, TcpBind, TcpListenerId};

use crate::address::{canonical, wildcard};
use crate::error;
use crate::host::Host;
use crate::reservations::{ReservationId, Reservations, Reuse};
use crate::shard::Shared;
use crate::wakers::SocketKey;

fn check(
    host: &Host,
    reservations: &mut Reservations,
    address: SocketAddr,
    reuse: Reuse,
    own: Option<ReservationId>,
) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let bind = TcpBind { address: wildcard(address.ip()), port: address.port() };
    // All shards listen to the same.
    let is_listened_on = || {
        host.first().with(|shard, _| {
            let tcp = shard.stack.tcp();
            if reuse.port { tcp.is_listened_on_alone(bind) } else { tcp.is_listened_on(bind) }
        })
    };
    let is_connected =
        |shared: &Arc<Shared>| shared.with(|shard, _| shard.stack.tcp().is_connected_from(bind));
    let is_taken = reservations.is_taken(address, reuse, own)
        || is_listened_on()
        || reuse == Reuse::default() && host.shards().iter().any(is_connected);
    if is_taken { Err(ErrorKind::AddrInUse.into()) } else { Ok(()) }
}

/// Binds without listening; the address with its port, and what holds it.
pub(crate) fn reserve(
    host: &Host,
    address: SocketAddr,
    reuse: Reuse,
) -> io::Result<(ReservationId, SocketAddr)> {
    let mut reservations = host.reservations();
    let address = canonical(address);
    check_bindable(host, address)?;
    check(host, &mut reservations, address, reuse, None)?;
    let mut bound = address;
    if bound.port() == 0 {
        bound.set_port(free_port(host, &mut reservations, address.ip())?);
    }
    Ok((reservations.add(bound, reuse), bound))
}

/// Whether the host lives and has the address.
pub(crate) fn check_bindable(host: &Host, address: SocketAddr) -> io::Result<()> {
    host.first().look(|shard| {
        shard.check_open()?;
        shard.check_bindable(address.ip())
    })
}

/// A port that nobody listens on, nor has reserved.
fn free_port(host: &Host, reservations: &mut Reservations, address: IpAddr) -> io::Result<u16> {
    /// Ports are drawn at random: that so many are reserved is not chance.
    const ATTEMPTS: usize = 64;
    for _ in 0..ATTEMPTS {
        let port = host.first().with(|shard, now| {
            let mut tcp = shard.stack.tcp();
            let bind = TcpBind { address: wildcard(address), port: 0 };
            let id = tcp.listen(bind, ListenOptions::default()).map_err(error::of_listen)?;
            let port = tcp.listener_port(id).unwrap_or_default();
            // No frame has come in between: this lock is held.
            tcp.close_listener(now, id);
            Ok::<_, io::Error>(port)
        })?;
        if check(host, reservations, SocketAddr::new(address, port), Reuse::default(), None).is_ok() {
            return Ok(port);
        }
    }
    Err(ErrorKind::AddrInUse.into())
}

/// A shard's part of a listener. The port is the shard's until this is dropped.
#[derive(Debug)]
pub(crate) struct ListenerPart {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: TcpListenerId,
}

impl Drop for ListenerPart {
    fn drop(&mut self) {
        self.shared.with(|shard, now| {
            shard.stack.tcp().close_listener(now, self.id);
            shard.wakers.forget(SocketKey::Listener(self.id));
        });
    }
}

/// Listens on every shard; the address with its port.
pub(crate) fn listen(
    host: &Host,
    address: SocketAddr,
    options: ListenOptions,
    reuse: Reuse,
    own: Option<ReservationId>,
) -> io::Result<(Vec<ListenerPart>, SocketAddr)> {
    let mut reservations = host.reservations();
    let address = canonical(address);
    check_bindable(host, address)?;
    check(host, &mut reservations, address, reuse, own)?;
    let port =
        if address.port() == 0 { free_port(host, &mut reservations, address.ip())? } else { address.port() };
    let bind = TcpBind { address: wildcard(address.ip()), port };
    let options = ListenOptions { share: reuse.port, ..options };
    let listen = |shared: &Arc<Shared>| {
        let id = shared.with(|shard, _| shard.stack.tcp().listen(bind, options)).map_err(error::of_listen)?;
        Ok(ListenerPart { shared: Arc::clone(shared), id })
    };
    // If one refuses, those that did not stop again.
    let parts = host.shards().iter().map(listen).collect::<io::Result<Vec<_>>>()?;
    Ok((parts, SocketAddr::new(address.ip(), port)))
}
