//! Typed reasons: why something was sent again, why nothing is sent, why a peer was refused, challenged or probed, why a
//! connection ended. docs/tcp.md lists them all.

use core::fmt;

macro_rules! reasons {
    ($(#[doc = $enum_doc:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[doc = $enum_doc])+
        ///
        /// The name (`Display`) is stable: tools and scripts match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

reasons! {
    /// Why a segment was sent again.
    RetransmitCause {
        /// A SYN or SYN-ACK was not acknowledged in time (RFC 6298).
        SynTimeout = "syn_timeout",
        /// The peer's SYN came again, or crossed ours: our SYN goes again with its acknowledgment.
        SynRepeated = "syn_repeated",
        /// The retransmission timer ran out (RFC 6298 5.4), or what follows it in slow start.
        Timeout = "timeout",
        /// The third duplicate acknowledgment (RFC 5681 3.2).
        FastRetransmit = "fast_retransmit",
        /// Something sent later has arrived, and this has had its time (RACK, RFC 8985 6.2).
        Rack = "rack",
        /// An acknowledgment is overdue: the end of the flight goes again to ask for it (RFC 8985 7.3).
        LossProbe = "loss_probe",
        /// An acknowledgment in fast recovery that did not cover everything (RFC 6582 3.2).
        PartialAck = "partial_ack",
        /// The path takes only smaller packets (RFC 1191 6.4).
        PathMtu = "path_mtu",
        /// A probe of the path MTU was too large for it: its text goes again in smaller segments (RFC 4821 7.6.2).
        MtuProbe = "mtu_probe",
        /// A probe of a window that is shut, with a byte that was sent before (RFC 9293 3.8.6.1).
        WindowProbe = "window_probe",
        /// The window opened again, and what was sent into the shut one was not taken.
        WindowReopened = "window_reopened",
        /// It went with the SYN, and was not acknowledged with it (RFC 7413 4.2.2).
        FastOpen = "fast_open",
    }
}

reasons! {
    /// What keeps a sender from sending more.
    SendBlockedBy {
        /// Nothing: it sends.
        Nothing = "nothing",
        /// The handshake is not done.
        Handshake = "handshake",
        /// All that was written has been sent.
        Application = "application",
        /// The peer's window is full, or too small to be worth it (RFC 9293 3.8.6.2.1).
        ReceiveWindow = "receive_window",
        /// The congestion window is full (RFC 5681).
        CongestionWindow = "congestion_window",
        /// A mark was echoed while the congestion window was one segment: the next waits for the timer (RFC 3168 6.1.2).
        EcnPause = "ecn_pause",
        /// A probe of the path MTU waits until it fits into the congestion window (RFC 4821 7.4).
        MtuProbe = "mtu_probe",
        /// The window is spread over the round trip, and it is not yet time for more.
        Pacing = "pacing",
        /// A small segment waits for the one before it (RFC 9293 3.7.4).
        Nagle = "nagle",
        /// The user holds back what does not fill a segment (TCP_CORK).
        Cork = "cork",
        /// A writer goes on as soon as something is acknowledged: what it writes then leaves in the same super-segment.
        Coalescing = "coalescing",
        /// What does not fill a super-segment waits for what its writer writes next, until those have run who were about to.
        AutoCork = "auto_cork",
        /// The device takes no frame now, and this would be sent.
        Device = "device",
        /// All is sent, FIN included.
        Finished = "finished",
    }
}

impl SendBlockedBy {
    /// Whether a larger congestion window would let more go.
    pub(super) const fn is_by_congestion(self) -> bool {
        match self {
            Self::CongestionWindow | Self::EcnPause | Self::MtuProbe => true,
            Self::Nothing
            | Self::Handshake
            | Self::Application
            | Self::ReceiveWindow
            | Self::Pacing
            | Self::Nagle
            | Self::Cork
            | Self::Coalescing
            | Self::AutoCork
            | Self::Device
            | Self::Finished => false,
        }
    }
}

reasons! {
    /// Why a handshake that could have carried data did not, or is not to again (RFC 7413).
    FastOpenFallback {
        /// The client knows no cookie, and asks for one.
        NoCookie = "no_cookie",
        /// It failed on this path not long ago.
        PathFailing = "path_failing",
        /// The server has not acknowledged the data of our SYN.
        DataRefused = "data_refused",
        /// Only a SYN without anything was answered, or none at all.
        SynLost = "syn_lost",
        /// Nothing that followed the data of our SYN has arrived.
        BlackHole = "black_hole",
        /// The peer's SYN asks for a cookie.
        CookieAsked = "cookie_asked",
        /// The cookie of the peer's SYN is none of ours, or too old.
        BadCookie = "bad_cookie",
        /// As many fast connections of the listener as it may have are unfinished.
        QueueFull = "queue_full",
        /// The listener has no room for another handshake: there may be a flood of SYNs.
        SynFlood = "syn_flood",
        /// There is no room for another connection yet.
        TableFull = "table_full",
    }
}

reasons! {
    /// Why a connection, or a half-open one, ended.
    EndReason {
        /// Both ends closed in order.
        Finished = "finished",
        /// The peer reset it.
        ResetByPeer = "reset_by_peer",
        /// The peer reset our SYN: nobody listens.
        Refused = "refused",
        /// The handshake was never answered (R2 for SYN, RFC 9293 3.8.3).
        HandshakeTimeout = "handshake_timeout",
        /// Data was never acknowledged (R2, RFC 9293 3.8.3).
        RetransmissionTimeout = "retransmission_timeout",
        /// Data was not acknowledged within the user's own limit (RFC 5482).
        UserTimeout = "user_timeout",
        /// Probes of a shut window were not answered.
        WindowProbeTimeout = "window_probe_timeout",
        /// Keep-alive probes were not answered (RFC 9293 3.8.4).
        KeepaliveTimeout = "keepalive_timeout",
        /// The user aborted it.
        Aborted = "aborted",
        /// The local address was lost to another host (RFC 5227 2.4).
        AddressLost = "address_lost",
        /// The user closed it before it was established.
        ClosedInHandshake = "closed_in_handshake",
        /// The user closed it with received data unread (RFC 9293 3.6.1).
        ClosedUnread = "closed_unread",
        /// Data came after the user had closed it (RFC 9293 3.6.1).
        DataAfterClose = "data_after_close",
        /// Its listener was closed before it was accepted.
        ListenerClosed = "listener_closed",
        /// An ICMP error refused our SYN (RFC 9293 3.9.2.2).
        IcmpRefused = "icmp_refused",
        /// Closed by the user, and the peer took too long with its own FIN.
        FinWait2Timeout = "fin_wait2_timeout",
        /// Closed by the user, and the peer took nothing of what was left to send for too long.
        OrphanTimeout = "orphan_timeout",
        /// Half open, and the peer reset it (RFC 9293 3.10.7.4, second).
        HandshakeReset = "handshake_reset",
        /// Half open, and it made room for a newer one.
        Evicted = "evicted",
        /// Nobody decided about its SYN in time.
        Undecided = "undecided",
        /// Nobody had decided about its SYN, and the peer began anew.
        Replaced = "replaced",
    }
}

reasons! {
    /// Why an ICMP error about what seems to be ours changed nothing.
    IcmpIgnored {
        /// Its quote is too short to tell whose segment it is about.
        Truncated = "truncated",
        /// It is about no connection that there is.
        NoConnection = "no_connection",
        /// It is about a handshake that a peer has begun, or one in TIME-WAIT: neither loses anything.
        NothingToLose = "nothing_to_lose",
        /// The number that it quotes is not in flight: it is late, or a guess (RFC 5927 4.1).
        NotInFlight = "not_in_flight",
        /// It asks for packets that are no smaller than those that are sent.
        NotSmaller = "not_smaller",
    }
}

reasons! {
    /// What a retransmission timer waited for in vain (RFC 6298).
    RtoCause {
        /// The answer to our SYN.
        Syn = "syn",
        /// The acknowledgment of our SYN-ACK.
        SynAck = "syn_ack",
        /// The acknowledgment of data.
        Data = "data",
        /// The acknowledgment of our FIN alone.
        Fin = "fin",
    }
}

reasons! {
    /// Why a peer was asked for a sign of life or of room.
    ProbeCause {
        /// Its window is shut (RFC 9293 3.8.6.1).
        WindowShut = "window_shut",
        /// Its window is too small to be worth a segment, and was for long (RFC 9293 3.8.6.2.1).
        WindowTooSmall = "window_too_small",
        /// Nothing was heard of it for long (RFC 9293 3.8.4).
        Idle = "idle",
        /// An acknowledgment is overdue (RFC 8985 7).
        Tail = "tail",
        /// Whether the path takes larger packets: of the path rather than of the peer (RFC 4821 7.5).
        PathMtu = "path_mtu",
    }
}

reasons! {
    /// Why a reset was sent (RFC 9293 3.5.2).
    ResetCause {
        /// A segment for a port on which nobody listens, or of a connection that is no more.
        NoListener = "no_listener",
        /// An acknowledgment for a listener, which has sent nothing.
        AckInListen = "ack_in_listen",
        /// An acknowledgment, in a handshake, of what we never sent: an old connection's, or a guess.
        BadAckInHandshake = "bad_ack_in_handshake",
        /// The listener's user refused the SYN.
        Refused = "refused",
        /// The user aborted the connection.
        Aborted = "aborted",
        /// The local address was lost to another host (RFC 5227 2.4).
        AddressLost = "address_lost",
        /// The user closed it with received data unread (RFC 9293 3.6.1).
        ClosedUnread = "closed_unread",
        /// Data came after the user had closed it (RFC 9293 3.6.1).
        DataAfterClose = "data_after_close",
        /// Its listener was closed before it was accepted.
        ListenerClosed = "listener_closed",
        /// Keep-alive probes were not answered (RFC 9293 3.8.4).
        KeepaliveTimeout = "keepalive_timeout",
        /// Closed by the user, and the peer took nothing of what was left to send for too long.
        OrphanTimeout = "orphan_timeout",
    }
}

impl ResetCause {
    /// Why a connection that we end for `reason` is reset; `None` where its end needs no word to the peer, or where the
    /// peer has long been silent.
    pub(super) const fn of(reason: EndReason) -> Option<Self> {
        match reason {
            EndReason::Aborted => Some(Self::Aborted),
            EndReason::AddressLost => Some(Self::AddressLost),
            EndReason::ClosedUnread => Some(Self::ClosedUnread),
            EndReason::DataAfterClose => Some(Self::DataAfterClose),
            EndReason::ListenerClosed => Some(Self::ListenerClosed),
            EndReason::KeepaliveTimeout => Some(Self::KeepaliveTimeout),
            EndReason::OrphanTimeout => Some(Self::OrphanTimeout),
            EndReason::Finished
            | EndReason::ResetByPeer
            | EndReason::Refused
            | EndReason::HandshakeTimeout
            | EndReason::RetransmissionTimeout
            | EndReason::UserTimeout
            | EndReason::WindowProbeTimeout
            | EndReason::ClosedInHandshake
            | EndReason::IcmpRefused
            | EndReason::FinWait2Timeout
            | EndReason::HandshakeReset
            | EndReason::Evicted
            | EndReason::Undecided
            | EndReason::Replaced => None,
        }
    }
}

reasons! {
    /// Why a segment that does not fit was answered by an acknowledgment of what does: only a peer that is what it seems
    /// learns from it.
    ChallengeCause {
        /// A reset in the window, but not at its edge (RFC 5961 3.2).
        InexactReset = "inexact_reset",
        /// A SYN where none belongs (RFC 5961 4.2).
        UnexpectedSyn = "unexpected_syn",
        /// An acknowledgment of what was never sent, or of what lies too far back (RFC 5961 5.2).
        BadAck = "bad_ack",
        /// A segment outside the window (RFC 9293 3.10.7.4, first).
        OutOfWindow = "out_of_window",
        /// A timestamp that is too old (RFC 7323 5.3).
        OldTimestamp = "old_timestamp",
    }
}
