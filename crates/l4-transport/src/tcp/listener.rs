//! A socket that listens: LISTEN, with its queues.

use std::collections::VecDeque;

use netloom_base::{Instant, SlabId};

use super::config::{ListenOptions, TcpBind};

/// Unfinished handshakes beyond the backlog that one listener may have.
const HALF_OPEN_SLACK: usize = 16;

/// One listener.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) bind: TcpBind,
    pub(super) options: ListenOptions,
    /// Connections that wait to be accepted, oldest first.
    pub(super) accept_queue: VecDeque<SlabId>,
    /// Entries of the SYN cache, oldest first; some are gone already.
    half_open: VecDeque<SlabId>,
    half_open_count: usize,
    /// Entries that nobody was told of, oldest first; some are gone already.
    pub(super) fresh: VecDeque<SlabId>,
    /// Entries that wait for a decision, those included that somebody was told of.
    pending_count: usize,
    /// Fast connections whose handshake is not done, and those that still count although they were reset.
    fast_open_count: usize,
    /// Until when those count that were reset, oldest first.
    fast_open_resets: VecDeque<Instant>,
    /// When it last answered a SYN with a cookie.
    pub(super) last_cookie_at: Option<Instant>,
    /// Whether an event about it waits.
    pub(super) in_events: bool,
}

impl Listener {
    pub(super) fn new(bind: TcpBind, options: ListenOptions) -> Self {
        Self {
            bind,
            options: ListenOptions { backlog: options.backlog.max(1), ..options },
            accept_queue: VecDeque::new(),
            half_open: VecDeque::new(),
            half_open_count: 0,
            fresh: VecDeque::new(),
            pending_count: 0,
            fast_open_count: 0,
            fast_open_resets: VecDeque::new(),
            last_cookie_at: None,
            in_events: false,
        }
    }

    /// Whether no finished handshake fits any more.
    pub(super) fn is_accept_queue_full(&self) -> bool {
        self.accept_queue.len() >= self.options.backlog
    }

    /// Whether no unfinished handshake fits any more.
    pub(super) const fn is_half_open_full(&self) -> bool {
        self.half_open_count >= self.options.backlog.saturating_add(HALF_OPEN_SLACK)
    }

    /// Bytes of memory of its queues.
    pub(super) fn allocated(&self) -> usize {
        let resets = self.fast_open_resets.capacity() * size_of::<Instant>();
        let waiting = self.half_open.capacity() + self.fresh.capacity() + self.accept_queue.capacity();
        waiting * size_of::<SlabId>() + resets
    }

    pub(super) const fn half_open_count(&self) -> usize {
        self.half_open_count
    }

    /// A handshake began; `is_live` tells entries from those that are gone.
    pub(super) fn add_half_open(&mut self, entry: SlabId, is_live: impl Fn(SlabId) -> bool) {
        // Those that are gone are swept out once they are as many as the others: constant work an entry.
        if self.half_open.len() > 2 * self.half_open_count + HALF_OPEN_SLACK {
            self.half_open.retain(|&entry| is_live(entry));
        }
        self.half_open.push_back(entry);
        self.half_open_count += 1;
    }

    /// A handshake ended, one way or the other.
    pub(super) const fn remove_half_open(&mut self) {
        self.half_open_count = self.half_open_count.saturating_sub(1);
    }

    /// Whether no SYN may wait for a decision any more.
    pub(super) const fn is_pending_full(&self) -> bool {
        self.pending_count >= self.options.backlog
    }

    pub(super) const fn pending_count(&self) -> usize {
        self.pending_count
    }

    /// A SYN waits for a decision; `is_live` as in [`add_half_open`](Self::add_half_open).
    pub(super) fn add_pending(&mut self, entry: SlabId, is_live: impl Fn(SlabId) -> bool) {
        if self.fresh.len() > 2 * self.pending_count + HALF_OPEN_SLACK {
            self.fresh.retain(|&entry| is_live(entry));
        }
        self.fresh.push_back(entry);
        self.pending_count += 1;
    }

    /// A SYN waits no longer.
    pub(super) const fn remove_pending(&mut self) {
        self.pending_count = self.pending_count.saturating_sub(1);
    }

    /// Whether a cookie may open another connection before its handshake is done. [7413-12]
    pub(super) fn has_fast_open_room(&mut self, now: Instant) -> bool {
        while self.fast_open_resets.pop_front_if(|until| *until <= now).is_some() {
            self.remove_fast_open();
        }
        self.fast_open_count < self.options.fast_open
    }

    pub(super) const fn fast_open_count(&self) -> usize {
        self.fast_open_count
    }

    /// A cookie has opened a connection.
    pub(super) const fn add_fast_open(&mut self) {
        self.fast_open_count += 1;
    }

    /// Its handshake is done, or came to nothing.
    pub(super) const fn remove_fast_open(&mut self) {
        self.fast_open_count = self.fast_open_count.saturating_sub(1);
    }

    /// It was reset, and counts as unfinished until then. [7413-24]
    pub(super) fn keep_fast_open_until(&mut self, until: Instant) {
        self.fast_open_resets.push_back(until);
    }

    /// The oldest unfinished handshake.
    pub(super) fn oldest_half_open(&mut self, is_live: impl Fn(SlabId) -> bool) -> Option<SlabId> {
        while let Some(entry) = self.half_open.pop_front() {
            if is_live(entry) {
                return Some(entry);
            }
        }
        None
    }
}
