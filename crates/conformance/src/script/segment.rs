//! A segment in a script's own numbers: how it is written, printed and compared.

use core::fmt;

use netloom_wire::TcpFlags;

use super::option::TcpOption;

/// What a script says about a segment, or what was seen of one. Sequence and acknowledgment numbers count from each
/// side's initial one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The two ECN bits of the IP header; `None`: any, or none for what is injected.
    pub(super) ecn: Option<u8>,
    pub(super) flags: TcpFlags,
    pub(super) start: u32,
    /// Bytes of text.
    pub(super) len: u32,
    /// 0 without the ACK bit.
    pub(super) ack: u32,
    /// The field as on the wire, not scaled; `None`: any.
    pub(super) window: Option<u16>,
    pub(super) urgent: u16,
    /// `None`: any.
    pub(super) options: Option<Vec<TcpOption>>,
}

impl Segment {
    /// The number after the last byte of text.
    pub(super) const fn end(&self) -> u32 {
        self.start.wrapping_add(self.len)
    }

    /// TSval and TSecr.
    pub(super) fn timestamps(&self) -> Option<(u32, u32)> {
        self.options.iter().flatten().find_map(|option| match option {
            TcpOption::Timestamps { value, echo } => Some((*value, *echo)),
            TcpOption::EndOfList
            | TcpOption::NoOperation
            | TcpOption::MaxSegmentSize(_)
            | TcpOption::WindowScale(_)
            | TcpOption::SackPermitted
            | TcpOption::Sack(_)
            | TcpOption::FastOpen(_)
            | TcpOption::Unknown { .. } => None,
        })
    }

    /// Puts other values in the place of the timestamps.
    pub(super) fn map_timestamps(&mut self, map: impl Fn(u32, u32) -> (u32, u32)) {
        for option in self.options.iter_mut().flatten() {
            if let TcpOption::Timestamps { value, echo } = option {
                (*value, *echo) = map(*value, *echo);
            }
        }
    }

    /// Moves the SACK blocks.
    pub(super) fn shift_sack_blocks(&mut self, offset: u32) {
        for option in self.options.iter_mut().flatten() {
            if let TcpOption::Sack(blocks) = option {
                for (start, end) in blocks {
                    *start = start.wrapping_add(offset);
                    *end = end.wrapping_add(offset);
                }
            }
        }
    }

    /// Compares what was seen with this expectation: the name of the first field that differs. TSval may be off by
    /// `tolerance_ms`, as the time of the segment may.
    pub(super) fn check(&self, seen: &Self, tolerance_ms: u32) -> Result<(), &'static str> {
        let Self { ecn, flags, start, len, ack, window, urgent, options } = self;
        let is_any_or_equal =
            |wanted: Option<u16>, found: Option<u16>| wanted.is_none_or(|it| Some(it) == found);
        if *flags != seen.flags {
            return Err("flags");
        }
        if *start != seen.start {
            return Err("sequence number");
        }
        if *len != seen.len {
            return Err("length");
        }
        if *ack != seen.ack {
            return Err("acknowledgment number");
        }
        if !is_any_or_equal(*window, seen.window) {
            return Err("window");
        }
        if *urgent != seen.urgent {
            return Err("urgent pointer");
        }
        if !is_any_or_equal(ecn.map(u16::from), seen.ecn.map(u16::from)) {
            return Err("ECN bits");
        }
        match (options, &seen.options) {
            (Some(wanted), Some(found)) => check_options(wanted, found, tolerance_ms),
            (None, _) | (_, None) => Ok(()),
        }
    }
}

fn check_options(wanted: &[TcpOption], found: &[TcpOption], tolerance_ms: u32) -> Result<(), &'static str> {
    let is_close = |a: u32, b: u32| a.wrapping_sub(b).min(b.wrapping_sub(a)) <= tolerance_ms;
    let agrees = wanted.len() == found.len()
        && wanted.iter().zip(found).all(|pair| match pair {
            (
                TcpOption::Timestamps { value, echo },
                TcpOption::Timestamps { value: seen, echo: seen_echo },
            ) => is_close(*value, *seen) && echo == seen_echo,
            (wanted, found) => wanted == found,
        });
    if agrees { Ok(()) } else { Err("options") }
}

/// The letters of the control bits, as packetdrill and tcpdump write them.
pub(super) const FLAG_LETTERS: [(char, TcpFlags); 8] = [
    ('F', TcpFlags::FIN),
    ('S', TcpFlags::SYN),
    ('R', TcpFlags::RST),
    ('P', TcpFlags::PSH),
    ('U', TcpFlags::URG),
    ('E', TcpFlags::ECE),
    ('W', TcpFlags::CWR),
    ('.', TcpFlags::ACK),
];

/// As a script writes it.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ecn, flags, start, len, ack, window, urgent, options } = self;
        match ecn {
            Some(1) => f.write_str("[ect1] ")?,
            Some(2) => f.write_str("[ect0] ")?,
            Some(3) => f.write_str("[ce] ")?,
            Some(_) | None => {}
        }
        let letters: String =
            FLAG_LETTERS.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(letter, _)| letter).collect();
        f.write_str(if letters.is_empty() { "-" } else { &letters })?;
        write!(f, " {start}:{}({len})", self.end())?;
        if flags.contains(TcpFlags::ACK) {
            write!(f, " ack {ack}")?;
        }
        if let Some(window) = window {
            write!(f, " win {window}")?;
        }
        if *urgent != 0 {
            write!(f, " urg {urgent}")?;
        }
        match options {
            Some(options) if options.is_empty() => Ok(()),
            Some(options) => {
                let options: Vec<String> = options.iter().map(ToString::to_string).collect();
                write!(f, " <{}>", options.join(","))
            }
            None => f.write_str(" <...>"),
        }
    }
}
