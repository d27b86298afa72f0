//! What the two SYNs agree on: segment size, window scaling, timestamps, SACK.

use core::net::IpAddr;

use netloom_base::Instant;
use netloom_wire::{TcpOptions, TcpTimestamps, every_hosts_mtu, ip_header_len};

use super::config::TcpConfig;
use super::isn::timestamp;

/// Bytes of a TCP header without options.
const FIXED_HEADER_LEN: u16 = 20;
/// The largest shift. [7323-11]
const MAX_SHIFT: u8 = 14;
/// Bytes that the timestamps option takes, padding included.
const TIMESTAMPS_LEN: u32 = 12;
/// The packet, in bytes, that most paths take.
const ETHERNET_MTU: u16 = 1500;
/// The least that a peer can talk us down to: a segment of one byte for 40 of header would be an attack.
const LEAST_MSS: u16 = 48;

/// What both ends agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Negotiated {
    /// Snd.Wind.Shift: by how much the peer's windows are scaled.
    pub(super) snd_shift: u8,
    /// Rcv.Wind.Shift: by how much ours are.
    pub(super) rcv_shift: u8,
    /// Whether windows are scaled at all.
    pub(super) window_scaling: bool,
    /// Snd.TS.OK. [7323-23]
    pub(super) timestamps: bool,
    /// Whether both ends may report what arrived out of order (RFC 2018 2).
    pub(super) sack: bool,
    /// Whether both ends take part in ECN; `ecn.rs` says when.
    pub(super) ecn: bool,
}

/// The bytes of text that a packet of `mtu` bytes from or to `remote` holds, IP and TCP options not counted.
/// [9293 MUST-67]
pub(super) fn mss_of_mtu(mtu: u16, remote: IpAddr) -> u16 {
    mtu.saturating_sub(ip_header_len(remote)).saturating_sub(FIXED_HEADER_LEN).max(LEAST_MSS)
}

/// The packet, in bytes, that holds `mss` bytes of text from or to `remote`, IP and TCP options not counted.
pub(super) fn mtu_of_mss(mss: u16, remote: IpAddr) -> u16 {
    mss.saturating_add(FIXED_HEADER_LEN).saturating_add(ip_header_len(remote))
}

/// What a peer takes that says nothing: 536 or 1220 bytes. [9293 MUST-15]
fn default_mss(remote: IpAddr) -> u16 {
    mss_of_mtu(every_hosts_mtu(remote), remote)
}

/// The peer's MSS option, or what its absence means. [9293 MUST-14]
pub(super) fn peer_mss(options: &TcpOptions, remote: IpAddr) -> u16 {
    options.mss.unwrap_or_else(|| default_mss(remote)).max(LEAST_MSS)
}

/// Eff.snd.MSS: text in a full segment. [9293 MUST-16]
pub(super) fn effective_mss(peer_mss: u16, mtu: u16, remote: IpAddr, negotiated: Negotiated) -> u32 {
    let mss = u32::from(peer_mss.min(mss_of_mtu(mtu, remote)));
    if negotiated.timestamps { mss - TIMESTAMPS_LEN } else { mss }
}

/// The most text and options in a SYN to a server that takes `mss` bytes: not more than most paths take. [7413-08] [7413-17]
pub(super) fn most_in_syn(mss: u16, mtu: u16, remote: IpAddr) -> u16 {
    mss.min(mss_of_mtu(mtu.min(ETHERNET_MTU), remote))
}

/// The smallest shift by which the window field covers `limit` bytes. [7323-07]
pub(super) fn shift_for(limit: u32) -> u8 {
    (0..MAX_SHIFT).find(|&shift| u32::from(u16::MAX) << shift >= limit).unwrap_or(MAX_SHIFT)
}

/// What our SYN offered, or our SYN-ACK grants, and the peer's SYN asked.
pub(super) fn negotiate(config: &TcpConfig, receive_limit: u32, theirs: &TcpOptions) -> Negotiated {
    // [7323-02] [7323-08] [7323-12]
    let scale = theirs.window_scale.filter(|_| config.window_scaling);
    Negotiated {
        snd_shift: scale.map_or(0, |shift| shift.min(MAX_SHIFT)),
        rcv_shift: scale.map_or(0, |_| shift_for(receive_limit)),
        window_scaling: scale.is_some(),
        timestamps: config.timestamps && theirs.timestamps.is_some(),
        // [2018-03]
        sack: config.sack && theirs.sack_permitted,
        ecn: false,
    }
}

/// The options of our SYN. [7323-01] [7323-17] [9293 SHLD-5, MAY-3]
pub(super) fn syn_options(
    config: &TcpConfig,
    now: Instant,
    mss: u16,
    receive_limit: u32,
    offset: u32,
) -> TcpOptions {
    TcpOptions {
        mss: Some(mss),
        window_scale: config.window_scaling.then(|| shift_for(receive_limit)),
        // [2018-01]
        sack_permitted: config.sack,
        timestamps: config.timestamps.then(|| TcpTimestamps { value: timestamp(now, offset), echo_reply: 0 }),
        ..TcpOptions::default()
    }
}

/// The options of our SYN-ACK: only what the SYN had. [7323-03] [7323-06] [7323-20]
pub(super) fn syn_ack_options(
    negotiated: Negotiated,
    now: Instant,
    mss: u16,
    offset: u32,
    ts_recent: u32,
) -> TcpOptions {
    TcpOptions {
        mss: Some(mss),
        window_scale: negotiated.window_scaling.then_some(negotiated.rcv_shift),
        sack_permitted: negotiated.sack,
        timestamps: negotiated
            .timestamps
            .then(|| TcpTimestamps { value: timestamp(now, offset), echo_reply: ts_recent }),
        ..TcpOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> IpAddr {
        "10.0.0.1".parse().unwrap()
    }

    fn six() -> IpAddr {
        "fd00::1".parse().unwrap()
    }

    #[test]
    fn segment_sizes_follow_the_formula() {
        // [9293 MUST-14, MUST-15, MUST-16, MUST-67]
        assert_eq!(mss_of_mtu(1500, four()), 1460);
        assert_eq!(mss_of_mtu(1500, six()), 1440);
        assert_eq!(peer_mss(&TcpOptions::default(), four()), 536);
        assert_eq!(peer_mss(&TcpOptions::default(), six()), 1220);
        let timestamps = Negotiated { timestamps: true, ..Negotiated::default() };
        assert_eq!(effective_mss(1460, 1500, four(), timestamps), 1448);
        assert_eq!(effective_mss(9000, 1500, four(), Negotiated::default()), 1460);
        assert_eq!(effective_mss(1000, 1500, four(), Negotiated::default()), 1000);
        assert_eq!(
            effective_mss(
                peer_mss(&TcpOptions { mss: Some(0), ..TcpOptions::default() }, four()),
                1500,
                four(),
                timestamps
            ),
            36
        );
    }

    #[test]
    fn scaling_is_used_only_if_both_offer_it() {
        // [7323-02] [7323-07] [7323-08] [7323-11] [7323-12]
        let config = TcpConfig::default();
        let with = |shift| TcpOptions { window_scale: shift, ..TcpOptions::default() };
        let agreed = negotiate(&config, 4 << 20, &with(Some(3)));
        assert_eq!((agreed.snd_shift, agreed.rcv_shift, agreed.window_scaling), (3, 7, true));
        assert_eq!(negotiate(&config, 4 << 20, &with(None)), Negotiated::default());
        assert_eq!(negotiate(&config, 4 << 20, &with(Some(15))).snd_shift, 14);
        let off = TcpConfig { window_scaling: false, ..TcpConfig::default() };
        assert_eq!(negotiate(&off, 4 << 20, &with(Some(3))), Negotiated::default());
        assert_eq!((shift_for(65_535), shift_for(65_536), shift_for(u32::MAX)), (0, 1, 14));
    }
}
