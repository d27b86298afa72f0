//! ICMP errors about what we sent (RFC 9293 3.9.2.2), believed only as far as RFC 5927 advises.
//!
//! An error is matched by the four-tuple that it quotes, and its quoted sequence number must be in flight: somebody who
//! does not see the traffic cannot guess that. Even then it ends a connection only before it is established.

use netloom_base::Instant;
use netloom_wire::{IcmpError, IcmpErrorKind, Protocol, SeqNumber};
use tracing::{debug, trace};

use super::connection::{Connection, Context, Notices};
use super::counters::TcpCounters;
use super::demux::Slot;
use super::error::TcpError;
use super::layer::Tcp;
use super::path_search::RAISE_INTERVAL;
use super::reason::{EndReason, IcmpIgnored, RetransmitCause};
use super::scoreboard::SentSegment;
use super::state::{Input, State};
use super::tuple::FourTuple;

/// MTUs that links have (RFC 1191 7.1), for routers that do not tell theirs.
const PLATEAUS: [u16; 8] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 576];

/// What an error means to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Ends an attempt to connect.
    Hard(TcpError),
    /// Only a hint.
    Soft(TcpError),
    /// Packets are too large.
    TooBig(Option<u16>),
}

fn meaning(kind: IcmpErrorKind) -> Meaning {
    match kind {
        // [9293 SHLD-26] [1122-T090]
        IcmpErrorKind::PortUnreachable => Meaning::Hard(TcpError::ConnectionRefused),
        IcmpErrorKind::ProtocolUnreachable => Meaning::Hard(TcpError::HostUnreachable),
        // [9293 MUST-56] [1122-T089] [1122-T092] [1122-T093]
        IcmpErrorKind::NetworkUnreachable => Meaning::Soft(TcpError::NetworkUnreachable),
        IcmpErrorKind::HostUnreachable
        | IcmpErrorKind::SourceRouteFailed
        | IcmpErrorKind::Prohibited
        | IcmpErrorKind::HopLimitExceeded
        | IcmpErrorKind::ReassemblyTimeExceeded
        | IcmpErrorKind::ParameterProblem { .. } => Meaning::Soft(TcpError::HostUnreachable),
        IcmpErrorKind::PacketTooBig { mtu } => Meaning::TooBig(mtu),
    }
}

impl Tcp {
    /// Takes an ICMP error about a segment that we seem to have sent. [9293 MUST-54] [1122-T087]
    pub fn handle_icmp(&mut self, now: Instant, error: &IcmpError<'_>) {
        if error.protocol != Protocol::TCP {
            return;
        }
        let [s0, s1, d0, d1, n0, n1, n2, n3] = error.quote.first_chunk::<8>().copied().unwrap_or_default();
        let tuple = FourTuple {
            local_address: error.source,
            remote_address: error.destination,
            local_port: u16::from_be_bytes([s0, s1]),
            remote_port: u16::from_be_bytes([d0, d1]),
        };
        let sequence = SeqNumber(u32::from_be_bytes([n0, n1, n2, n3]));
        if error.quote.len() < 8 {
            return ignore(&mut self.counters, tuple, IcmpIgnored::Truncated);
        }
        match self.slot_of(&tuple) {
            Some(Slot::Connection(id)) => {
                self.with_connection(now, id, |connection, cx| {
                    if !connection.is_in_flight(sequence) {
                        return ignore(cx.counters, tuple, IcmpIgnored::NotInFlight);
                    }
                    debug!(%tuple, kind = ?error.kind, reporter = %error.reporter, "ICMP error");
                    connection.on_icmp(cx, meaning(error.kind), sequence);
                });
            }
            Some(Slot::HalfOpen(_) | Slot::TimeWait(_)) => {
                ignore(&mut self.counters, tuple, IcmpIgnored::NothingToLose);
            }
            None => ignore(&mut self.counters, tuple, IcmpIgnored::NoConnection),
        }
    }
}

/// An error that changes nothing.
fn ignore(counters: &mut TcpCounters, tuple: FourTuple, reason: IcmpIgnored) {
    trace!(%tuple, %reason, "ICMP error ignored");
    counters.count_icmp_ignored(reason);
}

impl Connection {
    fn on_icmp(&mut self, cx: &mut Context<'_>, meaning: Meaning, sequence: SeqNumber) {
        match meaning {
            Meaning::Hard(error) => {
                self.soft_error = Some(error);
                if self.state == State::SynSent {
                    self.end(cx, Input::Abort, EndReason::IcmpRefused);
                } else {
                    self.notices.add(Notices::REPORT);
                }
            }
            // [9293 SHLD-25] [1122-T088]
            Meaning::Soft(error) => {
                self.soft_error = Some(error);
                self.notices.add(Notices::REPORT);
            }
            Meaning::TooBig(mtu) => self.on_packet_too_big(cx, mtu, sequence),
        }
    }

    /// Segments become smaller, and what is in flight is sent again at once: it was not congestion (RFC 1191 6.4).
    /// Path MTU discovery is always on, so PAWS never meets a datagram of ours that was reassembled wrongly. [7323-45]
    fn on_packet_too_big(&mut self, cx: &mut Context<'_>, mtu: Option<u16>, sequence: SeqNumber) {
        let least = self.least_mtu();
        let told = mtu.filter(|&mtu| mtu > 0);
        let mtu = told
            .or_else(|| PLATEAUS.into_iter().find(|&plateau| plateau < self.mtu))
            .unwrap_or(least)
            .max(least);
        if self.is_probe_too_big(cx.now, sequence, told) {
            return;
        }
        if mtu >= self.mtu {
            return ignore(cx.counters, self.tuple, IcmpIgnored::NotSmaller);
        }
        // [1191-02] [8201-02]: no attempt to send more for ten minutes.
        self.lower_mtu(mtu, cx.now + RAISE_INTERVAL);
        if self.state.is_synchronized() && self.sender.is_outstanding() {
            // What fitted before may be on its way; what is larger now was dropped.
            let smss = self.sender.mss;
            self.sender.stop_timing();
            let is_too_long = |segment: &SentSegment| segment.longest_part() > smss;
            self.sender.scoreboard.lose_where(RetransmitCause::PathMtu, is_too_long);
        }
        self.membership.wants_output = true;
        self.rearm_send_timers(cx.now);
    }
}
