//! Reading a list of faults.

use core::num::NonZeroU32;

use super::error::ImpairError;
use super::unit::{BitRate, TimeSpan};
use crate::link::LinkConfig;
use crate::share::Share;

/// The keys of a direction, as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Delay,
    Jitter,
    Loss,
    Burst,
    Reorder,
    ReorderBy,
    Duplicate,
    Corrupt,
    Rate,
    Queue,
    Mark,
    Mtu,
}

impl Key {
    const ALL: [Self; 12] = [
        Self::Delay,
        Self::Jitter,
        Self::Loss,
        Self::Burst,
        Self::Reorder,
        Self::ReorderBy,
        Self::Duplicate,
        Self::Corrupt,
        Self::Rate,
        Self::Queue,
        Self::Mark,
        Self::Mtu,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Jitter => "jitter",
            Self::Loss => "loss",
            Self::Burst => "burst",
            Self::Reorder => "reorder",
            Self::ReorderBy => "reorder-by",
            Self::Duplicate => "dup",
            Self::Corrupt => "corrupt",
            Self::Rate => "rate",
            Self::Queue => "queue",
            Self::Mark => "mark",
            Self::Mtu => "mtu",
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Delay | Self::Jitter | Self::ReorderBy => {
                "a time with its unit, such as 10ms (s, ms, us, ns)"
            }
            Self::Loss | Self::Reorder | Self::Duplicate | Self::Corrupt => {
                "a percentage from 0% to 100%, such as 0.5%"
            }
            Self::Burst => "the mean length of a run of losses, 1 or more, such as 4",
            Self::Rate => "bits a second with their unit, such as 100mbit (gbit, mbit, kbit, bit)",
            Self::Queue | Self::Mark => "a number of frames, 1 or more, such as 1000",
            Self::Mtu => "the bytes of the largest IP packet, 68 to 65535, such as 1400",
        }
    }

    /// Reads `value` into `config`; `None` if it is none of this key's.
    fn set(self, config: &mut LinkConfig, value: &str) -> Option<()> {
        let share = || value.parse::<Share>().ok();
        let frames = || value.parse().ok().filter(|&count: &u32| count > 0).map(|count| count as usize);
        let time = || value.parse::<TimeSpan>().ok().map(|span| span.0);
        match self {
            Self::Delay => config.delay = time()?,
            Self::Jitter => config.jitter = time()?,
            Self::Loss => config.loss = share()?,
            Self::Burst => config.burst = value.parse::<NonZeroU32>().ok()?,
            Self::Reorder => config.reorder = share()?,
            Self::ReorderBy => config.reorder_by = time()?,
            Self::Duplicate => config.duplicate = share()?,
            Self::Corrupt => config.corrupt = share()?,
            Self::Rate => config.rate = Some(value.parse::<BitRate>().ok()?.0),
            Self::Queue => config.queue = frames()?,
            Self::Mark => config.mark_from = Some(frames()?),
            Self::Mtu => config.mtu = Some(value.parse().ok().filter(|&mtu: &u16| mtu >= 68)?),
        }
        Some(())
    }
}

/// Which way a part concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    Out,
    Both,
}

/// One direction as far as it has been read.
#[derive(Default)]
struct Half {
    config: LinkConfig,
    given: Vec<Key>,
}

impl Half {
    fn set(&mut self, key: Key, value: &str) -> Result<(), ImpairError> {
        if self.given.contains(&key) {
            return Err(ImpairError::Repeated { key: key.name() });
        }
        self.given.push(key);
        key.set(&mut self.config, value).ok_or_else(|| ImpairError::BadValue {
            key: key.name(),
            value: value.to_owned(),
            expected: key.expected(),
        })
    }

    /// Whether each key has what it needs.
    fn finish(self) -> Result<LinkConfig, ImpairError> {
        let needs = [
            (Key::Burst, Key::Loss),
            (Key::ReorderBy, Key::Reorder),
            (Key::Queue, Key::Rate),
            (Key::Mark, Key::Rate),
        ];
        for (key, needed) in needs {
            if self.given.contains(&key) && !self.given.contains(&needed) {
                return Err(ImpairError::Alone { key: key.name(), needs: needed.name() });
            }
        }
        Ok(self.config)
    }
}

/// Both directions and the seed.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) inbound: LinkConfig,
    pub(super) outbound: LinkConfig,
    pub(super) seed: Option<u64>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, ImpairError> {
    if text.trim() == "none" {
        return Ok(Parsed::default());
    }
    let (mut inbound, mut outbound) = (Half::default(), Half::default());
    let mut direction = Direction::Both;
    let mut seed = None;
    for part in text.split(',').map(str::trim) {
        let (own, rest) = split_direction(part);
        direction = own.unwrap_or(direction);
        let Some((key, value)) = rest.split_once('=') else {
            return Err(ImpairError::NoValue { part: part.to_owned() });
        };
        if key == "seed" {
            let parsed = value.parse().map_err(|_| ImpairError::BadValue {
                key: "seed",
                value: value.to_owned(),
                expected: "a number, such as 7",
            })?;
            if seed.replace(parsed).is_some() {
                return Err(ImpairError::Repeated { key: "seed" });
            }
            continue;
        }
        let Some(key) = Key::ALL.into_iter().find(|known| known.name() == key) else {
            return Err(ImpairError::UnknownKey { key: key.to_owned() });
        };
        match direction {
            Direction::In => inbound.set(key, value)?,
            Direction::Out => outbound.set(key, value)?,
            Direction::Both => {
                inbound.set(key, value)?;
                outbound.set(key, value)?;
            }
        }
    }
    Ok(Parsed { inbound: inbound.finish()?, outbound: outbound.finish()?, seed })
}

fn split_direction(part: &str) -> (Option<Direction>, &str) {
    let known = [("in:", Direction::In), ("out:", Direction::Out), ("both:", Direction::Both)];
    known
        .into_iter()
        .find_map(|(prefix, direction)| part.strip_prefix(prefix).map(|rest| (Some(direction), rest)))
        .unwrap_or((None, part))
}
