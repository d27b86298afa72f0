//! What TCP is built from, and what a socket can be told.

use core::net::IpAddr;
use core::time::Duration;

use netloom_base::{GsoKind, Sharding};

use super::congestion::Congestion;
use super::fast_open_secret::FastOpenSecret;
use crate::ports::PortRange;

/// Bounds and choices of a [`Tcp`](super::Tcp). Every table has a bound; its cost stands beside it.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Which shard of the host this is: it connects only from ports that make the connection its own.
    pub sharding: Sharding,
    /// Connections at once. Each takes about 1 KiB, and its buffers while they hold something. At the bound a
    /// connect fails, and a handshake is not finished until there is room.
    pub max_connections: usize,
    /// Connections in TIME-WAIT. Each takes about 150 bytes with its index. At the bound the oldest goes early.
    pub max_time_wait: usize,
    /// Handshakes that peers have begun, over all listeners. Each takes about 160 bytes with its index. At the bound
    /// new ones are answered with cookies; without those the oldest of the same listener goes, and where it has none,
    /// the new one is dropped.
    pub max_half_open: usize,
    /// When a handshake takes no memory here (RFC 4987 3.6).
    pub syn_cookies: SynCookieMode,
    /// What cookies of Fast Open are made of; `None`: of one that this stack draws. Shards of a host need the same.
    pub fast_open_secret: Option<FastOpenSecret>,
    /// Servers whose Fast Open cookies are remembered, and paths on which they failed; about 100 bytes each.
    pub max_fast_open_paths: usize,
    /// Listeners at once; each takes about 200 bytes and its queues.
    pub max_listeners: usize,
    /// Answers without a connection (resets, challenges) that may wait to be sent; about 200 bytes each. Beyond that
    /// they are not sent.
    pub max_replies: usize,
    /// Separate runs of data that wait for a hole before them to fill, a connection; 8 bytes each while they wait, beside
    /// their pieces of 512 bytes and more, which count as buffers. A peer
    /// whose slow start overruns a queue of a thousand packets leaves a hole before every second one. Beyond that new
    /// ones are dropped, and the peer sends them again.
    pub max_out_of_order_ranges: usize,
    /// Bytes that a socket holds for sending at most, unless it is told otherwise. A bound: memory is taken as it is
    /// needed, and no more than twice the congestion window is accepted ahead. It has to hold what is in flight:
    /// 12.5 MB at 1 Gbit/s and 100 ms, and about twice that if the path is as full the other way, where acknowledgments
    /// come in bursts.
    pub send_buffer: usize,
    /// Bytes that a socket holds for its reader at most, unless it is told otherwise: the largest window offered. A
    /// connection begins with `first_window`, and gets more as its reader takes more in a round trip. Memory is taken as
    /// bytes wait for the reader. The default is what a scale of 9 can say.
    pub receive_buffer: usize,
    /// Bytes of the window that a connection begins with, unless its socket is told how much it holds for its reader. 1 MiB fills
    /// any local network from the first round trip.
    pub first_window: usize,
    /// Bytes that the buffers of all connections hold together. From three quarters of it on windows and sends become
    /// smaller until half of it is free again; at the bound no buffer grows beyond 4 KiB, and text that would need more is
    /// dropped, for the peer to send again. No connection is ended. Beside it the stack has up to 64 buffers of
    /// [`PIECE_LEN`](netloom_base::PIECE_LEN) bytes free, and 64 on loan to connections that few bytes have come to.
    pub max_buffer_bytes: usize,
    /// How long TIME-WAIT lasts: twice the maximum segment lifetime (RFC 9293 3.4.2 has 2 minutes for one; 30 seconds
    /// is what hosts use).
    pub time_wait: Duration,
    /// Which congestion control new connections use, unless their sockets are told otherwise.
    pub congestion: Congestion,
    /// Whether what leaves is spread over the round trip, where that is a millisecond or more.
    pub pacing: bool,
    /// How long an acknowledgment is held back; up to a round trip and 200 ms, where segments come more slowly
    /// (RFC 9293 3.8.6.3 allows 500 ms); at most 40 ms once a peer has sent again what it waited for.
    pub delayed_ack: Duration,
    /// Whether window scaling is offered and accepted (RFC 7323 2).
    pub window_scaling: bool,
    /// Whether timestamps are offered and accepted (RFC 7323 3).
    pub timestamps: bool,
    /// Whether SACK is offered and accepted (RFC 2018), with duplicates reported as RFC 2883 has it.
    pub sack: bool,
    /// Whether a path that swallows large packets is noticed, and larger packets are tried from time to time (RFC 4821).
    /// Without it, only routers say what a path takes.
    pub mtu_probing: bool,
    /// The packet, in bytes, that is taken to pass everywhere: where large ones vanish it is tried first (BASE_PLPMTU of
    /// RFC 8899 5.1.2). At least what every host takes is used. [8899-01] [4821-11]
    pub base_path_mtu: u16,
    /// Whether connections use explicit congestion notification (RFC 3168).
    pub ecn: EcnMode,
    /// How long a SYN waits for its listener's user to decide about it ([`SynAnswer::OnDecision`]); then it is forgotten.
    /// Its peer has sent it seven times by then.
    pub decision_timeout: Duration,
    /// How often a SYN or SYN-ACK is sent again. 7 make 183 seconds; RFC 9293 3.8.3 asks for three minutes.
    pub syn_retries: u8,
    /// Retransmissions of one segment after which the path is suspected: R1 of RFC 9293 3.8.3.
    pub retries1: u8,
    /// Retransmissions of one segment after which the connection is given up: R2 of RFC 9293 3.8.3. 15 make about
    /// eight minutes, and never less than 100 seconds.
    /// [9293 SHLD-11]
    pub retries2: u8,
    /// How long a connection may stay in FIN-WAIT-2 after its socket was closed: nobody will read what still comes.
    pub fin_wait2_timeout: Duration,
    /// How long a connection whose socket was closed waits for a peer that keeps its window shut and takes nothing of
    /// what is left to send. An open socket waits for ever (RFC 9293 3.8.6.1), but here nobody could give up.
    pub orphan_timeout: Duration,
    /// Challenge acknowledgments that one connection sends within `challenge_ack_interval` (RFC 5961 7). The limit is
    /// each connection's own: a shared one tells outsiders about others' traffic.
    // [5961-13] [5961-14]
    pub challenge_acks: u8,
    /// See `challenge_acks`.
    pub challenge_ack_interval: Duration,
    /// The least time between two answers to segments without text outside the window.
    pub out_of_window_ack_interval: Duration,
    /// Super-segments that all devices take.
    pub tx_segmentation: TxSegmentation,
    /// Where ephemeral ports come from.
    pub ports: PortRange,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            sharding: Sharding::default(),
            max_connections: 1 << 17,
            max_time_wait: 65_536,
            max_half_open: 4096,
            syn_cookies: SynCookieMode::WhenFull,
            fast_open_secret: None,
            max_fast_open_paths: 1024,
            max_listeners: 1024,
            max_replies: 1024,
            max_out_of_order_ranges: 4096,
            send_buffer: 32 << 20,
            receive_buffer: 65_535 << 9,
            first_window: 1 << 20,
            max_buffer_bytes: 512 << 20,
            time_wait: Duration::from_secs(60),
            congestion: Congestion::Cubic,
            pacing: true,
            delayed_ack: Duration::from_millis(40),
            window_scaling: true,
            timestamps: true,
            sack: true,
            mtu_probing: true,
            base_path_mtu: 1200,
            ecn: EcnMode::Accept,
            decision_timeout: Duration::from_secs(64),
            syn_retries: 7,
            retries1: 3,
            retries2: 15,
            fin_wait2_timeout: Duration::from_secs(60),
            orphan_timeout: Duration::from_secs(120),
            challenge_acks: 10,
            challenge_ack_interval: Duration::from_secs(5),
            out_of_window_ack_interval: Duration::from_millis(500),
            tx_segmentation: TxSegmentation::default(),
            ports: PortRange::default(),
        }
    }
}

/// When a SYN is answered with a cookie instead of being kept (RFC 4987 3.6). It costs the connection its window scaling,
/// SACK and ECN where the peer has no timestamps, and an acknowledgment that is lost is not asked for again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynCookieMode {
    /// Never.
    Off,
    /// When the listener, or the table, has no room for another handshake.
    #[default]
    WhenFull,
    /// Always.
    Always,
}

/// Who uses explicit congestion notification (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnMode {
    /// Nobody.
    Off,
    /// Connections whose peer asks for it.
    #[default]
    Accept,
    /// Those, and connections from here ask for it.
    Request,
}

/// The largest TCP super-segment, in bytes of IP packet, that a device cuts, by kind; `None`: it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxSegmentation {
    /// [`DeviceCaps::tcp4_segmentation`](netloom_base::DeviceCaps::tcp4_segmentation).
    pub tcp4: Option<u32>,
    /// [`DeviceCaps::tcp6_segmentation`](netloom_base::DeviceCaps::tcp6_segmentation).
    pub tcp6: Option<u32>,
}

impl TxSegmentation {
    /// The limit towards `address`.
    pub const fn towards(self, address: IpAddr) -> Option<u32> {
        match GsoKind::tcp(address) {
            GsoKind::Tcp4 => self.tcp4,
            GsoKind::Tcp6 => self.tcp6,
            GsoKind::Udp => None,
        }
    }
}

/// In what a listener is bound to: every port.
pub(super) const ANY_PORT: u16 = 0;

/// When a listener answers a SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynAnswer {
    /// As soon as it comes, as long as there is room.
    #[default]
    AtOnce,
    /// When its user says so: [`Tcp::next_pending`](super::Tcp::next_pending).
    OnDecision,
}

/// An end of a connection that a socket is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpBind {
    /// Our address. For a listener `None` is every one, an unspecified address every one of its version of IP; for a
    /// connection `None` is the route's.
    pub address: Option<IpAddr>,
    /// Our port; 0: an ephemeral one.
    pub port: u16,
}

/// Probing of an idle connection (RFC 9293 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing must have been heard before the first probe.
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection is dead.
    pub probes: u8,
}

impl Default for Keepalive {
    /// Two hours, 75 seconds, 9 probes. [9293 MUST-28]
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// What a socket can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Whether small writes leave at once instead of waiting for the acknowledgment of what is in flight
    /// (RFC 9293 3.7.4).
    pub nodelay: bool,
    /// Whether only full segments leave, so that writes of any size share them; what is less waits for more, for 200 ms at
    /// most (TCP_CORK).
    pub cork: bool,
    /// Probing of the idle connection; off by default. [9293 MUST-25]
    pub keepalive: Option<Keepalive>,
    /// How long sent data may go unacknowledged (RFC 5482, TCP_USER_TIMEOUT); `None`: until R2.
    pub user_timeout: Option<Duration>,
    /// DSCP (6 bits) of what is sent; the two ECN bits are TCP's own.
    pub traffic_class: u8,
    /// TTL or hop limit of what is sent; `None`: the internet layer's own. [9293 MUST-49]
    pub hop_limit: Option<u8>,
    /// Which congestion control; `None`: [`TcpConfig::congestion`]. [9293 MAY-18]
    pub congestion: Option<Congestion>,
    /// Whether data may go with the SYN (RFC 7413, TCP_FASTOPEN_CONNECT): it may come to the server's application twice.
    pub fast_open: bool,
    /// Bytes held for sending; `None`: as many as the path needs, up to [`TcpConfig::send_buffer`].
    pub send_buffer: Option<u32>,
    /// Bytes held for the reader, and the window offered from the start; `None`: as many as the reader is worth, up to
    /// [`TcpConfig::receive_buffer`].
    pub receive_buffer: Option<u32>,
}

/// What a listener can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Finished handshakes that may wait to be accepted; at least one. As many unfinished ones may wait, and 16 more; and as
    /// many SYNs for a decision.
    pub backlog: usize,
    /// Connections that a cookie may have opened before their handshake is done (RFC 7413, TCP_FASTOPEN); 0: none ever, and
    /// no cookie is given. The application may get the data of a SYN twice. [7413-11]
    pub fast_open: usize,
    /// When a SYN is answered.
    pub answer: SynAnswer,
    /// Whether others that say so too may wait on the same address and port: a hash of its ends says whose a connection is.
    pub share: bool,
    /// What its connections begin with.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    /// A backlog of 1024.
    fn default() -> Self {
        Self {
            backlog: 1024,
            fast_open: 0,
            answer: SynAnswer::default(),
            share: false,
            socket: SocketOptions::default(),
        }
    }
}
