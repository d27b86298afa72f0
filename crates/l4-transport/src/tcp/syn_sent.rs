//! What a segment does to a connection in SYN-SENT (RFC 9293 3.10.7.3).

use netloom_base::DropReason;
use netloom_wire::TcpFlags;

use super::connection::{Connection, Context};
use super::negotiation::{Negotiated, negotiate, peer_mss};
use super::reason::{EndReason, ResetCause};
use super::segment::Segment;
use super::state::Input;

impl Connection {
    /// Processes a segment while our SYN is unanswered.
    pub(super) fn on_segment_in_syn_sent(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
    ) -> Result<(), DropReason> {
        self.count_received(segment);
        let acks_syn = self.check_ack_of_syn(cx, segment)?;
        if segment.has(TcpFlags::RST) {
            return self.check_rst_of_syn(cx, segment, acks_syn);
        }
        if !segment.has(TcpFlags::SYN) {
            return Err(DropReason::TcpUnacceptable);
        }
        self.last_heard = cx.now;
        self.learn_from_syn(cx, segment);
        if acks_syn {
            // [9293-u02]: what was written meanwhile goes with the acknowledgment.
            self.establish(cx, segment, Input::SynAck);
            self.receiver.owe_one_ack();
            self.process_ack(cx, segment)?;
            self.follow_fast_open(cx, segment);
            let result = self.process_text(cx, segment);
            self.check_fin(cx, segment);
            return result;
        }
        // [9293 MUST-10]: both ends opened at once. What else the segment carries comes again.
        self.transition(Input::Syn, "simultaneous open");
        self.dues.syn = true;
        self.membership.wants_output = true;
        self.set_window(segment);
        Ok(())
    }

    /// First: whether it acknowledges our SYN, and nothing that we never sent.
    fn check_ack_of_syn(&self, cx: &mut Context<'_>, segment: &Segment<'_>) -> Result<bool, DropReason> {
        if !segment.has(TcpFlags::ACK) {
            return Ok(false);
        }
        let acknowledgment = segment.header.acknowledgment;
        if acknowledgment.after(self.sender.iss) && acknowledgment.at_or_before(self.sender.snd_nxt) {
            return Ok(true);
        }
        if !segment.has(TcpFlags::RST) {
            cx.refuse(ResetCause::BadAckInHandshake, self.reset_at(acknowledgment));
        }
        Err(DropReason::TcpBadAck)
    }

    /// Second: the peer refuses. Without an acknowledgment of our SYN anybody could have sent it.
    fn check_rst_of_syn(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment<'_>,
        acks_syn: bool,
    ) -> Result<(), DropReason> {
        if !acks_syn {
            return Err(DropReason::TcpBadReset);
        }
        // [9293-u01]: RCV.NXT is not known yet; the acknowledgment is the proof.
        tracing::trace!(tuple = %self.tuple, sequence = %segment.header.sequence, "refused");
        self.end(cx, Input::Reset, EndReason::Refused);
        Ok(())
    }

    /// Fourth: what the peer's SYN says. Only a SYN says it: no other segment comes here. [7323-04]
    fn learn_from_syn(&mut self, cx: &Context<'_>, segment: &Segment<'_>) {
        let options = &segment.header.options;
        let ecn = self.is_ecn_granted(cx.config, segment);
        self.negotiated = Negotiated { ecn, ..negotiate(cx.config, self.receiver.limit(), options) };
        self.peer_mss = peer_mss(options, self.tuple.remote_address);
        self.note_interface_mtu(cx.now, segment.mtu);
        self.sender.shift = self.negotiated.snd_shift;
        self.receiver.synchronize(segment.header.sequence, self.negotiated.rcv_shift, self.negotiated.sack);
        if let Some(theirs) = options.timestamps
            && self.negotiated.timestamps
        {
            self.receiver.set_timestamp(cx.now, theirs.value);
        }
    }
}
