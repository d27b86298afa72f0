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
    /// A connection's news that ends nothing.
    Report,
}

/// How a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Through what only one can hold at a time, such as `&mut` of a stream: who asks takes the place of who asked before, as
    /// with tokio's sockets. So what a task leaves behind when it drops its future is one entry, however many tasks do.
    Sole,
    /// As one of any number.
    Shared,
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
        let is_known = || patience.waker.as_ref().is_some_and(|waker| is_same(waker, cx.waker()));
        if polled.is_ready() {
            patience.waker = None;
        } else if !is_known() {
            patience.waker = Some(cx.waker().clone());
        }
        polled
    })
    .await
}

/// Whether both wake the same task. [`Waker::will_wake`] compares where the tables of functions are, of which the compiler may
/// have made two: so a clone of the waker of tokio's `block_on` may be another than the waker itself, and the task that the
/// runtime was started with would be listed anew each time that it asks.
fn is_same(one: &Waker, other: &Waker) -> bool {
    one.data() == other.data() && one.vtable() == other.vtable()
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
    /// `None`: few wait for it, and all are of the crowd.
    fn place(&mut self, interest: Interest) -> Option<&mut Option<Waker>> {
        match interest {
            Interest::Read => Some(&mut self.read),
            Interest::Write => Some(&mut self.write),
            Interest::Report => None,
        }
    }
}

/// Which of the two that wait is the [sole](Claim::Sole) one: two bytes, in a table of their own, as six more would be empty.
#[derive(Clone, Copy, Debug, Default)]
struct Claims {
    read_is_sole: bool,
    write_is_sole: bool,
}

impl Claims {
    fn of(&mut self, interest: Interest) -> Option<&mut bool> {
        match interest {
            Interest::Read => Some(&mut self.read_is_sole),
            Interest::Write => Some(&mut self.write_is_sole),
            Interest::Report => None,
        }
    }
}

/// Who waits for what. A task is listed once for each thing however often it asks, and once more as the [sole](Claim::Sole) one;
/// the first of a thing stays when it gives up, which costs one needless wake-up.
///
/// *Limits.* 34 bytes a connection, whether somebody waits for it or not.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// Connections, by their position: there may be many, and each step of a conversation waits.
    connections: Vec<Waiting>,
    claims: Vec<Claims>,
    others: HashMap<SocketKey, (Waiting, Claims)>,
    /// Tasks beside the first that wait for the same thing, and all that wait for a report.
    crowds: HashMap<(SocketKey, Interest), Vec<(Waker, Claim)>>,
    /// Those to be woken when the lock is gone.
    ready: Vec<Waker>,
}

impl Wakers {
    /// Lists `waker`, one of any number, until the next [`ready`](Self::ready) of the same thing.
    pub(crate) fn wait(&mut self, socket: SocketKey, interest: Interest, waker: &Waker) {
        self.wait_as(Claim::Shared, socket, interest, waker);
    }

    /// The same with this claim.
    pub(crate) fn wait_as(&mut self, claim: Claim, socket: SocketKey, interest: Interest, waker: &Waker) {
        if interest == Interest::Report {
            return self.join_crowd(claim, socket, interest, waker);
        }
        let (waiting, claims) = match socket {
            SocketKey::Tcp(id) => {
                if self.connections.len() <= id.index() {
                    self.connections.resize_with(id.index() + 1, Waiting::default);
                    self.claims.resize_with(id.index() + 1, Claims::default);
                }
                (self.connections.get_mut(id.index()), self.claims.get_mut(id.index()))
            }
            SocketKey::Listener(_) | SocketKey::Pending(_) | SocketKey::Icmp(_) | SocketKey::Udp(_) => {
                let (waiting, claims) = self.others.entry(socket).or_default();
                (Some(waiting), Some(claims))
            }
        };
        let place = waiting.and_then(|waiting| waiting.place(interest));
        let is_sole = claims.and_then(|claims| claims.of(interest));
        let (Some(place), Some(is_sole)) = (place, is_sole) else { return };
        let first_claim = if *is_sole { Claim::Sole } else { Claim::Shared };
        match place {
            None => (*place, *is_sole) = (Some(waker.clone()), claim == Claim::Sole),
            Some(first) if first_claim == claim && is_same(first, waker) => {}
            Some(first) if first_claim == claim && claim == Claim::Sole => first.clone_from(waker),
            Some(_) => self.join_crowd(claim, socket, interest, waker),
        }
    }

    fn join_crowd(&mut self, claim: Claim, socket: SocketKey, interest: Interest, waker: &Waker) {
        let crowd = self.crowds.entry((socket, interest)).or_default();
        let is_listed = |(listed, as_whom): &&mut (Waker, Claim)| {
            *as_whom == claim && (claim == Claim::Sole || is_same(listed, waker))
        };
        match crowd.iter_mut().find(is_listed) {
            Some((listed, _)) => listed.clone_from(waker),
            None => crowd.push((waker.clone(), claim)),
        }
    }

    /// Takes a task that waits no more out of the crowds. It is woken: it may wait for the same by another future.
    pub(crate) fn give_up(&mut self, socket: SocketKey, waker: &Waker) {
        if self.crowds.is_empty() {
            return;
        }
        for interest in [Interest::Read, Interest::Write, Interest::Report] {
            let Some(crowd) = self.crowds.get_mut(&(socket, interest)) else { continue };
            let is_it =
                |(waiting, claim): &(Waker, Claim)| *claim == Claim::Shared && is_same(waiting, waker);
            if let Some(position) = crowd.iter().position(is_it) {
                self.ready.push(crowd.swap_remove(position).0);
            }
            if crowd.is_empty() {
                self.crowds.remove(&(socket, interest));
            }
        }
    }

    /// Marks all that wait for this to be woken.
    pub(crate) fn ready(&mut self, socket: SocketKey, interest: Interest) {
        if interest != Interest::Report {
            let waiting = match socket {
                SocketKey::Tcp(id) => self.connections.get_mut(id.index()),
                SocketKey::Listener(_) | SocketKey::Pending(_) | SocketKey::Icmp(_) | SocketKey::Udp(_) => {
                    self.others.get_mut(&socket).map(|(waiting, _)| waiting)
                }
            };
            // There is a crowd only behind somebody.
            let place = waiting.and_then(|waiting| waiting.place(interest));
            let Some(first) = place.and_then(Option::take) else { return };
            self.ready.push(first);
        }
        if !self.crowds.is_empty()
            && let Some(crowd) = self.crowds.remove(&(socket, interest))
        {
            self.ready.extend(crowd.into_iter().map(|(waker, _)| waker));
        }
    }

    /// The same for everything about a socket.
    pub(crate) fn ready_all(&mut self, socket: SocketKey) {
        self.ready(socket, Interest::Read);
        self.ready(socket, Interest::Write);
        self.ready(socket, Interest::Report);
    }

    /// Marks everybody.
    pub(crate) fn ready_everything(&mut self) {
        let others = self.others.drain().map(|(_, (waiting, _))| waiting);
        self.claims.clear();
        for Waiting { read, write } in self.connections.drain(..).chain(others) {
            self.ready.extend(read.into_iter().chain(write));
        }
        for (_, crowd) in self.crowds.drain() {
            self.ready.extend(crowd.into_iter().map(|(waker, _)| waker));
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
                    tasks.iter().zip([Interest::Read, Interest::Read, Interest::Write, Interest::Report])
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
            assert_eq!(woken(&mut wakers), [1, 1, 0, 0]);
            wakers.ready(socket, Interest::Report);
            assert_eq!(woken(&mut wakers), [0, 0, 0, 1]);
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

    #[test]
    fn who_holds_a_stream_alone_is_one_entry_beside_those_who_share_it() {
        for socket in sockets() {
            // The sole one comes first, or last, and is another task each time.
            for order in [[0, 1, 2, 3], [3, 0, 1, 2]] {
                let mut wakers = Wakers::default();
                let tasks: [Arc<Task>; 4] = Default::default();
                let mut wait = |task: usize, claim| {
                    let waker = Waker::from(Arc::clone(&tasks[task]));
                    wakers.wait_as(claim, socket, Interest::Read, &waker);
                };
                for task in order {
                    wait(task, if task == 3 { Claim::Shared } else { Claim::Sole });
                }
                // The task that shares it holds it alone as well for a while.
                wait(3, Claim::Sole);
                wait(2, Claim::Sole);
                assert_eq!(wakers.entry_count(), 2);
                wakers.ready(socket, Interest::Read);
                wakers.take_ready().into_iter().for_each(Waker::wake);
                assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [0, 0, 1, 1]);
            }
        }
    }
}
