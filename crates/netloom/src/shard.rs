//! One stack, its devices and whoever waits for it, behind one lock.
//!
//! # Theory of operation
//! Whoever has work for the stack (the driver task with frames, a socket call with bytes) takes the lock, does it,
//! sends what came of it to the devices, collects whom to wake, and wakes them after the lock is gone. So a `write` is on
//! the wire when it returns, and nobody waits for another task to be scheduled. The lock is held for one batch and
//! never across an await.
//!
//! Three things wait for those who are about to run: the acknowledgment of a small segment, for its answer, the end of what
//! a writer in bulk has written, for what it writes next, and a datagram, for those that follow it ([`Hold`]). The driver's next
//! turn is the end of such a round; whoever makes something wait rings for it, if it is not coming anyway.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use netloom_device::{Queue, RxFrame};
use netloom_stack::transport::{TcpEvent, UdpEvent};
use netloom_stack::{DropReason, Event, HeadBuf, Instant, InterfaceId, PIECE_LEN, Stack};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::batch::{Batch, Batches, Depth};
use crate::burst::{Burst, StalledFrame};
use crate::error;
use crate::hold::Hold;
use crate::mailbox::{GroupChange, Mail, Mailbox, Post};
use crate::owned::Tray;
use crate::receive_buffer;
use crate::report::Reports;
use crate::wakers::{Interest, SocketKey, Wakers};

const _: () = assert!(PIECE_LEN >= netloom_device::RECEIVE_BUFFER_LEN, "every frame fits");

/// What the stack's users share.
#[derive(Debug)]
pub(crate) struct Shared {
    shard: Mutex<Shard>,
    /// Of all shards of the host.
    mailboxes: Arc<[Mailbox]>,
    /// Which of them is this shard's.
    index: usize,
    /// Tells whoever waits for addresses or for the last connection to look again.
    changed: Arc<Notify>,
}

pub(crate) struct Shard {
    pub(crate) stack: Stack,
    pub(crate) wakers: Wakers,
    pub(crate) reports: Reports,
    post: Post,
    devices: Vec<Box<dyn Queue>>,
    /// How many frames come from each.
    batches: Vec<Batches>,
    origin: tokio::time::Instant,
    head: HeadBuf,
    /// Where the next frame of each goes.
    receive_buffers: Vec<Box<[u8]>>,
    /// Where buffers come back that readers took.
    pub(crate) tray: Tray,
    /// A frame that its device did not take.
    stalled: Option<StalledFrame>,
    /// A burst ended before everything was sent, or datagrams are held, or not all know yet that the device holds them up.
    has_more_to_send: bool,
    /// Which datagrams those are.
    pub(crate) hold: Hold,
    /// What was sent since the devices were read.
    unseen: Burst,
    /// The driver comes back as soon as others have run: nobody has to ring for the end of the round.
    is_driver_coming: bool,
    /// When the driver wakes up by itself.
    armed: Option<Instant>,
    /// Somebody waits for the last connection to end: every change is news.
    pub(crate) is_draining: bool,
    /// Set once: why nothing works any more.
    pub(crate) ended: Option<Ended>,
    /// The driver holds the devices' descriptors no more.
    pub(crate) has_no_driver: bool,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Why a shard does nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was shut down.
    ShutDown,
    /// Its device failed.
    DeviceFailed(io::ErrorKind),
}

/// Which devices a turn reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// None: nothing is known to be there.
    Nowhere,
    /// One that was said to be readable.
    At(InterfaceId),
    /// All: nobody has asked since the last turn.
    Everywhere,
}

/// What the driver has to do after a turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// When it began.
    pub(crate) at: tokio::time::Instant,
    /// There is more to read or to send, or somebody may answer: come back when the others have run.
    pub(crate) is_unfinished: bool,
    /// Frames that were read.
    pub(crate) frame_count: usize,
    /// When to come back at the latest.
    pub(crate) deadline: Option<tokio::time::Instant>,
    /// The device to wait for before sending goes on.
    pub(crate) stalled: Option<InterfaceId>,
    /// Never come back.
    pub(crate) has_ended: bool,
}

impl Shared {
    /// A shard of the host whose `mailboxes` and `changed` these are.
    pub(crate) fn new(
        mut stack: Stack,
        devices: Vec<Box<dyn Queue>>,
        mailboxes: Arc<[Mailbox]>,
        changed: Arc<Notify>,
    ) -> Self {
        let index = usize::from(stack.sharding().index());
        stack.auto_cork(true);
        let receive_buffers = devices.iter().map(|device| receive_buffer::fitting(&device.caps())).collect();
        Self {
            shard: Mutex::new(Shard {
                stack,
                wakers: Wakers::default(),
                reports: Reports::default(),
                post: Post::new(Arc::clone(&mailboxes), index),
                batches: vec![Batches::default(); devices.len()],
                devices,
                origin: tokio::time::Instant::now(),
                head: HeadBuf::new(),
                receive_buffers,
                tray: Tray::default(),
                stalled: None,
                has_more_to_send: false,
                hold: Hold::default(),
                unseen: Burst::default(),
                is_driver_coming: false,
                armed: None,
                is_draining: false,
                ended: None,
                has_no_driver: false,
            }),
            mailboxes,
            index,
            changed,
        }
    }

    /// Which shard of the host it is.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Tells the driver that its deadline has moved, or that it should end.
    pub(crate) async fn rung(&self) {
        match self.mailboxes.get(self.index) {
            Some(mailbox) => mailbox.driver.notified().await,
            None => std::future::pending().await,
        }
    }

    fn ring(&self, shard: usize) {
        if let Some(mailbox) = self.mailboxes.get(shard) {
            mailbox.driver.notify_one();
        }
    }

    /// Does `work` under the lock, sends what came of it, and wakes whom it concerns.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Shard, Instant) -> R) -> R {
        self.work_on(self.lock(), work)
    }

    /// The same, unless `is_idle` says that nothing would come of it.
    pub(crate) fn with_unless<R>(
        &self,
        is_idle: impl FnOnce(&mut Shard) -> bool,
        work: impl FnOnce(&mut Shard, Instant) -> R,
    ) -> Option<R> {
        let mut shard = self.lock();
        if is_idle(&mut shard) { None } else { Some(self.work_on(shard, work)) }
    }

    /// Takes something that was received, of which nothing else comes.
    pub(crate) fn take<R>(&self, take: impl FnOnce(&mut Shard) -> R) -> R {
        take(&mut self.lock())
    }

    fn work_on<R>(&self, mut shard: MutexGuard<'_, Shard>, work: impl FnOnce(&mut Shard, Instant) -> R) -> R {
        let now = shard.now();
        let result = work(&mut shard, now);
        if shard.hold.decide(now) {
            // Nothing has come of it but the datagram, for which the driver comes if nobody else does.
            let is_first = !std::mem::replace(&mut shard.has_more_to_send, true);
            drop(shard);
            if is_first {
                self.ring(self.index);
            }
            return result;
        }
        let mut news = shard.settle(now);
        if shard.unseen.is_over() && shard.ended.is_none() {
            // What is acknowledged makes room for more: see before the next call.
            shard.receive_from(now, Look::Everywhere, Depth::Full);
            news = news.max(shard.settle(now));
        }
        let deadline = shard.stack.poll_timeout();
        let is_earlier = match (deadline, shard.armed) {
            (Some(deadline), Some(armed)) => deadline < armed,
            (Some(_), None) => true,
            (None, Some(_) | None) => false,
        };
        let starts_round = !shard.is_driver_coming && shard.stack.awaits_round();
        shard.is_driver_coming |= starts_round;
        let must_wake_driver =
            is_earlier || shard.stalled.is_some() || shard.has_more_to_send || starts_round;
        let told = shard.take_told(news);
        drop(shard);
        self.tell(told);
        if must_wake_driver {
            self.ring(self.index);
        }
        result
    }

    /// A task waits for the socket no more.
    pub(crate) fn give_up(&self, socket: SocketKey, waker: &Waker) {
        let mut shard = self.lock();
        shard.wakers.give_up(socket, waker);
        let woken = shard.wakers.take_ready();
        drop(shard);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Looks at the shard without changing anything.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Shard) -> R) -> R {
        look(&self.lock())
    }

    /// The driver's turn: timers, frames from the devices that `look` names, and all that comes of them.
    pub(crate) fn turn(&self, look: Look) -> Turn {
        let mut shard = self.lock();
        let now = shard.now();
        if shard.stack.poll_timeout().is_some_and(|deadline| deadline <= now) {
            shard.stack.handle_timeout(now);
        }
        shard.stack.end_round(now);
        shard.stack.await_answers(true);
        let mailed = shard.read_mail(now);
        let Received { frame_count, has_more } = shard.receive_from(now, look, Depth::Expected);
        shard.stack.await_answers(false);
        let news = mailed.news.max(shard.settle(now));
        shard.armed = shard.stack.poll_timeout();
        // More timers have run out than are looked after in one turn.
        let is_late = shard.armed.is_some_and(|deadline| deadline <= now);
        let has_work = has_more || shard.post.has_mail() || shard.has_more_to_send || is_late;
        if !has_work {
            shard.flush();
        }
        shard.is_driver_coming = has_work || shard.stack.awaits_round();
        let turn = Turn {
            at: shard.to_tokio(now),
            is_unfinished: shard.is_driver_coming,
            frame_count: frame_count + mailed.frame_count,
            deadline: shard.armed.map(|deadline| shard.to_tokio(deadline)),
            stalled: shard.stalled.as_ref().map(|frame| frame.interface),
            has_ended: shard.ended.is_some(),
        };
        let told = shard.take_told(news);
        drop(shard);
        self.tell(told);
        turn
    }

    /// Ends everything: sockets fail from now on, the driver stops, the devices are closed.
    pub(crate) fn end(&self, why: Ended) {
        let mut shard = self.lock();
        let now = shard.now();
        // As many bursts as it takes: resets that were just queued. Each sends something, so this ends.
        while shard.has_more_to_send && shard.ended.is_none() {
            shard.transmit(now);
        }
        shard.end(why);
        let told = shard.take_told(News::Some);
        drop(shard);
        self.tell(told);
        self.ring(self.index);
    }

    /// The driver has ended, and holds no descriptor any more.
    pub(crate) fn driver_has_left(&self) {
        self.lock().has_no_driver = true;
        self.changed.notify_waiters();
    }

    fn tell(&self, told: Told) {
        let Told { wakers, rings, news } = told;
        for waker in wakers {
            waker.wake();
        }
        for shard in rings {
            self.ring(shard);
        }
        if news == News::Some {
            self.changed.notify_waiters();
        }
    }

    /// A panic under the lock has been reported already; the stack's own state is checked by its own assertions.
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What reading devices gave.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    frame_count: usize,
    /// The end was not found.
    has_more: bool,
}

/// What the other shards sent.
#[derive(Clone, Copy, Debug)]
struct Mailed {
    frame_count: usize,
    news: News,
}

/// Whom to tell what, once the lock is gone.
struct Told {
    wakers: Vec<Waker>,
    /// Shards that have mail.
    rings: Vec<usize>,
    news: News,
}

/// Whether something happened that no socket waits for: an address became ready, a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    None,
    Some,
}

impl Shard {
    /// Whether sockets still work.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        match self.ended {
            None => Ok(()),
            Some(Ended::ShutDown) => Err(error::gone()),
            Some(Ended::DeviceFailed(kind)) => Err(kind.into()),
        }
    }

    /// Whether a socket may be bound to `address`.
    pub(crate) fn check_bindable(&self, address: IpAddr) -> io::Result<()> {
        let internet = self.stack.internet();
        if address.is_unspecified() || address.is_multicast() || internet.may_send_from(address) {
            Ok(())
        } else {
            Err(io::ErrorKind::AddrNotAvailable.into())
        }
    }

    /// How many interfaces there are.
    pub(crate) fn device_count(&self) -> usize {
        self.devices.len()
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn to_tokio(&self, instant: Instant) -> tokio::time::Instant {
        self.origin + instant.saturating_since(Instant::ZERO)
    }

    fn receive_from(&mut self, now: Instant, look: Look, depth: Depth) -> Received {
        let mut received = Received::default();
        self.unseen = Burst::default();
        while let Some(buffer) = self.tray.take() {
            self.stack.tcp().give_back(buffer);
        }
        for (index, _) in (0..).zip(0..self.devices.len()) {
            let interface = InterfaceId::new(index);
            if look == Look::Everywhere || look == Look::At(interface) {
                let (batch, found_end) = self.receive(now, interface, depth);
                if let Some(batches) = self.batches.get_mut(interface.index()) {
                    batches.on_turn(batch, depth, found_end);
                }
                received.frame_count += batch.frame_count;
                received.has_more |= !found_end;
            }
        }
        received
    }

    /// Takes what the other shards sent.
    fn read_mail(&mut self, now: Instant) -> Mailed {
        let Some(Mail { handovers, addresses, groups, .. }) = self.post.take() else {
            return Mailed { frame_count: 0, news: News::None };
        };
        let news = if addresses.is_some() { News::Some } else { News::None };
        if let Some(addresses) = addresses {
            self.stack.adopt_addresses(now, &addresses);
        }
        for change in groups {
            match change {
                GroupChange::Joined(interface, group) => self.stack.join_group(now, interface, group),
                GroupChange::Left(interface, group) => self.stack.leave_group(now, interface, group),
            }
        }
        let frame_count = handovers.len();
        for handover in handovers {
            self.stack.take_over(now, handover);
        }
        self.post.hand_over(&mut self.stack);
        Mailed { frame_count, news }
    }

    /// Takes a batch of frames, and says whether the end was found.
    fn receive(&mut self, now: Instant, interface: InterfaceId, depth: Depth) -> (Batch, bool) {
        let mut batch = Batch::default();
        while self.batches.get(interface.index()).is_some_and(|it| it.goes_on(batch, depth)) {
            let device = self.devices.get_mut(interface.index());
            let Some((device, buffer)) = device.zip(self.receive_buffers.get_mut(interface.index())) else {
                return (batch, true);
            };
            match device.recv(buffer) {
                Ok(RxFrame { range, meta }) => {
                    batch.frame_count += 1;
                    batch.byte_count += range.len();
                    self.stack.handle_buffer(now, interface, buffer, range, meta);
                    self.post.hand_over(&mut self.stack);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (batch, true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => batch.frame_count += 1,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    batch.frame_count += 1;
                    receive_buffer::make_long(buffer);
                    self.stack.drop_packet(DropReason::DeviceBadFrame, interface, 0);
                }
                Err(error) => {
                    self.device_failed(interface, &error);
                    return (batch, true);
                }
            }
        }
        (batch, false)
    }

    /// Sends what is ready and hands events to whoever waits for them.
    fn settle(&mut self, now: Instant) -> News {
        self.transmit(now);
        self.post.hand_over(&mut self.stack);
        let mut news = if self.is_draining { News::Some } else { News::None };
        while let Some(event) = self.stack.poll_event() {
            if self.dispatch(&event) == News::Some {
                news = News::Some;
            }
        }
        news
    }

    fn take_told(&mut self, news: News) -> Told {
        Told { wakers: self.wakers.take_ready(), rings: self.post.take_rings(), news }
    }

    /// Tells the other shards which addresses there are.
    fn publish_addresses(&mut self) -> News {
        if self.stack.sharding().is_first() {
            let addresses: Vec<_> = self.stack.internet().addresses().copied().collect();
            self.post.tell_addresses(&addresses);
        }
        News::Some
    }

    fn dispatch(&mut self, event: &Event) -> News {
        match event {
            Event::Tcp(event) => self.dispatch_tcp(*event),
            Event::Udp(event) => self.dispatch_udp(*event),
            Event::Icmp(id) => {
                self.wakers.ready(SocketKey::Icmp(*id), Interest::Read);
                News::None
            }
            Event::AddressReady { interface, address } => {
                debug!(%interface, %address, "address ready");
                self.publish_addresses()
            }
            Event::AddressConflict { interface, address } => {
                warn!(%interface, %address, "another host uses this address");
                self.publish_addresses()
            }
            Event::TrialPassed { interface: _ } => self.publish_addresses(),
            Event::GroupJoined { interface, group } => {
                self.post.tell_group(GroupChange::Joined(*interface, *group));
                News::None
            }
            Event::GroupLeft { interface, group } => {
                self.post.tell_group(GroupChange::Left(*interface, *group));
                News::None
            }
        }
    }

    fn dispatch_tcp(&mut self, event: TcpEvent) -> News {
        match event {
            TcpEvent::Connected(id) | TcpEvent::Writable(id) => {
                self.wakers.ready(SocketKey::Tcp(id), Interest::Write);
            }
            TcpEvent::Readable(id) => self.wakers.ready(SocketKey::Tcp(id), Interest::Read),
            TcpEvent::Acceptable(id) => self.wakers.ready(SocketKey::Listener(id), Interest::Read),
            TcpEvent::Decided(id) => self.wakers.ready(SocketKey::Pending(id), Interest::Read),
            TcpEvent::Report(id) => {
                // Of one that was given back nobody can ask.
                if let Some(info) = self.stack.tcp().info(id) {
                    self.reports.keep(id, &info);
                    self.wakers.ready(SocketKey::Tcp(id), Interest::Report);
                }
            }
            TcpEvent::Closed(id) => {
                self.wakers.ready_all(SocketKey::Tcp(id));
                return News::Some;
            }
        }
        News::None
    }

    fn dispatch_udp(&mut self, event: UdpEvent) -> News {
        match event {
            UdpEvent::Readable(id) => self.wakers.ready(SocketKey::Udp(id), Interest::Read),
            UdpEvent::Writable(id) => self.wakers.ready(SocketKey::Udp(id), Interest::Write),
            UdpEvent::Error(id) => self.wakers.ready_all(SocketKey::Udp(id)),
        }
        News::None
    }

    fn device_failed(&mut self, interface: InterfaceId, error: &io::Error) {
        info!(%interface, %error, "device gone");
        self.end(Ended::DeviceFailed(error.kind()));
    }

    fn end(&mut self, why: Ended) {
        if self.ended.is_none() {
            self.ended = Some(why);
            self.flush();
            self.devices.clear();
            self.stalled = None;
            self.has_more_to_send = false;
        }
        self.wakers.ready_everything();
    }
}

mod sending;
#[cfg(test)]
mod tests;
