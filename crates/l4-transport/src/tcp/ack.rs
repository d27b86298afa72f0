//! What an acknowledgment does: the window, the round-trip time, loss detection, congestion control.

use core::time::Duration;

use netloom_base::DropReason;
use netloom_wire::{SeqNumber, TcpFlags};

use super::connection::{Advice, Connection, Context, Notices, Owner};
use super::isn::timestamp;
use super::loss::News;
use super::rack::Delivery;
use super::reason::{ChallengeCause, RetransmitCause};
use super::recovery::RecoveryPhase;
use super::segment::Segment;
use super::state::State;
use super::timers::Timer;

/// How often a peer that makes progress is confirmed to the neighbour cache.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);

/// Round trips by timestamp that are longer say that the echo is not ours.
const LONGEST_ROUND_TRIP_MILLIS: u32 = 120_000;

impl Connection {
    /// RFC 9293 3.10.7.4, fifth step, for the synchronized states. Nothing without ACK comes here, so that no TSecr is
    /// read that means nothing. [7323-19]
    pub(super) fn process_ack(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        let acknowledgment = segment.header.acknowledgment;
        let snd_una = self.sender.snd_una;
        // [9293-u09] [9293-u10] [9293 MAY-12] [5961-10] [5961-11] [5961-12]
        if acknowledgment.after(self.sender.snd_nxt)
            || acknowledgment.before(snd_una - self.sender.max_snd_wnd)
        {
            self.challenge(cx, ChallengeCause::BadAck);
            return Err(DropReason::TcpBadAck);
        }
        if acknowledgment.before(snd_una) {
            return Ok(());
        }
        let has_echo = self.note_echo(cx, segment);
        let was_shut = self.sender.snd_wnd == 0;
        let is_duplicate = self.is_duplicate_ack(segment);
        self.update_window(segment);
        self.take_news(cx, segment, is_duplicate, !has_echo);
        if has_echo {
            self.follow_echo(cx, acknowledgment);
        }
        if was_shut && self.sender.snd_wnd > 0 {
            self.attempts.probe = 0;
            self.dues.window_probe = false;
            self.timers.clear(Timer::Persist);
            if self.sender.is_outstanding() && self.sender.is_syn_acked() {
                self.sender.stop_timing();
                self.sender.scoreboard.lose_where(RetransmitCause::WindowReopened, |_| true);
            }
        }
        self.membership.wants_output |= self.has_output();
        self.rearm_send_timers(cx.now);
        Ok(())
    }

    /// RFC 5681 2. What answers a probe of a shut window is none.
    fn is_duplicate_ack(&self, segment: &Segment<'_>) -> bool {
        segment.header.acknowledgment == self.sender.snd_una
            && self.sender.is_outstanding()
            && segment.text.is_empty()
            && !segment.header.flags.intersects(TcpFlags::SYN | TcpFlags::FIN)
            && self.scaled_window(segment) == self.sender.snd_wnd
            && self.sender.snd_wnd > 0
    }

    /// SEG.WND in bytes. [9293 MUST-1, REC-1] [7323-05] [7323-09]
    fn scaled_window(&self, segment: &Segment<'_>) -> u32 {
        let is_syn = segment.has(TcpFlags::SYN) || segment.was_syn;
        let shift = if is_syn { 0 } else { self.sender.shift };
        u32::from(segment.header.window) << shift
    }

    /// Takes the segment's window, unless a later segment has set it. What acknowledges more than any before is no older than what
    /// has set it, even if it is the first to arrive of what was sent again: with the former window, SND.UNA would move on
    /// what may be sent, and nobody has offered that.
    fn update_window(&mut self, segment: &Segment<'_>) {
        let (sequence, acknowledgment) = (segment.header.sequence, segment.header.acknowledgment);
        let sender = &self.sender;
        let is_later = sender.snd_wl1.before(sequence)
            || (sender.snd_wl1 == sequence && sender.snd_wl2.at_or_before(acknowledgment))
            || sender.snd_una.before(acknowledgment);
        if is_later {
            self.set_window(segment);
        }
    }

    /// Takes the segment's window. [5961-15]
    pub(super) fn set_window(&mut self, segment: &Segment<'_>) {
        let window = self.scaled_window(segment);
        self.sender.snd_wnd = window;
        self.sender.max_snd_wnd = self.sender.max_snd_wnd.max(window);
        self.sender.snd_wl1 = segment.header.sequence;
        self.sender.snd_wl2 = segment.header.acknowledgment;
    }

    /// What the acknowledgment and its SACK blocks tell.
    fn take_news(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>, is_duplicate: bool, may_grow: bool) {
        let acknowledgment = segment.header.acknowledgment;
        let has_advanced = acknowledgment.after(self.sender.snd_una);
        let flight_before = self.sender.flight_len();
        let was_syn_acked = self.sender.is_syn_acked();
        let echo = self.echo_of(segment);
        let mut delivery = Delivery::default();
        let sampled = if has_advanced { self.take_acknowledgment(cx, segment, &mut delivery) } else { None };
        let dsack = self.take_sack_blocks(cx.now, segment, echo, &mut delivery);
        if let Some(round_trip) = delivery.round_trip {
            self.rtt.note_round_trip(cx.now, round_trip);
            if delivery.sacked_len > 0 && self.sender.is_timing() {
                // What is being measured will be acknowledged when the hole before it is filled, which is no round trip.
                self.sender.stop_timing();
                self.rtt.sample(round_trip);
            }
        }
        if delivery.round_trip.is_some() || sampled.is_some() {
            self.loss_probe.on_sample();
        }
        self.carries_mtu |= delivery.len >= self.sender.mss;
        let restarts_timer = !self.is_later_partial_ack(acknowledgment);
        // [5681-05]: the handshake does not open the window.
        if was_syn_acked {
            let rtt = delivery.round_trip.or(sampled);
            self.react(
                cx,
                News {
                    acknowledgment,
                    has_advanced,
                    is_duplicate,
                    delivery,
                    dsack,
                    echo,
                    flight_before,
                    rtt,
                    may_grow,
                },
            );
        }
        self.update_pace(cx.config);
        if has_advanced {
            self.follow_path_search(cx);
            self.follow_progress(cx, restarts_timer);
        }
    }

    /// Everything before the acknowledgment has arrived.
    fn take_acknowledgment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        delivery: &mut Delivery,
    ) -> Option<Duration> {
        let acked_len = self.sender.snd_una.distance_to(segment.header.acknowledgment);
        self.attempts.timeout = 0;
        self.soft_error = None;
        self.totals.bytes_acked += u64::from(acked_len);
        self.sample_round_trip(cx, segment, delivery)
    }

    /// Without SACK only the first acknowledgment that does not end a recovery restarts the timer. [6582-03]
    fn is_later_partial_ack(&mut self, acknowledgment: SeqNumber) -> bool {
        let recovery = &mut self.recovery;
        let is_partial = !self.negotiated.sack
            && recovery.phase == RecoveryPhase::FastRecovery
            && acknowledgment.before(recovery.recover);
        is_partial && core::mem::replace(&mut recovery.has_partial_ack, true)
    }

    fn follow_progress(&mut self, cx: &mut Context<'_>, restarts_timer: bool) {
        // [6298-12] [1122-T052]
        if !self.sender.is_outstanding() {
            self.timers.clear(Timer::Retransmit);
        } else if restarts_timer {
            self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
        }
        self.schedule_loss_probe(cx.now);
        self.restart_user_timeout(cx.now);
        self.note_progress(cx);
    }

    /// One sample a round trip by the clock, and by timestamp where something was sent again. [6298-09] [7323-28]
    fn sample_round_trip(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        delivery: &mut Delivery,
    ) -> Option<Duration> {
        let was_timing = self.sender.is_timing();
        let echo = self.echo_of(segment);
        let Self { sender, rack, rtt, .. } = self;
        let (now, acknowledgment) = (cx.now, segment.header.acknowledgment);
        let timed = sender.acknowledge(now, acknowledgment, cx.buffers, |segment| {
            rack.on_delivered(now, segment, echo, rtt, delivery);
        });
        if let Some(timed) = timed {
            self.rtt.sample(timed);
            return Some(timed);
        }
        // What is being measured may lie behind a hole; a backoff ends with what arrives.
        if (!was_timing || self.rtt.backoff() > 0)
            && self.negotiated.timestamps
            && let Some(theirs) = segment.header.options.timestamps
        {
            return self.sample_timestamp(timestamp(cx.now, self.ts_offset).wrapping_sub(theirs.echo_reply));
        }
        None
    }

    /// A round trip of so many ticks, by an echoed timestamp, if it can be one.
    pub(super) fn sample_timestamp(&mut self, millis: u32) -> Option<Duration> {
        let rtt =
            (millis <= LONGEST_ROUND_TRIP_MILLIS).then(|| Duration::from_millis(millis.max(1).into()))?;
        self.rtt.sample(rtt);
        Some(rtt)
    }

    /// Tells whoever waits for it that the peer takes what we send.
    fn note_progress(&mut self, cx: &Context<'_>) {
        if self.sender.is_writer_waiting && self.sender.is_writable(self.congestion.window()) {
            self.sender.is_writer_waiting = false;
            self.notices.add(Notices::WRITABLE);
        }
        if self.advice == Advice::None && cx.now.saturating_since(self.confirmed_at) >= CONFIRM_INTERVAL {
            self.advice = Advice::Confirmed;
            self.confirmed_at = cx.now;
        }
        let is_orphan_sending = self.owner == Owner::Nobody
            && matches!(self.state, State::FinWait1 | State::Closing | State::LastAck);
        if is_orphan_sending {
            self.timers.set(Timer::Lifetime, cx.now + cx.config.orphan_timeout);
        }
    }

    /// Whether an acknowledgment, as an ICMP error quotes it, can be of what is in flight (RFC 5927 4.1).
    pub(super) fn is_in_flight(&self, sequence: SeqNumber) -> bool {
        sequence.at_or_after(self.sender.snd_una) && sequence.before(self.sender.snd_nxt)
    }
}
