//! What a segment's text, urgent pointer and FIN do (RFC 9293 3.10.7.4, sixth to eighth step).

use netloom_base::DropReason;
use netloom_wire::TcpFlags;
use tracing::trace;

use super::connection::{Connection, Context, Notices, Owner};
use super::reason::EndReason;
use super::receiver::{AckDue, TextOutcome};
use super::segment::Segment;
use super::state::{Input, State};
use super::timers::Timer;

impl Connection {
    /// Sixth: the urgent pointer, which points behind the last urgent byte. [9293 MUST-30, MUST-32, MUST-62]
    pub(super) fn check_urgent(&mut self, segment: &Segment<'_>) {
        if !segment.has(TcpFlags::URG) || !self.state.accepts_text() {
            return;
        }
        let end = segment.header.sequence + u32::from(segment.header.urgent_pointer);
        let is_further = self.receiver.urgent_end.is_none_or(|known| end.after(known));
        if is_further && end.after(self.receiver.rcv_nxt) {
            self.receiver.urgent_end = Some(end);
            self.notices.add(Notices::REPORT);
        }
    }

    /// Seventh: the text.
    pub(super) fn process_text(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        if segment.text.is_empty() {
            return Ok(());
        }
        if !self.state.accepts_text() {
            return Err(DropReason::TcpDataAfterFin);
        }
        // What came before is cut off in front, what is beyond the window or the FIN behind.
        let sequence = segment.header.sequence + u32::from(segment.has(TcpFlags::SYN));
        let start = sequence.later_of(self.receiver.rcv_nxt);
        let skipped = sequence.distance_to(start) as usize;
        let allowed = start.distance_to(self.receiver.text_end()) as usize;
        let fresh = segment.text.get(skipped..).unwrap_or_default();
        let is_repeated = self.note_duplicate(segment);
        if fresh.is_empty() {
            self.owe_now();
            return Ok(());
        }
        if self.owner == Owner::Nobody {
            // [9293 SHLD-3] [1122-T044]: nobody will ever read it.
            self.abort(cx, EndReason::DataAfterClose);
            return Err(DropReason::TcpReceiverClosed);
        }
        let Some(fitting) = fresh.get(..fresh.len().min(allowed)).filter(|fitting| !fitting.is_empty())
        else {
            self.owe_now();
            return Err(DropReason::TcpOutOfWindow);
        };
        let had_gap = is_repeated || self.receiver.has_hole();
        let growth = self.receive_growth(cx.memory, start);
        let max_ranges = cx.config.max_out_of_order_ranges;
        let adopted = cx
            .offer
            .size()
            .and_then(|size| self.receiver.adopt_text(start, fitting, max_ranges, (size, growth)));
        let outcome = match adopted {
            Some((outcome, kept)) => {
                cx.offer.take(kept);
                outcome
            }
            None => self.receiver.take_text(start, fitting, max_ranges, growth, cx.buffers),
        };
        match outcome {
            TextOutcome::InOrder(advance) => {
                self.on_text_in_order(cx, segment, advance, had_gap);
                Ok(())
            }
            TextOutcome::OutOfOrder { is_elsewhere } => {
                // [9293 MAY-13, SHLD-31] [5681-16]
                cx.counters.out_of_order_segments.add(segment.count.into());
                let statistics = self.statistics();
                statistics.out_of_order_segments =
                    statistics.out_of_order_segments.wrapping_add(segment.count);
                self.receiver.ack_policy.on_disorder(cx.now);
                self.receiver.owe_ack_for_disorder(segment.count, is_elsewhere);
                self.membership.wants_output = true;
                Ok(())
            }
            TextOutcome::NoRoom => {
                if growth < fitting.len() {
                    trace!(tuple = %self.tuple, len = fitting.len(), allowed = growth, "no memory");
                    cx.counters.memory_refusals.increment();
                }
                self.owe_now();
                Err(DropReason::TcpReceiveBufferFull)
            }
        }
    }

    fn on_text_in_order(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>, advance: u32, had_gap: bool) {
        self.totals.bytes_received += u64::from(advance);
        cx.counters.bytes_received.add(advance.into());
        self.notices.add(Notices::READABLE);
        self.tune_window_on_text(cx.now, segment);
        self.receiver.ack_policy.on_text(cx.now, cx.config.delayed_ack, self.rtt.rto());
        if had_gap {
            self.receiver.ack_policy.on_disorder(cx.now);
        }
        let owed = self.receiver.ack_due();
        self.receiver.owe_ack_for_text(segment.part_len, had_gap);
        // The one segment, with the end of what the peer had to say, may be answered at once.
        let may_be_answered = owed == AckDue::None
            && segment.has(TcpFlags::PSH)
            && !segment.header.flags.intersects(TcpFlags::SYN | TcpFlags::FIN)
            && !had_gap
            && self.receiver.owes_one_segment();
        match self.receiver.ack_due() {
            // [9293 MUST-40] [5681-30]
            AckDue::Delayed => {
                if !self.timers.is_armed(Timer::DelayedAck) {
                    let delay = self.receiver.ack_policy.delay(cx.config.delayed_ack, self.rtt.srtt());
                    self.timers.set(Timer::DelayedAck, cx.now + delay);
                }
            }
            AckDue::Now(_) if may_be_answered => self.membership.wants_answer = true,
            AckDue::Now(_) => self.membership.wants_output = true,
            AckDue::None | AckDue::WithAnswer => {}
        }
    }

    /// Owes an acknowledgment at once.
    fn owe_now(&mut self) {
        self.receiver.owe_ack_now(1);
        self.membership.wants_output = true;
    }

    /// Eighth: the peer's FIN, in this segment or in one that came before its turn.
    pub(super) fn check_fin(&mut self, cx: &mut Context<'_>, segment: &Segment<'_>) {
        if self.is_over() || !self.state.accepts_text() {
            return;
        }
        if segment.has(TcpFlags::FIN) {
            let sequence = segment.end() - 1;
            if sequence.at_or_before(self.receiver.rcv_nxt + self.receiver.window()) {
                self.receiver.note_fin(sequence);
            }
            self.receiver.owe_one_ack();
            self.membership.wants_output = true;
        }
        if !self.receiver.take_fin() {
            return;
        }
        self.receiver.owe_one_ack();
        self.membership.wants_output = true;
        self.notices.add(Notices::READABLE);
        self.transition(Input::Fin, "peer's FIN");
        match self.state {
            State::TimeWait => self.note_end(cx, EndReason::Finished),
            State::Closing if self.owner == Owner::Nobody => {
                self.timers.set(Timer::Lifetime, cx.now + cx.config.orphan_timeout);
            }
            State::Closed
            | State::Listen
            | State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => {}
        }
    }
}
