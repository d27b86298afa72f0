//! TCP options one by one and in order, padding included: a script says exactly which bytes it wants.

use core::fmt;

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TcpOption {
    EndOfList,
    NoOperation,
    MaxSegmentSize(u16),
    WindowScale(u8),
    SackPermitted,
    Sack(Vec<(u32, u32)>),
    Timestamps {
        value: u32,
        echo: u32,
    },
    /// A cookie, or the request of one.
    FastOpen(Vec<u8>),
    /// One that a script cannot write; only read.
    Unknown {
        kind: u8,
        len: u8,
    },
}

impl TcpOption {
    /// Reads a header's options.
    pub(super) fn parse_all(mut bytes: &[u8]) -> Result<Vec<Self>, String> {
        let mut options = Vec::new();
        while let Some((&kind, rest)) = bytes.split_first() {
            if kind == 0 {
                options.push(Self::EndOfList);
                break;
            }
            if kind == 1 {
                options.push(Self::NoOperation);
                bytes = rest;
                continue;
            }
            let cut = || format!("option {kind} is cut short");
            let len = *rest.first().ok_or_else(cut)?;
            let value = bytes.get(2..usize::from(len)).ok_or_else(cut)?;
            options.push(Self::read(kind, len, value));
            bytes = bytes.get(usize::from(len)..).unwrap_or_default();
        }
        Ok(options)
    }

    fn read(kind: u8, len: u8, value: &[u8]) -> Self {
        match (kind, value) {
            (2, &[a, b]) => Self::MaxSegmentSize(u16::from_be_bytes([a, b])),
            (3, &[shift]) => Self::WindowScale(shift),
            (4, []) => Self::SackPermitted,
            (5, blocks) => Self::Sack(
                blocks
                    .as_chunks::<8>()
                    .0
                    .iter()
                    .map(|&[a, b, c, d, e, f, g, h]| {
                        (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
                    })
                    .collect(),
            ),
            (8, &[a, b, c, d, e, f, g, h]) => Self::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            },
            (34, cookie) => Self::FastOpen(cookie.to_vec()),
            _ => Self::Unknown { kind, len },
        }
    }

    /// Writes it behind `bytes`.
    pub(super) fn emit(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::EndOfList => bytes.push(0),
            Self::NoOperation => bytes.push(1),
            Self::MaxSegmentSize(size) => {
                bytes.extend([2, 4]);
                bytes.extend(size.to_be_bytes());
            }
            Self::WindowScale(shift) => bytes.extend([3, 3, *shift]),
            Self::SackPermitted => bytes.extend([4, 2]),
            Self::Sack(blocks) => {
                bytes.extend([5, u8::try_from(2 + 8 * blocks.len()).unwrap_or(u8::MAX)]);
                for (start, end) in blocks {
                    bytes.extend(start.to_be_bytes());
                    bytes.extend(end.to_be_bytes());
                }
            }
            Self::Timestamps { value, echo } => {
                bytes.extend([8, 10]);
                bytes.extend(value.to_be_bytes());
                bytes.extend(echo.to_be_bytes());
            }
            Self::FastOpen(cookie) => {
                bytes.extend([34, u8::try_from(2 + cookie.len()).unwrap_or(u8::MAX)]);
                bytes.extend(cookie);
            }
            Self::Unknown { kind, len } => {
                bytes.extend([*kind, *len]);
                bytes.extend((2..*len).map(|_| 0));
            }
        }
    }

    /// The bytes of all of them.
    pub(super) fn emit_all(options: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for option in options {
            option.emit(&mut bytes);
        }
        bytes
    }
}

/// As a script writes it.
impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfList => f.write_str("eol"),
            Self::NoOperation => f.write_str("nop"),
            Self::MaxSegmentSize(size) => write!(f, "mss {size}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(start, end)| write!(f, " {start}:{end}"))
            }
            Self::Timestamps { value, echo } => write!(f, "TS val {value} ecr {echo}"),
            Self::FastOpen(cookie) => {
                f.write_str("FO")?;
                cookie.iter().enumerate().try_for_each(|(index, byte)| {
                    write!(f, "{}{byte:02x}", if index == 0 { " " } else { "" })
                })
            }
            Self::Unknown { kind, .. } => write!(f, "unknown {kind}"),
        }
    }
}
