//! Tasks that wait for a socket.

use std::collections::HashMap;
use std::future::poll_fn;
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

/// Polls until it is done. Dropped before, it calls `give_up`, which takes the task out of where it may be one of many.
pub(crate) async fn wait_for<R>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
    give_up: impl FnMut(&Waker),
) -> R {
    let mut patience = Patience { waker: None, give_up };
    poll_fn(|cx| {
        let polled = poll(cx);
        let is_known = || patience.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if polled.is_ready() {
            patience.waker = None;
        } else if !is_known() {
            patience.waker = Some(cx.waker().clone());
        }
        polled
    })
    .await
}

/// What is done when a task gives up.
struct Patience<F: FnMut(&Waker)> {
    /// The task, while it waits.
    waker: Option<Waker>,
    give_up: F,
}

impl<F: FnMut(&Waker)> Drop for Patience<F> {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.take() {
            (self.give_up)(&waker);
        }
    }
}

/// The one task, nearly always, that waits for each thing about a socket.
#[derive(Debug, Default)]
struct Waiting {
    read: Option<Waker>,
    write: Option<Waker>,
}

impl Waiting {
    fn place(&mut self, interest: Interest) -> &mut Option<Waker> {
        match interest {
            Interest::Read => &mut self.read,
            Interest::Write => &mut self.write,
        }
    }
}

/// Who waits for what. A task is listed once for each thing however often it asks; the first of a thing stays when it gives up,
/// which costs one needless wake-up.
///
/// *Limits.* 32 bytes a connection, whether somebody waits for it or not.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// Connections, by their position: there may be many, and each step of a conversation waits.
    connections: Vec<Waiting>,
    others: HashMap<SocketKey, Waiting>,
    /// Tasks beside the first that wait for the same thing.
    crowds: HashMap<(SocketKey, Interest), Vec<Waker>>,
    /// Those to be woken when the lock is gone.
    ready: Vec<Waker>,
}

impl Wakers {
    /// Lists `waker` until the next [`ready`](Self::ready) of the same thing.
    pub(crate) fn wait(&mut self, socket: SocketKey, interest: Interest, waker: &Waker) {
        let waiting = match socket {
            SocketKey::Tcp(id) => {
                if self.connections.len() <= id.index() {
                    self.connections.resize_with(id.index() + 1, Waiting::default);
                }
                self.connections.get_mut(id.index())
            }
            SocketKey::Listener(_) | SocketKey::Pending(_) | SocketKey::Icmp(_) | SocketKey::Udp(_) => {
                Some(self.others.entry(socket).or_default())
            }
        };
        let Some(place) = waiting.map(|waiting| waiting.place(interest)) else { return };
        match place {
            None => *place = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) => {
                let crowd = self.crowds.entry((socket, interest)).or_default();
                if !crowd.iter().any(|waiting| waiting.will_wake(waker)) {
                    crowd.push(waker.clone());
                }
            }
        }
    }

    /// Takes a task that waits no more out of the crowds. It is woken: it may wait for the same by another future.
    pub(crate) fn give_up(&mut self, socket: SocketKey, waker: &Waker) {
        if self.crowds.is_empty() {
            return;
        }
        for interest in [Interest::Read, Interest::Write] {
            let Some(crowd) = self.crowds.get_mut(&(socket, interest)) else { continue };
            if let Some(position) = crowd.iter().position(|waiting| waiting.will_wake(waker)) {
                self.ready.push(crowd.swap_remove(position));
            }
            if crowd.is_empty() {
                self.crowds.remove(&(socket, interest));
            }
        }
    }

    /// Marks all that wait for this to be woken.
    pub(crate) fn ready(&mut self, socket: SocketKey, interest: Interest) {
        let waiting = match socket {
            SocketKey::Tcp(id) => self.connections.get_mut(id.index()),
            SocketKey::Listener(_) | SocketKey::Pending(_) | SocketKey::Icmp(_) | SocketKey::Udp(_) => {
                self.others.get_mut(&socket)
            }
        };
        // There is a crowd only behind somebody.
        let Some(first) = waiting.and_then(|waiting| waiting.place(interest).take()) else { return };
        self.ready.push(first);
        if !self.crowds.is_empty()
            && let Some(mut crowd) = self.crowds.remove(&(socket, interest))
        {
            self.ready.append(&mut crowd);
        }
    }

    /// The same for everything about a socket.
    pub(crate) fn ready_all(&mut self, socket: SocketKey) {
        self.ready(socket, Interest::Read);
        self.ready(socket, Interest::Write);
    }

    /// Marks everybody.
    pub(crate) fn ready_everything(&mut self) {
        let others = self.others.drain().map(|(_, waiting)| waiting);
        for Waiting { read, write } in self.connections.drain(..).chain(others) {
            self.ready.extend(read.into_iter().chain(write));
        }
        for (_, mut crowd) in self.crowds.drain() {
            self.ready.append(&mut crowd);
        }
    }

    /// Forgets a socket that is gone; whoever still waits for it is woken.
    pub(crate) fn forget(&mut self, socket: SocketKey) {
        self.ready_all(socket);
        self.others.remove(&socket);
    }

    /// How many entries there are of sockets that somebody waits for, or of those beside connections has waited for. Walks the
    /// table.
    pub(crate) fn entry_count(&self) -> usize {
        let is_waited_for = |waiting: &&Waiting| waiting.read.is_some() || waiting.write.is_some();
        self.connections.iter().filter(is_waited_for).count()
            + self.others.len()
            + self.crowds.values().map(Vec::len).sum::<usize>()
    }

    /// Whom to wake, once the lock is gone.
    pub(crate) fn take_ready(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use netloom_stack::transport::{ListenOptions, SocketOptions, Tcp, TcpBind, TcpConfig};
    use netloom_stack::{Instant, InterfaceId, NextHop, PathInfo, Rng};

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection and a listener.
    fn sockets() -> [SocketKey; 2] {
        let mut tcp = Tcp::new(TcpConfig::default(), Rng::from_number(1));
        let interface = InterfaceId::new(0);
        let (source, remote) = ([10, 0, 0, 2].into(), SocketAddr::from(([10, 0, 0, 1], 80)));
        let next_hop = NextHop::Neighbor { interface, address: remote.ip() };
        let path = PathInfo { next_hop, source, mtu: 1500 };
        let options = SocketOptions::default();
        let connection = tcp.connect(Instant::ZERO, TcpBind::default(), &path, remote, &options).unwrap();
        let listener = tcp.listen(TcpBind::default(), ListenOptions::default()).unwrap();
        [SocketKey::Tcp(connection), SocketKey::Listener(listener)]
    }

    #[test]
    fn each_task_that_waits_for_a_thing_is_woken_once_for_it() {
        for socket in sockets() {
            let mut wakers = Wakers::default();
            let tasks: [Arc<Task>; 4] = Default::default();
            let woken = |wakers: &mut Wakers| {
                wakers.take_ready().into_iter().for_each(Waker::wake);
                tasks.each_ref().map(|task| task.0.swap(0, Ordering::Relaxed))
            };
            let list = |wakers: &mut Wakers| {
                for (task, interest) in
                    tasks.iter().zip([Interest::Read, Interest::Read, Interest::Read, Interest::Write])
                {
                    for _ in 0..2 {
                        wakers.wait(socket, interest, &Waker::from(Arc::clone(task)));
                    }
                }
            };
            wakers.ready_all(socket);
            assert_eq!(woken(&mut wakers), [0; 4]);
            list(&mut wakers);
            wakers.ready(socket, Interest::Read);
            assert_eq!(woken(&mut wakers), [1, 1, 1, 0]);
            wakers.ready(socket, Interest::Read);
            assert_eq!(woken(&mut wakers), [0; 4], "each time anew");
            list(&mut wakers);
            wakers.forget(socket);
            assert_eq!(woken(&mut wakers), [1; 4]);
            list(&mut wakers);
            wakers.ready_everything();
            assert_eq!(woken(&mut wakers), [1; 4]);
            wakers.ready_all(socket);
            assert_eq!(woken(&mut wakers), [0; 4]);
        }
    }
}
