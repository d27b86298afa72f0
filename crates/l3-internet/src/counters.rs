//! What the internet layer counts itself, beside the drops that it returns to its caller.

use netloom_base::{Counter, ReasonCounters};

/// What one internet layer has done.
#[derive(Clone, Debug, Default)]
pub struct InternetCounters {
    /// Datagrams handed to the transports.
    pub datagrams_delivered: Counter,
    /// Packets for others, sent on.
    pub packets_forwarded: Counter,
    /// Fragments that came in.
    pub fragments_received: Counter,
    /// Datagrams put together from fragments.
    pub datagrams_reassembled: Counter,
    /// Packets queued for sending, fragments included.
    pub packets_sent: Counter,
    /// Fragments among them.
    pub fragments_sent: Counter,
    /// Echo requests answered.
    pub echo_requests_answered: Counter,
    /// ICMP errors sent.
    pub icmp_errors_sent: Counter,
    /// ICMP errors that were due but must not be sent: about a group, an error, a later fragment (RFC 1122 3.2.2).
    pub icmp_errors_forbidden: Counter,
    /// ICMP errors received about packets of ours.
    pub icmp_errors_received: Counter,
    /// Times that a path's MTU was found to be smaller than thought.
    pub path_mtu_lowered: Counter,
    /// Redirects followed.
    pub redirects_followed: Counter,
    /// Neighbour solicitations sent, those of duplicate address detection included.
    pub neighbor_solicitations_sent: Counter,
    /// Neighbour advertisements sent.
    pub neighbor_advertisements_sent: Counter,
    /// Reports about groups sent.
    pub listener_reports_sent: Counter,
    /// Events that nobody took in time.
    pub events_dropped: Counter,
    /// What went no further without anybody asking: timeouts, answers that could not be sent. What a call returned is
    /// counted by its caller.
    pub drops: ReasonCounters,
}
