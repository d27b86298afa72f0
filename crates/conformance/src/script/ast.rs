//! A script as data: what [`parse`](super::Script::parse) makes of the text, and the runner goes through.

use core::time::Duration;

use netloom_stack::transport::Congestion;

use super::segment::Segment;

/// One timed step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Where it stands, for messages.
    pub(super) line: u32,
    pub(super) time: EventTime,
    pub(super) action: Action,
}

/// When a step happens: since the start of the script, or since the step before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventTime {
    /// `0.3`
    Absolute(Duration),
    /// `+0.3`
    Relative(Duration),
    /// `0.3~0.5`
    AbsoluteRange(Duration, Duration),
    /// `+0.3~+0.5`
    RelativeRange(Duration, Duration),
    /// `*`
    Any,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// `<`: the peer's segment arrives.
    Inbound(Packet),
    /// `>`: the host sends this segment.
    Outbound(Packet),
    /// `< icmp`: an ICMP error arrives.
    Icmp(Icmp),
    /// A system call and its result.
    Call(TimedCall),
    /// `%{ assert ... }%`
    Assert(Vec<Assertion>),
}

/// A segment, and between which ports if the script says so: as they stand on the wire, source first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) ports: Option<(u16, u16)>,
    pub(super) segment: Segment,
}

/// An ICMP error about a segment that the host sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Icmp {
    pub(super) kind: IcmpKind,
    pub(super) mtu: u16,
    /// The segment it is about: its first number, its bytes of text.
    pub(super) start: u32,
    pub(super) len: u16,
}

/// The errors that a script can inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IcmpKind {
    NetUnreachable,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    FragNeeded,
    HostProhibited,
    PacketFiltered,
    PacketTooBig,
    AdminProhibited,
    AddressUnreachable,
}

/// A kind, packetdrill's words for it, and its type and code over IPv4 and over IPv6 where it exists there.
type IcmpRow = (IcmpKind, &'static [&'static str], Option<(u8, u8)>, Option<(u8, u8)>);

impl IcmpKind {
    const TABLE: [IcmpRow; 10] = [
        (Self::NetUnreachable, &["unreachable", "net_unreachable"], Some((3, 0)), Some((1, 0))),
        (Self::HostUnreachable, &["unreachable", "host_unreachable"], Some((3, 1)), None),
        (Self::ProtocolUnreachable, &["unreachable", "protocol_unreachable"], Some((3, 2)), None),
        (Self::PortUnreachable, &["unreachable", "port_unreachable"], Some((3, 3)), Some((1, 4))),
        (Self::FragNeeded, &["unreachable", "frag_needed"], Some((3, 4)), None),
        (Self::HostProhibited, &["unreachable", "host_prohibited"], Some((3, 10)), None),
        (Self::PacketFiltered, &["unreachable", "packet_filtered"], Some((3, 13)), None),
        (Self::PacketTooBig, &["packet_too_big"], None, Some((2, 0))),
        (Self::AdminProhibited, &["unreachable", "admin_prohibited"], None, Some((1, 1))),
        (Self::AddressUnreachable, &["unreachable", "address_unreachable"], None, Some((1, 3))),
    ];

    pub(super) fn from_words(words: &[String]) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known, ..)| known == &words).map(|(kind, ..)| *kind)
    }

    /// ICMP's type and code.
    pub(super) fn v4(self) -> Option<(u8, u8)> {
        Self::TABLE.iter().find(|(kind, ..)| *kind == self).and_then(|(_, _, v4, _)| *v4)
    }

    /// ICMPv6's type and code.
    pub(super) fn v6(self) -> Option<(u8, u8)> {
        Self::TABLE.iter().find(|(kind, ..)| *kind == self).and_then(|(_, _, _, v6)| *v6)
    }
}

/// A file descriptor, as the script numbers them.
pub(super) type Fd = i64;

/// A system call, its result, and for one that blocks, when it returns (since the same time as its start).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimedCall {
    pub(super) call: Call,
    pub(super) outcome: Outcome,
    pub(super) returns_at: Option<Duration>,
}

/// A system call with what matters of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Socket,
    Bind {
        fd: Fd,
    },
    Listen {
        fd: Fd,
        backlog: usize,
    },
    Accept {
        fd: Fd,
    },
    Connect {
        fd: Fd,
    },
    SetFlags {
        fd: Fd,
        is_nonblocking: bool,
    },
    GetFlags {
        fd: Fd,
    },
    SetOption {
        fd: Fd,
        option: SocketOption,
    },
    /// `SO_ERROR`, with the value that it must have.
    GetError {
        fd: Fd,
        expected: Option<Errno>,
    },
    /// `TCP_MAXSEG`, with the value that it must have.
    GetMaxSegment {
        fd: Fd,
        expected: u32,
    },
    Read {
        fd: Fd,
        len: usize,
    },
    /// `MSG_OOB` makes the bytes urgent.
    Write {
        fd: Fd,
        len: usize,
        is_urgent: bool,
    },
    Shutdown {
        fd: Fd,
        how: Shutdown,
    },
    Close {
        fd: Fd,
    },
}

/// Which half `shutdown` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
    Read,
    Write,
    Both,
}

/// What `setsockopt` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketOption {
    /// Accepted, and without an effect: a port of netloom is free at once.
    ReuseAddress,
    /// Accepted, and without an effect: netloom leaves urgent bytes in the stream, as RFC 6093 asks.
    UrgentInline,
    NoDelay(bool),
    Keepalive(bool),
    KeepaliveIdle(Duration),
    KeepaliveInterval(Duration),
    KeepaliveProbes(u8),
    UserTimeout(Duration),
    Congestion(Congestion),
    SendBuffer(u32),
    ReceiveBuffer(u32),
    /// `{onoff=1, linger=0}`: close resets.
    LingerZero,
    /// Connections that a cookie may open, unfinished.
    FastOpen(u32),
    /// Whether data may go with the SYN.
    FastOpenConnect(bool),
}

/// What a system call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Value(i64),
    Errno(Errno),
}

impl core::fmt::Display for Outcome {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Errno(errno) => write!(f, "-1 {}", errno.name()),
        }
    }
}

/// Why a system call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errno {
    AddressInUse,
    AddressNotAvailable,
    Again,
    Already,
    BadFd,
    BrokenPipe,
    ConnectionAborted,
    ConnectionRefused,
    ConnectionReset,
    HostUnreachable,
    InProgress,
    Invalid,
    IsConnected,
    NetworkUnreachable,
    NoBuffers,
    NotConnected,
    TimedOut,
}

impl Errno {
    const TABLE: [(Self, &'static str); 17] = [
        (Self::AddressInUse, "EADDRINUSE"),
        (Self::AddressNotAvailable, "EADDRNOTAVAIL"),
        (Self::Again, "EAGAIN"),
        (Self::Already, "EALREADY"),
        (Self::BadFd, "EBADF"),
        (Self::BrokenPipe, "EPIPE"),
        (Self::ConnectionAborted, "ECONNABORTED"),
        (Self::ConnectionRefused, "ECONNREFUSED"),
        (Self::ConnectionReset, "ECONNRESET"),
        (Self::HostUnreachable, "EHOSTUNREACH"),
        (Self::InProgress, "EINPROGRESS"),
        (Self::Invalid, "EINVAL"),
        (Self::IsConnected, "EISCONN"),
        (Self::NetworkUnreachable, "ENETUNREACH"),
        (Self::NoBuffers, "ENOBUFS"),
        (Self::NotConnected, "ENOTCONN"),
        (Self::TimedOut, "ETIMEDOUT"),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(_, known)| *known == name).map(|(errno, _)| *errno)
    }

    pub(super) fn name(self) -> &'static str {
        Self::TABLE.iter().find(|(errno, _)| *errno == self).map_or("?", |(_, name)| name)
    }
}

/// `assert left op right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    pub(super) field: InfoField,
    pub(super) comparison: Comparison,
    pub(super) value: i64,
    /// As written, for messages.
    pub(super) text: String,
}

/// The fields of Linux' `struct tcp_info` that a script can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InfoField {
    /// Linux' number of the state.
    State,
    /// The congestion window, in segments.
    SndCwnd,
    /// The slow start threshold, in segments.
    SndSsthresh,
    /// Segments in flight.
    Unacked,
    /// The retransmission timeout, in microseconds.
    Rto,
    /// The smoothed round-trip time, in microseconds.
    Rtt,
    /// Bytes of text in a full segment.
    SndMss,
}

impl InfoField {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "tcpi_state" => Self::State,
            "tcpi_snd_cwnd" => Self::SndCwnd,
            "tcpi_snd_ssthresh" => Self::SndSsthresh,
            "tcpi_unacked" => Self::Unacked,
            "tcpi_rto" => Self::Rto,
            "tcpi_rtt" => Self::Rtt,
            "tcpi_snd_mss" => Self::SndMss,
            _ => return None,
        })
    }
}

/// How both sides of an assertion compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Longer signs first, so that `<=` is not read as `<`.
    pub(super) const SIGNS: [(&'static str, Self); 6] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    pub(super) const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}
