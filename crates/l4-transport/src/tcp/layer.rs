//! All connections of a stack: the tables, the queues, and what follows from any change to a connection.

use std::collections::VecDeque;

use netloom_base::{BufferPool, DeadlineQueue, Instant, KeyedMap, LocalEnds, Rng, Slab, SlabId};
use tracing::trace;

use super::answers::Answers;
use super::auto_cork::{AutoCork, Corking};
use super::bound::Bound;
use super::config::{TcpConfig, TxSegmentation};
use super::connection::{Connection, Context, Membership, Notices, Owner};
use super::counters::TcpCounters;
use super::demux::{Demux, MOST_ENTRIES, Slot, Tables};
use super::fast_open_cache::FastOpenCache;
use super::fast_open_secret::FastOpenSecret;
use super::id::{Outcome, PathAdvice, TcpEvent, TcpListenerId, TcpPendingId, TcpSocketId};
use super::isn::IsnGenerator;
use super::listener::Listener;
use super::memory::Memory;
use super::reason::{EndReason, RetransmitCause, RtoCause};
use super::segment::Reply;
use super::state::State;
use super::syn_cache::SynCacheEntry;
use super::syn_cookie::SynCookies;
use super::time_wait::TimeWait;
use super::tuple::FourTuple;
use crate::offer::{FrameOffer, Loan, Loans, TakenText};
use crate::ports::EphemeralPorts;

/// Hints for the neighbour cache that may wait; more are dropped.
const MAX_ADVICE: usize = 64;

/// Timers that one call looks after, so that whatever waits behind it has its turn even if those of 100,000 connections run out
/// together.
const TIMERS_PER_CALL: usize = 1024;

/// TCP: sans-IO, and blind to the version of IP.
///
/// # Contract
/// After any call that takes `&mut self`, drain [`poll_transmit`](Self::poll_transmit), then
/// [`poll_event`](Self::poll_event) and [`poll_advice`](Self::poll_advice), then wait no longer than until
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Tcp {
    pub(super) config: TcpConfig,
    pub(super) counters: TcpCounters,
    pub(super) memory: Memory,
    /// Full pieces of buffers that are free.
    pub(super) buffers: BufferPool,
    /// Whether the frame whose turn it is may give up its buffer.
    pub(super) offer: FrameOffer,
    /// Buffers with little text in them that connections have.
    loans: Loans,
    pub(super) isn: IsnGenerator,
    pub(super) cookies: SynCookies,
    pub(super) fast_open_secret: FastOpenSecret,
    pub(super) fast_open_cache: FastOpenCache,
    pub(super) ports: EphemeralPorts,
    pub(super) demux: Demux,
    /// The connection that the last segment was for.
    pub(super) latest: Option<SlabId>,
    pub(super) bound: Bound,
    /// What listeners wait on, and what those of them that do not share.
    pub(super) listened_on: LocalEnds,
    pub(super) listened_on_alone: LocalEnds,
    /// Our ends of what the demux leads to, half-open connections apart.
    pub(super) connected_from: LocalEnds,
    pub(super) connections: Slab<Connection>,
    pub(super) deadlines: DeadlineQueue,
    pub(super) time_waits: Slab<TimeWait>,
    pub(super) time_wait_deadlines: DeadlineQueue,
    pub(super) half_open: Slab<SynCacheEntry>,
    pub(super) half_open_deadlines: DeadlineQueue,
    pub(super) listeners: Slab<Listener>,
    /// Whose acknowledgments wait for answers.
    pub(super) answers: Answers,
    /// Whose text waits for what is written next.
    pub(super) auto_cork: AutoCork,
    /// Connections that may have something to send, each at most once.
    pub(super) ready: VecDeque<SlabId>,
    /// The first so many of them are noted as held up by the device.
    pub(super) stalled_count: usize,
    /// Half-open connections that have a SYN-ACK to send, each at most once.
    pub(super) ready_half_open: VecDeque<SlabId>,
    pub(super) replies: VecDeque<Reply>,
    /// Connections with notices, each at most once.
    events: VecDeque<SlabId>,
    listener_events: VecDeque<SlabId>,
    /// What handshakes came to that somebody decided about, by the decider's id.
    pub(super) outcomes: KeyedMap<u64, Outcome>,
    pub(super) pending_events: VecDeque<TcpPendingId>,
    advice: VecDeque<PathAdvice>,
}

impl Tcp {
    /// Without connections. `rng` must be secret: sequence numbers, ports and hash keys come from it.
    pub fn new(config: TcpConfig, mut rng: Rng) -> Self {
        let demux_key = rng.hash_key();
        Self {
            counters: TcpCounters::default(),
            memory: Memory::new(config.max_buffer_bytes),
            buffers: BufferPool::default(),
            offer: FrameOffer::default(),
            loans: Loans::default(),
            isn: IsnGenerator::new(&mut rng),
            demux: Demux::new(demux_key),
            latest: None,
            bound: Bound::new(rng.hash_key()),
            listened_on: LocalEnds::new(),
            listened_on_alone: LocalEnds::new(),
            connected_from: LocalEnds::new(),
            ports: EphemeralPorts::new(config.ports, rng.fork()),
            connections: Slab::new(config.max_connections.min(MOST_ENTRIES)),
            deadlines: DeadlineQueue::new(),
            time_waits: Slab::new(config.max_time_wait.clamp(1, MOST_ENTRIES)),
            time_wait_deadlines: DeadlineQueue::new(),
            half_open: Slab::new(config.max_half_open.clamp(1, MOST_ENTRIES)),
            half_open_deadlines: DeadlineQueue::new(),
            listeners: Slab::new(config.max_listeners),
            answers: Answers::default(),
            auto_cork: AutoCork::default(),
            ready: VecDeque::new(),
            stalled_count: 0,
            ready_half_open: VecDeque::new(),
            replies: VecDeque::new(),
            events: VecDeque::new(),
            listener_events: VecDeque::new(),
            pending_events: VecDeque::new(),
            advice: VecDeque::new(),
            cookies: SynCookies::new(&mut rng),
            outcomes: KeyedMap::with_hasher(rng.hash_key()),
            fast_open_secret: config.fast_open_secret.unwrap_or_else(|| FastOpenSecret::random(&mut rng)),
            fast_open_cache: FastOpenCache::new(config.max_fast_open_paths, rng.hash_key()),
            config,
        }
    }

    /// What it was built from.
    pub const fn config(&self) -> &TcpConfig {
        &self.config
    }

    /// What was counted.
    pub const fn counters(&self) -> &TcpCounters {
        &self.counters
    }

    /// Says which super-segments all devices take from now on.
    pub fn set_tx_segmentation(&mut self, limits: TxSegmentation) {
        self.config.tx_segmentation = limits;
    }

    /// The next event, if any. Connections take turns.
    #[inline]
    pub fn poll_event(&mut self) -> Option<TcpEvent> {
        let Self { events, listener_events, pending_events, .. } = self;
        if events.is_empty() && listener_events.is_empty() && pending_events.is_empty() {
            return None;
        }
        self.next_event()
    }

    fn next_event(&mut self) -> Option<TcpEvent> {
        while let Some(id) = self.events.pop_front() {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            let Some(event) = next_event(&mut connection.notices, TcpSocketId(id)) else {
                connection.membership.in_events = false;
                continue;
            };
            if connection.notices.is_empty() {
                connection.membership.in_events = false;
            } else {
                self.events.push_back(id);
            }
            return Some(event);
        }
        while let Some(id) = self.listener_events.pop_front() {
            let Some(listener) = self.listeners.get_mut(id) else { continue };
            listener.in_events = false;
            return Some(TcpEvent::Acceptable(TcpListenerId(id)));
        }
        self.pending_events.pop_front().map(TcpEvent::Decided)
    }

    /// The next hint for the neighbour cache, if any.
    pub fn poll_advice(&mut self) -> Option<PathAdvice> {
        self.advice.pop_front()
    }

    /// Where a four-tuple leads.
    pub(super) fn slot_of(&self, tuple: &FourTuple) -> Option<Slot> {
        let Self { demux, connections, time_waits, half_open, .. } = self;
        demux.find(Tables { connections, time_waits, half_open }, tuple)
    }

    /// Runs `work` on a connection and does what follows from it; `None` if there is no such connection.
    pub(super) fn with_connection<R>(
        &mut self,
        now: Instant,
        id: SlabId,
        work: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let Self { connections, config, counters, memory, buffers, offer, replies, .. } = self;
        let connection = connections.get_mut(id)?;
        connection.receiver.is_memory_short = memory.is_short();
        let result =
            work(connection, &mut Context { now, config, counters, memory, buffers, offer, replies });
        self.offer.sign(id);
        self.settle(now, id);
        Some(result)
    }

    /// Says whether text may be taken out of the next segment without a copy, and the size of the buffer that the segment lies in.
    /// If it is, [`taken_text`](Self::taken_text) says so, and [`adopt`](Self::adopt) must follow before anything else.
    pub const fn offer_buffer(&mut self, size: Option<usize>) {
        self.offer.set(size);
    }

    /// Which text of the last segment was taken without a copy, if any was.
    pub fn taken_text(&mut self) -> Option<TakenText> {
        self.offer.result()
    }

    /// Hands in the buffer that the text lies in, from `offset` on.
    pub fn adopt(&mut self, now: Instant, text: TakenText, buffer: Box<[u8]>, offset: usize) {
        let by = text.by;
        if let Some(connection) = self.connections.get_mut(by)
            && let Some(at) = connection.receiver.queue.fulfil(buffer, offset)
            && let Some(oldest) = self.loans.add(Loan { by, at })
            && let Some(connection) = self.connections.get_mut(oldest.by)
            && connection.receiver.queue.call_back(oldest.at, &mut self.buffers)
        {
            self.settle(now, oldest.by);
        }
    }

    /// A buffer of `size` bytes for a frame, whatever is in it.
    pub fn take_buffer(&mut self, size: usize) -> Box<[u8]> {
        self.buffers.take_of(size)
    }

    /// Runs `work` with a context and the table of TIME-WAIT.
    pub(super) fn with_time_wait<R>(
        &mut self,
        now: Instant,
        id: SlabId,
        work: impl FnOnce(&mut TimeWait, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let Self { time_waits, config, counters, memory, buffers, offer, replies, .. } = self;
        Some(work(
            time_waits.get_mut(id)?,
            &mut Context { now, config, counters, memory, buffers, offer, replies },
        ))
    }

    /// Runs `work` with a context and a half-open connection.
    pub(super) fn with_half_open<R>(
        &mut self,
        now: Instant,
        id: SlabId,
        work: impl FnOnce(&mut SynCacheEntry, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let Self { half_open, config, counters, memory, buffers, offer, replies, .. } = self;
        Some(work(
            half_open.get_mut(id)?,
            &mut Context { now, config, counters, memory, buffers, offer, replies },
        ))
    }

    /// Brings the tables and queues in line with what a connection has become.
    pub(super) fn settle(&mut self, now: Instant, id: SlabId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.plan_release(now, self.memory.is_short());
        connection.keep_time(now);
        let held = connection.allocated();
        if held != connection.accounted {
            if self.memory.account(connection.accounted, held) {
                self.counters.memory_shortages.increment();
            }
            connection.accounted = held;
        }
        connection.assert_invariants();
        if core::mem::take(&mut connection.membership.wants_cork) {
            let is_held = self.auto_cork.hold(id);
            connection.membership.is_corked = is_held;
            connection.membership.wants_output |= !is_held;
            connection.sender.corking =
                if is_held { connection.sender.corking.after_hold() } else { Corking::Off };
        }
        let Membership { in_ready, wants_output, wants_answer, .. } = &mut connection.membership;
        if core::mem::take(wants_answer) {
            if self.answers.hold(id) {
                connection.receiver.await_answer();
            } else {
                *wants_output = true;
            }
        }
        if core::mem::take(wants_output) && !core::mem::replace(in_ready, true) {
            self.ready.push_back(id);
        }
        connection.assert_not_forgotten();
        if let Some(advice) = connection.take_advice()
            && self.advice.len() < MAX_ADVICE
        {
            self.advice.push_back(advice);
        }
        if let Some(wake_up) = connection.timers.take_wake_up() {
            self.deadlines.set(id.index(), Some(wake_up));
        }
        let (has_notices, is_over) = (!connection.notices.is_empty(), connection.is_over());
        if is_over && connection.membership.in_demux {
            self.leave_demux(now, id);
        }
        if has_notices {
            self.queue_notices(id);
        }
        if is_over {
            self.free_if_done(id);
        }
    }

    /// Lets the user of a connection know of its notices; nobody else is told.
    pub(super) fn queue_notices(&mut self, id: SlabId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        match connection.owner {
            Owner::User => {
                if !connection.notices.is_empty() && !connection.membership.in_events {
                    connection.membership.in_events = true;
                    self.events.push_back(id);
                }
            }
            Owner::Listener(_) => {}
            Owner::Nobody => connection.notices = Notices::default(),
        }
    }

    /// A connection that is over leads nowhere any more; in TIME-WAIT its four-tuple leads to a smaller entry.
    fn leave_demux(&mut self, now: Instant, id: SlabId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.membership.in_demux = false;
        let tuple = connection.tuple;
        let has_fast_open = connection.fast_open.is_some();
        let is_time_wait = connection.state == State::TimeWait;
        let entry = TimeWait::of(connection);
        self.demux.remove(&tuple, Slot::Connection(id));
        self.connected_from.remove(Some(tuple.local_address), tuple.local_port);
        self.deadlines.set(id.index(), None);
        if has_fast_open {
            self.conclude_fast_open(now, id);
        }
        if is_time_wait {
            self.add_time_wait(now, entry);
        }
    }

    fn add_time_wait(&mut self, now: Instant, entry: TimeWait) {
        if self.time_waits.is_full()
            && let Some(index) = self.time_wait_deadlines.pop_due(Instant::FAR_FUTURE)
            && let Some(oldest) = self.time_waits.id_at(index)
        {
            let tuple = self.time_waits.get(oldest).map(|evicted| evicted.tuple);
            trace!(?tuple, "TIME-WAIT evicted");
            self.counters.time_wait_evicted.increment();
            self.remove_time_wait(oldest);
        }
        if let Ok(id) = self.time_waits.insert(entry) {
            self.demux.insert(&entry.tuple, Slot::TimeWait(id));
            self.connected_from.add(Some(entry.tuple.local_address), entry.tuple.local_port);
            self.time_wait_deadlines.set(id.index(), Some(now + self.config.time_wait));
        }
    }

    pub(super) fn remove_time_wait(&mut self, id: SlabId) {
        if let Some(entry) = self.time_waits.remove(id) {
            self.demux.remove(&entry.tuple, Slot::TimeWait(id));
            self.connected_from.remove(Some(entry.tuple.local_address), entry.tuple.local_port);
            self.time_wait_deadlines.set(id.index(), None);
        }
    }

    pub(super) fn remove_half_open(&mut self, id: SlabId) -> Option<SynCacheEntry> {
        let entry = self.half_open.remove(id)?;
        self.demux.remove(&entry.tuple, Slot::HalfOpen(id));
        self.half_open_deadlines.set(id.index(), None);
        if let Some(listener) = self.listeners.get_mut(entry.listener) {
            if entry.stage.is_silent() {
                listener.remove_pending();
            } else {
                listener.remove_half_open();
            }
        }
        Some(entry)
    }

    /// Frees a connection that is over, that nobody holds, and that owes the wire nothing.
    pub(super) fn free_if_done(&mut self, id: SlabId) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.owner == Owner::Nobody && connection.is_over() && !connection.owes_output() {
            self.memory.account(connection.accounted, 0);
            self.deadlines.set(id.index(), None);
            self.connections.remove(id);
        }
    }

    /// An event about a listener.
    pub(super) fn notify_listener(&mut self, id: SlabId) {
        if let Some(listener) = self.listeners.get_mut(id)
            && !listener.in_events
        {
            listener.in_events = true;
            self.listener_events.push_back(id);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called. It may turn out to be early.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.deadlines.next(), self.time_wait_deadlines.next(), self.half_open_deadlines.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due at `now`, or a part of it: at most 1024 timers of connections, of half-open ones and of TIME-WAIT each.
    /// What is left shows in [`poll_timeout`](Self::poll_timeout), which stays at or before `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_CALL {
            let Some(index) = self.deadlines.pop_due(now) else { break };
            if let Some(id) = self.connections.id_at(index) {
                self.with_connection(now, id, Connection::on_timeout);
                self.conclude_fast_open(now, id);
            }
        }
        for _ in 0..TIMERS_PER_CALL {
            let Some(index) = self.time_wait_deadlines.pop_due(now) else { break };
            if let Some(id) = self.time_waits.id_at(index) {
                self.remove_time_wait(id);
            }
        }
        for _ in 0..TIMERS_PER_CALL {
            let Some(index) = self.half_open_deadlines.pop_due(now) else { break };
            if let Some(id) = self.half_open.id_at(index) {
                self.on_half_open_timeout(id);
            }
        }
    }

    /// The SYN-ACK was not answered in time.
    fn on_half_open_timeout(&mut self, id: SlabId) {
        let Some(entry) = self.half_open.get_mut(id) else { return };
        if entry.stage.is_silent() {
            self.counters.decisions_expired.increment();
            return self.fail_half_open(id, EndReason::Undecided);
        }
        trace!(tuple = %entry.tuple, cause = %RtoCause::SynAck, "timeout");
        self.counters.count_timeout(RtoCause::SynAck);
        if entry.retries >= self.config.syn_retries {
            self.counters.half_open_expired.increment();
            self.fail_half_open(id, EndReason::HandshakeTimeout);
            return;
        }
        entry.retries += 1;
        self.queue_syn_ack(id, Some(RetransmitCause::SynTimeout));
    }

    /// A SYN-ACK waits to be sent; `again`: why, if it was sent before.
    pub(super) fn queue_syn_ack(&mut self, id: SlabId, again: Option<RetransmitCause>) {
        if let Some(entry) = self.half_open.get_mut(id)
            && !entry.is_queued
        {
            entry.is_queued = true;
            entry.again = again;
            self.ready_half_open.push_back(id);
        }
    }
}

fn next_event(notices: &mut Notices, id: TcpSocketId) -> Option<TcpEvent> {
    if notices.take(Notices::CONNECTED) {
        Some(TcpEvent::Connected(id))
    } else if notices.take(Notices::READABLE) {
        Some(TcpEvent::Readable(id))
    } else if notices.take(Notices::WRITABLE) {
        Some(TcpEvent::Writable(id))
    } else if notices.take(Notices::REPORT) {
        Some(TcpEvent::Report(id))
    } else if notices.take(Notices::CLOSED) {
        Some(TcpEvent::Closed(id))
    } else {
        None
    }
}
