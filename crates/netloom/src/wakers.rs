//! Tasks that wait for a socket.

use std::collections::HashMap;
use std::task::{Context, Poll, Waker, ready};

use netloom_stack::internet::EchoId;
use netloom_stack::transport::{TcpListenerId, TcpPendingId, TcpSocketId, UdpSocketId};
use tokio::task::coop::poll_proceed;

/// A socket of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SocketKey {
    Listener(TcpListenerId),
    Tcp(TcpSocketId),
    Pending(TcpPendingId),
    Icmp(EchoId),
    Udp(UdpSocketId),
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interest {
    /// Data, the end of the stream, or a connection to accept.
    Read,
    /// Room to send, or a handshake's end.
    Write,
}

/// Makes `attempt` unless the task has had its turn: as with tokio's sockets, one that always finds something ready lets the
/// others run now and then.
pub(crate) fn in_turn<R>(cx: &mut Context<'_>, attempt: impl FnOnce(&Waker) -> Poll<R>) -> Poll<R> {
    let turn = ready!(poll_proceed(cx));
    let outcome = attempt(cx.waker());
    if outcome.is_ready() {
        turn.made_progress();
    }
    outcome
}

/// Who waits for what. A task is listed once for each thing however often it asks; a task that went away costs one
/// needless wake-up, and its entry goes with it.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    waiting: HashMap<(SocketKey, Interest), Vec<Waker>>,
    /// Taken from `waiting`, to be woken when the lock is gone.
    ready: Vec<Waker>,
}

impl Wakers {
    /// Lists `waker` until the next [`ready`](Self::ready) of the same thing.
    pub(crate) fn wait(&mut self, socket: SocketKey, interest: Interest, waker: &Waker) {
        let wakers = self.waiting.entry((socket, interest)).or_default();
        if !wakers.iter().any(|waiting| waiting.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// Marks all that wait for this to be woken.
    pub(crate) fn ready(&mut self, socket: SocketKey, interest: Interest) {
        if let Some(wakers) = self.waiting.get_mut(&(socket, interest)) {
            self.ready.append(wakers);
        }
    }

    /// The same for everything about a socket.
    pub(crate) fn ready_all(&mut self, socket: SocketKey) {
        self.ready(socket, Interest::Read);
        self.ready(socket, Interest::Write);
    }

    /// Marks everybody.
    pub(crate) fn ready_everything(&mut self) {
        for (_, mut wakers) in self.waiting.drain() {
            self.ready.append(&mut wakers);
        }
    }

    /// Forgets a socket that is gone; whoever still waits for it is woken.
    pub(crate) fn forget(&mut self, socket: SocketKey) {
        for interest in [Interest::Read, Interest::Write] {
            if let Some(mut wakers) = self.waiting.remove(&(socket, interest)) {
                self.ready.append(&mut wakers);
            }
        }
    }

    /// Whom to wake, once the lock is gone.
    pub(crate) fn take_ready(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.ready)
    }
}
