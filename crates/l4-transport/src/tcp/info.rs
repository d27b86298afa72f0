//! What those who look at TCP see: connections, listeners, numbers.

use core::net::SocketAddr;
use core::time::Duration;

use netloom_base::{Instant, SlabId};

use super::config::{TcpBind, TcpConfig};
use super::congestion::Congestion;
use super::connection::{Connection, Origin, Owner};
use super::error::TcpError;
use super::id::{TcpListenerId, TcpSocketId};
use super::layer::Tcp;
use super::path_search::PathMtuSearch;
use super::reason::{EndReason, FastOpenFallback, SendBlockedBy};
use super::recovery::RecoveryPhase;
use super::segment::Reply;
use super::state::State;
use super::statistics::Statistics;
use super::tuple::FourTuple;
use super::window_tuner::WindowTuner;

/// A connection as it is now. Lengths are in bytes.
#[derive(Clone, Debug)]
pub struct TcpInfo {
    /// Its state.
    pub state: State,
    /// Who began it.
    pub origin: Origin,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Whether a user holds it; otherwise it waits to be accepted, or was closed and lives until it is done.
    pub is_held: bool,
    /// When it was begun.
    pub opened_at: Instant,
    /// When the peer was last heard.
    pub last_heard: Instant,
    /// When text, a SYN or a FIN was last sent, be it again; `None`: never.
    pub last_sent: Option<Instant>,
    /// Smoothed round-trip time (RFC 6298).
    pub srtt: Option<Duration>,
    /// Its variation.
    pub rttvar: Duration,
    /// The shortest round trip.
    pub min_rtt: Option<Duration>,
    /// The retransmission timeout, backed off as it is.
    pub rto: Duration,
    /// How often it was doubled.
    pub backoff: u8,
    /// The congestion control.
    pub congestion: Congestion,
    /// Bytes that may be in flight.
    pub cwnd: u32,
    /// Where slow start ends; `None`: nowhere yet.
    pub ssthresh: Option<u32>,
    /// At which what leaves is spread over time, in bytes a second; `None`: as fast as it comes.
    pub pacing_rate: Option<u64>,
    /// Bytes a second that arrived in the last whole round trip; `None` before the first.
    pub delivery_rate: Option<u64>,
    /// Where loss recovery stands.
    pub recovery: RecoveryPhase,
    /// Duplicate acknowledgments in a row.
    pub duplicate_acks: u32,
    /// Text in a full segment.
    pub mss: u32,
    /// Largest packet that the path takes.
    pub path_mtu: u16,
    /// Whether larger ones are tried, and when (RFC 4821); `None`: it takes what the interface takes.
    pub path_mtu_search: Option<PathMtuSearch>,
    /// The window that the peer offers.
    pub snd_wnd: u32,
    /// The window that is offered to the peer.
    pub rcv_wnd: u32,
    /// By how many bits the peer's window and ours are scaled (RFC 7323).
    pub window_scales: (u8, u8),
    /// Whether segments carry timestamps (RFC 7323).
    pub timestamps: bool,
    /// Whether both ends report what arrives out of order (RFC 2018).
    pub sack: bool,
    /// Whether explicit congestion notification is in use (RFC 3168).
    pub ecn: bool,
    /// Whether data went with the SYN, ours or the peer's, and was acknowledged with it (RFC 7413).
    pub syn_data: bool,
    /// Why none did although it was asked for.
    pub fast_open_fallback: Option<FastOpenFallback>,
    /// Segments that came marked: they met congestion on their way here.
    pub ce_received: u32,
    /// Acknowledgments with ECE: what was sent met congestion.
    pub ece_received: u32,
    /// Written and not acknowledged.
    pub send_queue_len: usize,
    /// Of those, not even sent.
    pub unsent_len: u32,
    /// Sent and not acknowledged.
    pub outstanding_len: u32,
    /// Of those, in flight: not reported by SACK, and not taken for lost.
    pub flight_len: u32,
    /// Of those, reported by SACK (RFC 2018).
    pub sacked_len: u32,
    /// Of those, taken for lost and not sent again yet.
    pub lost_len: u32,
    /// Of those, sent again and in flight.
    pub retransmitted_len: u32,
    /// Whether the path is known to reorder (RFC 8985 6.2).
    pub has_seen_reordering: bool,
    /// Received in order and not read.
    pub receive_queue_len: usize,
    /// Runs of data that wait for a hole before them.
    pub out_of_order_ranges: usize,
    /// Bytes up to the end of urgent data that were not read yet; they are read in line (RFC 6093 3.1). [9293 MUST-33] [1122-T021]
    pub urgent_remaining: Option<u32>,
    /// Text sent for the first time.
    pub bytes_sent: u64,
    /// Text sent again.
    pub bytes_retransmitted: u64,
    /// Text, SYN and FIN acknowledged.
    pub bytes_acked: u64,
    /// Text received in order.
    pub bytes_received: u64,
    /// How long an acknowledgment is held back now.
    pub ack_delay: Duration,
    /// Text in the peer's full segments, as far as they were seen.
    pub receive_mss: u32,
    /// The MSS that we told the peer.
    pub advertised_mss: u16,
    /// The widest window that tuning offers now, while nothing waits for the reader.
    pub rcv_wnd_limit: u32,
    /// The round trip as what arrives shows it; `None` unless the window is being tuned.
    pub receive_rtt: Option<Duration>,
    /// The most that the reader took in such a round trip.
    pub receive_space: Option<u32>,
    /// Segments sent since the connection is one, the parts of super-segments counted; this and the next five begin again
    /// at 0 after 2^32.
    pub segments_sent: u32,
    /// Segments received, whatever became of them.
    pub segments_received: u32,
    /// Of those sent, with text.
    pub text_segments_sent: u32,
    /// Of those received, with text.
    pub text_segments_received: u32,
    /// Segments that came before what goes before them.
    pub out_of_order_segments: u32,
    /// Duplicates that the peer has reported (RFC 2883).
    pub dsacks_received: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// Timers that ran out.
    pub timeouts: u32,
    /// Recoveries that a timer began.
    pub timeout_recoveries: u32,
    /// How long they took. This and the next three are as of the last time that something happened.
    pub timeout_recovery_time: Duration,
    /// How long there was something to send, or to be acknowledged.
    pub busy_time: Duration,
    /// How long the peer's window kept it from sending.
    pub window_limited_time: Duration,
    /// How long all that was written was sent, and a writer waited for room.
    pub buffer_limited_time: Duration,
    /// Probes in a row that the peer has not answered, of its window and of its life.
    pub unanswered_probes: u8,
    /// What keeps it from sending more.
    pub blocked_by: SendBlockedBy,
    /// Why it ended, if it did.
    pub end_reason: Option<EndReason>,
    /// The same as a user is told.
    pub error: Option<TcpError>,
    /// The last ICMP error that did not end it, until something is acknowledged. [9293 SHLD-25]
    pub soft_error: Option<TcpError>,
}

/// A listener as it is now.
#[derive(Clone, Copy, Debug)]
pub struct TcpListenerInfo {
    /// Its id.
    pub id: TcpListenerId,
    /// What it is bound to.
    pub local: TcpBind,
    /// Connections that may wait to be accepted.
    pub backlog: usize,
    /// Connections that wait to be accepted.
    pub waiting: usize,
    /// Handshakes that are not done.
    pub half_open: usize,
    /// SYNs that wait for a decision.
    pub pending: usize,
    /// Connections that a cookie has opened and whose handshake is not done, and those that count as such (RFC 7413 5.1).
    pub fast_open: usize,
}

/// What TCP holds: for those who watch for leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpUsage {
    /// Connections, those included that are over and still held by a user.
    pub connections: usize,
    /// Of those, connections on which something may still happen.
    pub active: usize,
    /// Handshakes of peers that are not done.
    pub half_open: usize,
    /// Connections in TIME-WAIT.
    pub time_wait: usize,
    /// Handshakes that somebody decided about, and whose outcome he has not taken.
    pub outcomes: usize,
    /// Listeners.
    pub listeners: usize,
    /// Timers that are armed.
    pub timers: usize,
    /// Bytes in buffers.
    pub buffer_bytes: usize,
}

impl TcpUsage {
    /// Connections and handshakes on which something may still happen: TIME-WAIT does not count.
    pub const fn live(&self) -> usize {
        self.active + self.half_open
    }
}

impl Tcp {
    /// A connection that a user holds, as it is now.
    pub fn info(&self, id: TcpSocketId) -> Option<TcpInfo> {
        self.held(id).map(|connection| connection.info(&self.config))
    }

    /// All connections on which something may still happen, or that a user holds. Walks the table: for tools.
    pub fn connections(&self) -> impl Iterator<Item = (TcpSocketId, TcpInfo)> + '_ {
        self.connections.iter().map(|(id, connection)| (TcpSocketId(id), connection.info(&self.config)))
    }

    /// All handshakes that peers have begun. Walks the table: for tools.
    pub fn half_open(&self) -> impl Iterator<Item = FourTuple> + '_ {
        self.half_open.iter().map(|(_, entry)| entry.tuple)
    }

    /// All connections in TIME-WAIT, and when they leave it. Walks the table: for tools.
    pub fn time_waits(&self) -> impl Iterator<Item = (FourTuple, Option<Instant>)> + '_ {
        self.time_waits.iter().map(|(id, entry)| (entry.tuple, self.time_wait_deadlines.get(id.index())))
    }

    /// All listeners. Walks the table: for tools.
    pub fn listeners(&self) -> impl Iterator<Item = TcpListenerInfo> + '_ {
        self.listeners.iter().map(|(id, listener)| TcpListenerInfo {
            id: TcpListenerId(id),
            local: listener.bind,
            backlog: listener.options.backlog,
            waiting: listener.accept_queue.len(),
            half_open: listener.half_open_count(),
            pending: listener.pending_count(),
            fast_open: listener.fast_open_count(),
        })
    }

    /// Bytes of memory that the tables hold, which find connections, handshakes and TIME-WAIT, and those themselves; not what
    /// buffers hold. They grow with what is in them, and do not shrink. Walks the tables: for tools.
    pub fn table_bytes(&self) -> usize {
        let things = self.connections.allocated() + self.time_waits.allocated() + self.half_open.allocated();
        let deadlines = self.deadlines.allocated()
            + self.time_wait_deadlines.allocated()
            + self.half_open_deadlines.allocated();
        let listeners = self.listeners.iter().map(|(_, listener)| listener.allocated()).sum::<usize>();
        let statistics = self.connections.iter().filter(|(_, it)| it.statistics.is_some()).count()
            * size_of::<Statistics>();
        let queues = (self.ready.capacity() + self.ready_half_open.capacity()) * size_of::<SlabId>()
            + self.replies.capacity() * size_of::<Reply>();
        things
            + self.demux.allocated()
            + deadlines
            + self.listeners.allocated()
            + listeners
            + statistics
            + queues
    }

    /// What there is now.
    pub fn usage(&self) -> TcpUsage {
        debug_assert_eq!(
            self.memory.used(),
            self.connections.iter().map(|(_, connection)| connection.allocated()).sum::<usize>(),
            "every buffer is accounted for"
        );
        // The demux leads to nothing that is over.
        let active = self.demux.len() - self.time_waits.len() - self.half_open.len();
        debug_assert_eq!(
            active,
            self.connections.iter().filter(|(_, connection)| !connection.is_over()).count(),
            "every connection that is not over is found"
        );
        TcpUsage {
            connections: self.connections.len(),
            active,
            half_open: self.half_open.len(),
            time_wait: self.time_waits.len(),
            outcomes: self.outcomes.len(),
            listeners: self.listeners.len(),
            timers: self.deadlines.len() + self.time_wait_deadlines.len() + self.half_open_deadlines.len(),
            buffer_bytes: self.memory.used(),
        }
    }
}

impl Connection {
    fn info(&self, config: &TcpConfig) -> TcpInfo {
        let statistics = self.statistics.as_deref().copied().unwrap_or_default();
        TcpInfo {
            state: self.state,
            origin: self.origin,
            local: self.tuple.local(),
            remote: self.tuple.remote(),
            is_held: self.owner == Owner::User,
            opened_at: self.opened_at,
            last_heard: self.last_heard,
            last_sent: Some(self.sender.last_sent_at).filter(|&at| at > Instant::ZERO),
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min_rtt(),
            rto: self.rtt.rto(),
            backoff: self.rtt.backoff(),
            congestion: self.congestion.which(),
            cwnd: self.congestion_window(),
            ssthresh: Some(self.congestion.ssthresh()).filter(|&ssthresh| ssthresh != u32::MAX),
            pacing_rate: self.pacer.rate(),
            delivery_rate: self.congestion.delivery_rate(),
            recovery: self.recovery.phase,
            duplicate_acks: self.recovery.duplicate_acks,
            mss: self.sender.mss,
            path_mtu: self.mtu,
            path_mtu_search: self.mtu_search(),
            snd_wnd: self.sender.snd_wnd,
            rcv_wnd: self.receiver.window(),
            window_scales: (self.negotiated.snd_shift, self.negotiated.rcv_shift),
            timestamps: self.negotiated.timestamps,
            sack: self.negotiated.sack,
            ecn: self.negotiated.ecn,
            syn_data: self.fast_open.as_ref().is_some_and(|it| it.has_carried_data),
            fast_open_fallback: self.fast_open.as_ref().and_then(|it| it.fallback),
            ce_received: self.ecn.ce_received,
            ece_received: self.ecn.ece_received,
            send_queue_len: self.sender.queue.len(),
            unsent_len: self.sender.unsent_len(),
            outstanding_len: self.sender.snd_una.distance_to(self.sender.snd_nxt),
            flight_len: self.sender.flight_len(),
            sacked_len: self.sender.scoreboard.sacked_len(),
            lost_len: self.sender.scoreboard.lost_len(),
            retransmitted_len: self.sender.scoreboard.retransmitted_len(),
            has_seen_reordering: self.rack.has_seen_reordering(),
            receive_queue_len: self.receiver.queue.len(),
            out_of_order_ranges: self.receiver.range_count(),
            urgent_remaining: self.receiver.urgent_remaining(),
            bytes_sent: self.totals.bytes_sent,
            bytes_retransmitted: statistics.bytes_retransmitted,
            bytes_acked: self.totals.bytes_acked,
            bytes_received: self.totals.bytes_received,
            ack_delay: self.receiver.ack_policy.delay(config.delayed_ack, self.rtt.srtt()),
            receive_mss: self.receiver.segment_len(),
            advertised_mss: self.receiver.advertised_mss,
            rcv_wnd_limit: self.receiver.offered(),
            receive_rtt: self.receiver.tuner().and_then(WindowTuner::rtt),
            receive_space: self.receiver.tuner().map(WindowTuner::most_read),
            segments_sent: self.totals.segments_sent,
            segments_received: self.totals.segments_received,
            text_segments_sent: self.totals.text_segments_sent,
            text_segments_received: self.totals.text_segments_received,
            out_of_order_segments: statistics.out_of_order_segments,
            dsacks_received: statistics.dsacks_received,
            retransmits: self.totals.retransmits,
            timeouts: self.totals.timeouts,
            timeout_recoveries: self.timeout_recoveries.into(),
            timeout_recovery_time: statistics.timeout_recovery.duration(),
            busy_time: self.totals.busy.duration(),
            window_limited_time: statistics.window_limited.duration(),
            buffer_limited_time: statistics.buffer_limited.duration(),
            unanswered_probes: self.attempts.unanswered_probe.max(self.attempts.keepalive),
            blocked_by: self.blocked_by,
            end_reason: self.end_reason,
            error: self.error(),
            soft_error: self.soft_error,
        }
    }
}
