//! What an acknowledgment tells of losses, and what follows: the joint between the scoreboard, RACK, recovery and
//! congestion control.

use core::time::Duration;

use netloom_base::Instant;
use netloom_wire::{SackBlocks, SeqNumber};
use tracing::debug;

use super::congestion::{AckSample, LossSample};
use super::connection::{Connection, Context};
use super::loss_probe::{LossProbe, ProbeOutcome};
use super::prr::Prr;
use super::rack::{DUPLICATE_THRESHOLD, Delivery, Echo};
use super::reason::RetransmitCause;
use super::recovery::RecoveryPhase;
use super::scoreboard::LossScan;
use super::segment::Segment;
use super::spurious::ForwardRto;
use super::timers::Timer;

/// What one acknowledgment tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) acknowledgment: SeqNumber,
    /// Whether it acknowledges something new.
    pub(super) has_advanced: bool,
    /// Whether it repeats the last one (RFC 5681 2).
    pub(super) is_duplicate: bool,
    pub(super) delivery: Delivery,
    /// The range that it reports as received twice.
    pub(super) dsack: Option<(SeqNumber, SeqNumber)>,
    pub(super) echo: Option<Echo>,
    /// Bytes in flight before it.
    pub(super) flight_before: u32,
    /// A round trip for congestion control.
    pub(super) rtt: Option<Duration>,
    /// Whether it may open the window: it tells of no congestion. [3168-07]
    pub(super) may_grow: bool,
}

/// The option's blocks, sorted, without what is acknowledged or was never sent; and the D-SACK block, which is the first
/// if it lies below the acknowledgment or inside the second (RFC 2883 4). [2883-05] [5961-10]
pub(super) fn split_blocks(
    blocks: SackBlocks,
    snd_una: SeqNumber,
    snd_nxt: SeqNumber,
    oldest: SeqNumber,
) -> (SackBlocks, Option<(SeqNumber, SeqNumber)>) {
    let blocks = blocks.as_slice();
    let dsack = blocks.first().copied().filter(|&(start, end)| {
        let is_below = end.at_or_before(snd_una) && start.at_or_after(oldest);
        let is_inside = blocks.get(1).is_some_and(|&(outer_start, outer_end)| {
            start.at_or_after(outer_start) && end.at_or_before(outer_end)
        });
        start.before(end) && (is_below || is_inside)
    });
    let mut plain = SackBlocks::default();
    let mut sorted: [Option<(SeqNumber, SeqNumber)>; SackBlocks::CAPACITY] = [None; SackBlocks::CAPACITY];
    let is_plain = |&&(start, end): &&(SeqNumber, SeqNumber)| {
        start.after(snd_una) && start.before(end) && end.at_or_before(snd_nxt)
    };
    for (slot, &block) in sorted.iter_mut().zip(blocks.iter().filter(is_plain)) {
        *slot = Some(block);
    }
    sorted.sort_unstable_by_key(|block| block.map_or(u32::MAX, |(start, _)| snd_una.distance_to(start)));
    for block in sorted.into_iter().flatten() {
        plain.push(block);
    }
    (plain, dsack)
}

impl Connection {
    /// The echo of our clock in an acknowledgment.
    pub(super) fn echo_of(&self, segment: &Segment<'_>) -> Option<Echo> {
        let theirs = segment.header.options.timestamps.filter(|_| self.negotiated.timestamps)?;
        Some(Echo { value: theirs.echo_reply, offset: self.ts_offset })
    }

    /// Marks what the SACK option reports; answers with the D-SACK block.
    pub(super) fn take_sack_blocks(
        &mut self,
        now: Instant,
        segment: &Segment<'_>,
        echo: Option<Echo>,
        delivery: &mut Delivery,
    ) -> Option<(SeqNumber, SeqNumber)> {
        let blocks = segment.header.options.sack();
        if !self.negotiated.sack || blocks.is_empty() {
            return None;
        }
        let oldest = self.sender.snd_una - self.sender.max_snd_wnd;
        let (plain, dsack) = split_blocks(blocks, self.sender.snd_una, self.sender.snd_nxt, oldest);
        let Self { sender, rack, rtt, .. } = self;
        let before = sender.scoreboard.sacked_len();
        sender.scoreboard.sack(plain, |segment| {
            rack.on_delivered(now, segment, echo, rtt, delivery);
        });
        delivery.sacked_len = sender.scoreboard.sacked_len().saturating_sub(before);
        dsack
    }

    /// Follows what an acknowledgment tells.
    pub(super) fn react(&mut self, cx: &mut Context<'_>, mut news: News) {
        self.note_duplicates(cx, &mut news);
        if self.sender.scoreboard.has_reneged() {
            // RFC 2018 8: the peer has dropped what it had reported.
            self.sender.scoreboard.forget_sacks();
        }
        self.follow_probe(cx, &news);
        if self.is_spurious(&news) {
            self.undo(cx);
        }
        match self.recovery.phase {
            RecoveryPhase::Open => self.react_in_open(cx, &news),
            RecoveryPhase::Reduction | RecoveryPhase::FastRecovery => self.react_in_recovery(cx, &news),
            RecoveryPhase::Loss => self.react_in_loss(cx, &news),
        }
    }

    /// Counts duplicates, with SACK and without. [6675-07]
    fn note_duplicates(&mut self, cx: &mut Context<'_>, news: &mut News) {
        let smss = self.sender.mss;
        if news.has_advanced {
            self.recovery.duplicate_acks = 0;
        } else if news.is_duplicate {
            cx.counters.duplicate_acks_received.increment();
            self.recovery.duplicate_acks = self.recovery.duplicate_acks.saturating_add(1);
            // RFC 5682 2.1, 3a: a duplicate of the new segments shows that one has left.
            let tells = self.recovery.phase != RecoveryPhase::Loss || self.recovery.prefers_new_data();
            if !self.negotiated.sack && tells {
                let outstanding = self.sender.snd_una.distance_to(self.sender.snd_nxt);
                news.delivery.len += self.sender.scoreboard.assume_delivered(smss, outstanding);
            }
        }
        let Some((start, end)) = news.dsack else { return };
        cx.counters.dsacks_received.increment();
        let statistics = self.statistics();
        statistics.dsacks_received = statistics.dsacks_received.wrapping_add(1);
        if self.loss_probe.end() != Some(end) {
            self.rack.on_dsack(self.sender.snd_una, self.sender.snd_nxt);
            if self.recovery.undo().is_some() {
                self.recovery.episode().undo.on_dsack(end, start.distance_to(end).div_ceil(smss));
            }
        }
    }

    /// [8985-27] [8985-28]
    fn follow_probe(&mut self, cx: &mut Context<'_>, news: &News) {
        let has_dsack = news.dsack.is_some_and(|(_, end)| self.loss_probe.end() == Some(end));
        let is_plain_duplicate = news.is_duplicate && news.delivery.sacked_len == 0;
        if self.loss_probe.on_ack(news.acknowledgment, has_dsack, is_plain_duplicate)
            == ProbeOutcome::Repaired
            && self.recovery.phase == RecoveryPhase::Open
        {
            debug!(tuple = %self.tuple, "a loss probe repaired a loss");
            let sample = self.loss_sample(cx.now, news.flight_before);
            self.congestion.on_congestion_event(&sample);
            self.ecn.note_reduction(self.sender.snd_nxt);
        }
    }

    fn loss_sample(&self, now: Instant, pipe: u32) -> LossSample {
        let outstanding = self.sender.snd_una.distance_to(self.sender.snd_nxt);
        LossSample {
            now,
            flight_len: self.recovery.flight_before_loss(outstanding, pipe),
            smss: self.sender.mss,
        }
    }

    /// Whether the recovery that lasts, or has just ended, was for nothing.
    fn is_spurious(&self, news: &News) -> bool {
        let Some(undo) = self.recovery.undo() else { return false };
        let is_recovering = self.recovery.is_recovering();
        let is_of_original = is_recovering
            && news.has_advanced
            && news.echo.is_some_and(|echo| undo.is_of_original(echo.value));
        let has_all_arrived = is_recovering
            && news.delivery.len > 0
            && undo.has_sent_nothing()
            && self.sender.scoreboard.lost_len() == 0;
        is_of_original || has_all_arrived || (news.dsack.is_some() && undo.is_all_reported())
    }

    /// Nothing was lost: it was late. The window becomes what it was (RFC 5682 3, RFC 9438 4.9).
    fn undo(&mut self, cx: &mut Context<'_>) {
        debug!(tuple = %self.tuple, phase = ?self.recovery.phase, "spurious recovery");
        match self.recovery.phase {
            RecoveryPhase::Loss => cx.counters.spurious_timeouts.increment(),
            RecoveryPhase::Open | RecoveryPhase::Reduction | RecoveryPhase::FastRecovery => {
                cx.counters.spurious_recoveries.increment();
                self.rack.note_reordering();
            }
        }
        self.congestion.undo();
        self.sender.scoreboard.restore();
        self.recovery.forget_undo();
        self.recovery.finish();
    }

    fn react_in_open(&mut self, cx: &mut Context<'_>, news: &News) {
        if self.sender.scoreboard.sacked_len() == 0 && self.recovery.duplicate_acks == 0 {
            self.recovery.on_order();
            if self.sender.scoreboard.assumed_len() > 0 {
                self.sender.scoreboard.stop_assuming();
            }
        }
        let scan = self.detect_losses(cx.now);
        if scan.lost_len > 0 && !self.excuse_lost_probe(cx) {
            self.enter_recovery(cx, news);
        } else if news.has_advanced || (self.rack.has_seen_reordering() && news.delivery.len > 0) {
            self.grow(cx.now, news);
        }
    }

    /// What counts as lost now. Without SACK the third duplicate tells. [8985-05] [5681-18] [6582-01] [6582-04] [6675-08]
    fn detect_losses(&mut self, now: Instant) -> LossScan {
        if self.negotiated.sack {
            let is_recovering = self.recovery.is_recovering();
            let Self { sender, rack, rtt, timers, .. } = self;
            if sender.scoreboard.sacked_count() == 0 && !is_recovering {
                // Nothing has overtaken anything.
                timers.clear(Timer::Reorder);
                return LossScan::default();
            }
            let (scan, look_again) = rack.detect_losses(now, is_recovering, &mut sender.scoreboard, rtt);
            match look_again {
                Some(at) => timers.set(Timer::Reorder, at),
                None => timers.clear(Timer::Reorder),
            }
            return scan;
        }
        let is_lost = self.recovery.phase == RecoveryPhase::Open
            && self.recovery.duplicate_acks == DUPLICATE_THRESHOLD
            && self.sender.snd_una.after(self.recovery.recover);
        let lost_len = if is_lost {
            self.sender.scoreboard.lose_first(self.sender.mss, RetransmitCause::FastRetransmit)
        } else {
            0
        };
        LossScan { lost_len, ..LossScan::default() }
    }

    /// A loss was found. [2018-12] [5681-22] [5681-33] [8985-32]
    fn enter_recovery(&mut self, cx: &mut Context<'_>, news: &News) {
        cx.counters.fast_recoveries.increment();
        let sample = self.loss_sample(cx.now, news.flight_before);
        self.recovery.episode().undo.begin(self.sender.snd_una);
        self.congestion.on_congestion_event(&sample);
        debug!(tuple = %self.tuple, ssthresh = self.congestion.ssthresh(), flight = sample.flight_len, "fast recovery");
        self.begin_reduction(RecoveryPhase::FastRecovery, news.delivery.len);
    }

    /// The flight shrinks to the new window, in proportion to what arrives.
    fn begin_reduction(&mut self, phase: RecoveryPhase, delivered_len: u32) {
        let outstanding = self.sender.snd_una.distance_to(self.sender.snd_nxt);
        let scoreboard = &self.sender.scoreboard;
        let arrived = scoreboard.sacked_len() + scoreboard.assumed_len();
        let flight_len = outstanding.saturating_sub(arrived).saturating_add(delivered_len);
        self.ecn.note_reduction(self.sender.snd_nxt);
        self.recovery.begin(
            phase,
            self.sender.snd_nxt,
            Prr::new(flight_len, phase == RecoveryPhase::FastRecovery),
        );
        self.loss_probe.reset();
        self.timers.clear(Timer::LossProbe);
        self.account(delivered_len, false);
    }

    /// What was delivered pays for what may leave.
    fn account(&mut self, delivered_len: u32, makes_progress: bool) {
        let (pipe, ssthresh) = (self.sender.flight_len(), self.congestion.ssthresh());
        self.recovery.episode().prr.on_ack(delivered_len, pipe, ssthresh, self.sender.mss, makes_progress);
    }

    /// The peer echoes a router's mark, for the first time in this window (RFC 3168 6.1.2): the flight is reduced as if
    /// something were lost.
    pub(super) fn reduce_for_mark(&mut self, now: Instant) {
        if self.recovery.phase != RecoveryPhase::Open {
            return;
        }
        let sample = LossSample { now, flight_len: self.congestion.window(), smss: self.sender.mss };
        self.recovery.forget_undo();
        self.congestion.on_ecn_echo(&sample);
        if self.sender.is_outstanding() {
            self.begin_reduction(RecoveryPhase::Reduction, 0);
        }
    }

    fn react_in_recovery(&mut self, cx: &mut Context<'_>, news: &News) {
        if self.sender.snd_una.at_or_after(self.recovery.recover) {
            self.leave_recovery();
            return self
                .react_in_open(cx, &News { has_advanced: false, delivery: Delivery::default(), ..*news });
        }
        let mut scan = self.detect_losses(cx.now);
        let mut delivered_len = news.delivery.len;
        if self.recovery.phase == RecoveryPhase::Reduction && scan.lost_len > 0 {
            // It is the same window: it was reduced already, for the mark, and that is not undone whatever becomes of the loss.
            self.recovery.phase = RecoveryPhase::FastRecovery;
        }
        if self.recovery.phase == RecoveryPhase::FastRecovery && !self.negotiated.sack && news.has_advanced {
            // [6582-02]: the next hole. What duplicates told of has been delivered before.
            delivered_len = delivered_len.saturating_sub(self.sender.scoreboard.assumed_len());
            scan.lost_len += self.sender.scoreboard.lose_first(self.sender.mss, RetransmitCause::PartialAck);
        }
        if delivered_len > 0 {
            self.loss_probe.on_progress_in_recovery();
            self.schedule_loss_probe(cx.now);
        }
        // A retransmission that is lost is paid for by proportional rate reduction (RFC 8985 9.3). [8985-33]
        self.account(delivered_len, news.has_advanced && scan.lost_len == 0);
    }

    /// [5681-27] [5681-35] [6675-09] [6582-03]
    fn leave_recovery(&mut self) {
        // With SACK the flight is known, and PRR has brought it to the window: it is not cut once more.
        let ssthresh = self.congestion.ssthresh();
        let flight_len = if self.negotiated.sack { ssthresh } else { self.sender.flight_len() };
        self.congestion.on_recovery_exit(flight_len, self.sender.mss);
        self.rack.on_recovery_exit();
        self.recovery.finish();
        self.sender.scoreboard.stop_assuming();
    }

    fn react_in_loss(&mut self, cx: &mut Context<'_>, news: &News) {
        if self.sender.snd_una.at_or_after(self.recovery.recover) {
            self.rack.on_recovery_exit();
            self.recovery.finish();
            return self.react_in_open(cx, news);
        }
        if self.follow_forward_rto(news) {
            self.undo(cx);
            return self.react_in_open(cx, news);
        }
        self.detect_losses(cx.now);
        if news.has_advanced || news.delivery.sacked_len > 0 {
            self.grow(cx.now, news);
        }
    }

    /// F-RTO, steps 2 and 3 (RFC 5682 2.1, 3.1). Whether the timeout was spurious.
    fn follow_forward_rto(&mut self, news: &News) -> bool {
        let sender = &self.sender;
        match self.recovery.forward_rto {
            ForwardRto::Off => false,
            ForwardRto::Waiting if news.has_advanced => {
                let has_new = sender.unsent_len() > 0 && sender.window_from(sender.snd_nxt) > 0;
                self.recovery.forward_rto = if has_new { ForwardRto::Sending } else { ForwardRto::Off };
                false
            }
            ForwardRto::Waiting => {
                if !self.negotiated.sack && news.is_duplicate {
                    self.recovery.forward_rto = ForwardRto::Off;
                }
                false
            }
            ForwardRto::Sending => {
                let recover = self.recovery.recover;
                if news.delivery.original_end.is_some_and(|end| end.at_or_before(recover)) {
                    return true;
                }
                if news.is_duplicate || news.delivery.len > 0 {
                    self.recovery.forward_rto = ForwardRto::Off;
                }
                false
            }
        }
    }

    /// Congestion control hears of what arrived.
    fn grow(&mut self, now: Instant, news: &News) {
        if !news.may_grow {
            return;
        }
        let sample = AckSample {
            now,
            acked_len: news.delivery.len,
            flight_len: news.flight_before,
            is_window_limited: self.sender.is_window_limited,
            is_paced: self.pacer.rate().is_some(),
            smss: self.sender.mss,
            rtt: news.rtt,
            srtt: self.rtt.srtt(),
            min_rtt: self.rtt.min_rtt(),
            rto: self.rtt.rto(),
            snd_una: self.sender.snd_una,
            snd_nxt: self.sender.snd_nxt,
        };
        self.sender.is_window_limited = false;
        self.congestion.on_ack(&sample);
    }

    /// The reordering timer ran out: what was late is lost now. [8985-15]
    pub(super) fn on_reorder_timeout(&mut self, cx: &mut Context<'_>) {
        let flight_before = self.sender.flight_len();
        let scan = self.detect_losses(cx.now);
        if scan.lost_len == 0 || self.excuse_lost_probe(cx) {
            return;
        }
        let news = News {
            acknowledgment: self.sender.snd_una,
            has_advanced: false,
            is_duplicate: false,
            delivery: Delivery::default(),
            dsack: None,
            echo: None,
            flight_before,
            rtt: None,
            may_grow: false,
        };
        match self.recovery.phase {
            RecoveryPhase::Open => self.enter_recovery(cx, &news),
            RecoveryPhase::Reduction => {
                self.recovery.phase = RecoveryPhase::FastRecovery;
                self.account(0, false);
            }
            RecoveryPhase::FastRecovery => self.account(0, false),
            RecoveryPhase::Loss => {}
        }
        self.membership.wants_output = true;
    }

    /// The retransmission timer ran out: what had its time is lost. [6298-13] [2018-10] [2018-11] [8985-16] [6675-11]
    pub(super) fn lose_on_timeout(&mut self, cx: &Context<'_>, is_first: bool) {
        let now = cx.now;
        // [5681-36]: a loss in recovery halves again.
        let sample = self.loss_sample(now, self.sender.flight_len() + self.sender.scoreboard.lost_len());
        self.congestion.on_rto(&sample, is_first);
        self.ecn.note_reduction(self.sender.snd_nxt);
        let was_in_loss = self.recovery.phase == RecoveryPhase::Loss;
        // [5682-01]: anew at each timeout, until an acknowledgment has shown a loss.
        let may_be_late = !was_in_loss || self.recovery.forward_rto == ForwardRto::Waiting;
        if !was_in_loss {
            self.recovery.episode().undo.begin(self.sender.snd_una);
        }
        self.recovery.begin(RecoveryPhase::Loss, self.sender.snd_nxt, Prr::default());
        self.recovery.duplicate_acks = 0;
        self.recovery.is_forced = true;
        if may_be_late {
            self.recovery.forward_rto = ForwardRto::Waiting;
        }
        self.loss_probe.reset();
        self.timers.clear(Timer::LossProbe);
        self.timers.clear(Timer::Reorder);
        self.update_pace(cx.config);
        let has_sack = self.negotiated.sack;
        let Self { sender, rack, rtt, .. } = self;
        let snd_una = sender.snd_una;
        sender.scoreboard.forget_sacks();
        sender.scoreboard.stop_assuming();
        sender.stop_timing();
        sender.scoreboard.lose_where(RetransmitCause::Timeout, |segment| {
            !has_sack || segment.start == snd_una || rack.is_overdue(now, segment.sent_at, rtt)
        });
    }

    /// The loss probe's timer runs while the tail of a flight may be lost without a trace. [8985-17] [8985-20] [8985-29]
    ///
    /// It also runs in fast recovery, for which RFC 8985 7.2 does not ask, as limited transmit and the reordering timer would
    /// do there what a probe does. They do not where a small window is lost whole, what was sent again included: then nothing
    /// comes back, and a probe finds out in two round trips what a timeout would in many.
    pub(super) fn schedule_loss_probe(&mut self, now: Instant) {
        let sender = &self.sender;
        if !sender.is_outstanding() {
            self.timers.clear(Timer::LossProbe);
            return;
        }
        let scoreboard = &sender.scoreboard;
        let may_be_silent = match self.recovery.phase {
            RecoveryPhase::Open => scoreboard.sacked_len() == 0 && scoreboard.lost_len() == 0,
            RecoveryPhase::FastRecovery => true,
            RecoveryPhase::Reduction | RecoveryPhase::Loss => false,
        };
        let is_useful = self.negotiated.sack && may_be_silent && sender.snd_wnd > 0 && self.loss_probe.is_allowed()
                // What a fast server sends early is the SYN-ACK's timer's.
                && sender.is_syn_acked();
        if !is_useful {
            self.timers.clear(Timer::LossProbe);
            return;
        }
        // What comes before or behind a hole is acknowledged at once.
        let may_be_delayed = sender.flight_len() <= sender.mss && scoreboard.sacked_len() == 0;
        let timeout = LossProbe::timeout(may_be_delayed, &self.rtt);
        let deadline = self.timers.get(Timer::Retransmit).map_or(now + timeout, |rto| rto.min(now + timeout));
        self.timers.set(Timer::LossProbe, deadline);
    }

    /// The probe's time has come. [8985-26]
    pub(super) fn on_loss_probe_timeout(&mut self, cx: &Context<'_>) {
        let may_probe = match self.recovery.phase {
            RecoveryPhase::Open | RecoveryPhase::FastRecovery => self.sender.is_outstanding(),
            RecoveryPhase::Reduction | RecoveryPhase::Loss => false,
        };
        if !may_probe {
            return;
        }
        self.dues.loss_probe = true;
        self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
        self.membership.wants_output = true;
    }
}
