//! All shards of a stack: one host.
//!
//! *Theory of operation.* Each shard has a stack, a lock and a driver of its own, and each device a queue for each of
//! them. A flow belongs to one shard ([`Sharding`]), and so does the socket at its end; whatever comes to another is handed
//! over ([`mailbox`](crate::mailbox)). Only a listener is served by all. The first shard runs where the stack was started,
//! each other on a thread of its own with a runtime for whoever wants to serve there what it owns.
//!
//! Locks are taken in this order: the names of bound sockets, one shard, a mailbox. Never two shards at once.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netloom_stack::Sharding;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use crate::interface_info::InterfaceInfo;
use crate::reservations::Reservations;
use crate::shard::{Ended, Shard, Shared};

thread_local! {
    /// Which shard this thread was made for.
    static SHARD_OF_THREAD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Says that the present thread is a shard's.
pub(crate) fn thread_serves(shard: usize) {
    SHARD_OF_THREAD.set(Some(shard));
}

/// The shards, and what only all of them together know.
#[derive(Debug)]
pub(crate) struct Host {
    shards: Arc<[Arc<Shared>]>,
    sharding: Sharding,
    /// What the interfaces were when it began: without their addresses.
    interfaces: Box<[InterfaceInfo]>,
    /// Tells whoever waits for addresses or for the last connection to look again.
    changed: Arc<Notify>,
    /// TCP ports that are taken by nothing but a name.
    reservations: Mutex<Reservations>,
    /// Where each shard's driver runs.
    runtimes: Vec<Handle>,
    /// Whose turn it is where no shard is nearer than the others.
    turn: AtomicUsize,
}

impl Host {
    /// `shards` share `changed`; the first is there.
    pub(crate) fn new(
        shards: Arc<[Arc<Shared>]>,
        sharding: Sharding,
        interfaces: Box<[InterfaceInfo]>,
        changed: Arc<Notify>,
        runtimes: Vec<Handle>,
    ) -> Self {
        let (reservations, turn) = (Mutex::default(), AtomicUsize::new(0));
        Self { shards, sharding, interfaces, changed, reservations, runtimes, turn }
    }

    pub(crate) fn shards(&self) -> &[Arc<Shared>] {
        &self.shards
    }

    /// What the interfaces were when it began: without their addresses.
    pub(crate) fn interfaces(&self) -> &[InterfaceInfo] {
        &self.interfaces
    }

    /// The shard that speaks for the host.
    pub(crate) fn first(&self) -> &Arc<Shared> {
        self.at(0)
    }

    /// The runtime of a shard's driver; shards are counted from 0, and around.
    #[expect(
        clippy::indexing_slicing,
        reason = "each shard has a runtime, and a remainder is below their number"
    )]
    pub(crate) fn runtime(&self, shard: usize) -> &Handle {
        &self.runtimes[shard % self.runtimes.len()]
    }

    /// The shard that a connection between these ends belongs to.
    pub(crate) fn owner_of_flow(&self, local: SocketAddr, remote: SocketAddr) -> &Arc<Shared> {
        self.at(self.sharding.owner_of_flow(local, remote).into())
    }

    /// The shard that a UDP port belongs to.
    pub(crate) fn owner_of_port(&self, port: u16) -> &Arc<Shared> {
        self.at(self.sharding.owner_of_port(port).into())
    }

    /// The shard whose thread this is, or else one after the other.
    pub(crate) fn nearest(&self) -> &Arc<Shared> {
        let has_one_thread =
            || Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::CurrentThread);
        match SHARD_OF_THREAD.get() {
            Some(index) if index < self.shards.len() => self.at(index),
            Some(_) | None if self.shards.len() == 1 || has_one_thread() => self.first(),
            Some(_) | None => self.at(self.turn.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The names of sockets that are bound. While this is held nobody else binds or listens.
    pub(crate) fn reservations(&self) -> MutexGuard<'_, Reservations> {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every shard.
    pub(crate) fn end(&self, why: Ended) {
        for shard in self.shards() {
            shard.end(why);
        }
    }

    /// Waits until `done` says so of all shards; they are asked again whenever something other than a socket's readiness
    /// changes.
    pub(crate) async fn wait_for(&self, done: impl Fn(&Shard) -> bool) {
        self.wait_until(|| self.shards.iter().all(|shard| shard.look(&done))).await;
    }

    /// The same for what no single shard knows.
    pub(crate) async fn wait_until(&self, done: impl Fn() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if done() {
                return;
            }
            changed.await;
        }
    }

    /// Shards are counted from 0, and around.
    #[expect(
        clippy::indexing_slicing,
        reason = "a host has at least one shard, and a remainder is below their number"
    )]
    fn at(&self, index: usize) -> &Arc<Shared> {
        &self.shards[index % self.shards.len()]
    }
}
