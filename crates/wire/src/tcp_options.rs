//! TCP options: MSS, window scale, SACK, timestamps, Fast Open.

use crate::{FastOpenCookie, ParseError, SeqNumber};

/// Bytes that the options of one segment may take.
pub const TCP_OPTIONS_MAX_LEN: usize = 40;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
/// [7413-25]
const FAST_OPEN: u8 = 34;

/// The timestamps option (RFC 7323 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpTimestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the peer's clock, as last heard.
    pub echo_reply: u32,
}

/// Up to four ranges of received bytes, each from its first sequence number up to, and without, its end
/// (RFC 2018 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(SeqNumber, SeqNumber); Self::CAPACITY],
    len: u8,
}

impl SackBlocks {
    /// More do not fit beside nothing else; beside timestamps only three do.
    pub const CAPACITY: usize = 4;

    /// None.
    pub const fn new() -> Self {
        Self { blocks: [(SeqNumber(0), SeqNumber(0)); Self::CAPACITY], len: 0 }
    }

    /// Appends a block; one too many is ignored.
    pub fn push(&mut self, block: (SeqNumber, SeqNumber)) {
        if let Some(slot) = self.blocks.get_mut(usize::from(self.len)) {
            *slot = block;
            self.len += 1;
        }
    }

    /// The blocks, in the option's order.
    pub fn as_slice(&self) -> &[(SeqNumber, SeqNumber)] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps only the first `count` blocks.
    pub fn truncate(&mut self, count: usize) {
        self.len = self.len.min(u8::try_from(count).unwrap_or(u8::MAX));
    }
}

/// The options that netloom knows; others are skipped, as RFC 9293 MUST-6 asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size (RFC 9293 3.7.1), in bytes of text.
    pub mss: Option<u16>,
    /// Window scale, as a shift count (RFC 7323 2.2). Not limited to 14 here.
    pub window_scale: Option<u8>,
    /// SACK may be used (RFC 2018 2).
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 3).
    pub timestamps: Option<TcpTimestamps>,
    /// What only some segments have.
    pub tail: OptionTail,
}

/// The options that never go together: one is for SYNs, the other for everything else, so they share their room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptionTail {
    /// None of them.
    #[default]
    None,
    /// What has been received out of order (RFC 2018 3).
    Sack(SackBlocks),
    /// A Fast Open cookie, or the request of one (RFC 7413). It means something in SYNs only.
    FastOpen(FastOpenCookie),
}

impl TcpOptions {
    /// What has been received out of order (RFC 2018 3).
    pub const fn sack(&self) -> SackBlocks {
        match self.tail {
            OptionTail::Sack(blocks) => blocks,
            OptionTail::None | OptionTail::FastOpen(_) => SackBlocks::new(),
        }
    }

    /// A Fast Open cookie, or the request of one (RFC 7413).
    pub const fn fast_open(&self) -> Option<FastOpenCookie> {
        match self.tail {
            OptionTail::FastOpen(cookie) => Some(cookie),
            OptionTail::None | OptionTail::Sack(_) => None,
        }
    }

    /// Reads the options of a header. An option with an impossible length is an error [9293 MUST-7]; one that is
    /// unknown is skipped by its length [9293 MUST-6, MUST-68] [5482-02]. Where an option begins does not matter
    /// [9293 MUST-64].
    pub fn parse(mut bytes: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        loop {
            match bytes {
                // [9293 MUST-4]
                [] | [END, ..] => return Ok(options),
                [NO_OPERATION, rest @ ..] => bytes = rest,
                // [9293 MUST-5]: every segment is read like this.
                [kind, len, ..] => {
                    let (option, rest) =
                        bytes.split_at_checked(usize::from(*len)).ok_or(ParseError::BadOption)?;
                    options.read(*kind, option.get(2..).ok_or(ParseError::BadOption)?)?;
                    bytes = rest;
                }
                [_] => return Err(ParseError::BadOption),
            }
        }
    }

    fn read(&mut self, kind: u8, value: &[u8]) -> Result<(), ParseError> {
        match (kind, value) {
            (MSS, &[a, b]) => self.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                self.timestamps = Some(TcpTimestamps {
                    value: u32::from_be_bytes([a, b, c, d]),
                    echo_reply: u32::from_be_bytes([e, f, g, h]),
                });
            }
            (SACK, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                let (blocks, _) = blocks.as_chunks::<8>();
                let mut known = self.sack();
                for &[a, b, c, d, e, f, g, h] in blocks {
                    let (start, end) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                    known.push((SeqNumber(start), SeqNumber(end)));
                }
                self.tail = OptionTail::Sack(known);
            }
            // [7413-02]: one of an impossible length is as good as none.
            (FAST_OPEN, cookie) => {
                if let Some(cookie) = FastOpenCookie::new(cookie) {
                    self.tail = OptionTail::FastOpen(cookie);
                }
            }
            (MSS | WINDOW_SCALE | SACK_PERMITTED | TIMESTAMPS | SACK, _) => {
                return Err(ParseError::BadOption);
            }
            _ => {}
        }
        Ok(())
    }

    /// Bytes that [`emit`](Self::emit) writes: a multiple of four, at most 40.
    pub fn emitted_len(&self) -> usize {
        self.emit(&mut [0; TCP_OPTIONS_MAX_LEN])
    }

    /// Writes the options into `buffer`, which must hold 40 bytes, aligned and padded with NOPs as Linux does, and
    /// says how many bytes they take: never an end of the list, so nothing behind one [9293 MUST-69]. SACK blocks that do not fit are left out.
    pub fn emit(&self, buffer: &mut [u8]) -> usize {
        let mut writer = Writer { buffer, len: 0 };
        if let Some(mss) = self.mss {
            let [a, b] = mss.to_be_bytes();
            writer.put(&[MSS, 4, a, b]);
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(timestamps)) => {
                writer.put(&[SACK_PERMITTED, 2]);
                writer.put_timestamps(timestamps);
            }
            (false, Some(timestamps)) => {
                writer.put(&[NO_OPERATION, NO_OPERATION]);
                writer.put_timestamps(timestamps);
            }
            (true, None) => writer.put(&[NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]),
            (false, None) => {}
        }
        if let Some(shift) = self.window_scale {
            writer.put(&[NO_OPERATION, WINDOW_SCALE, 3, shift]);
        }
        match &self.tail {
            OptionTail::None => {}
            OptionTail::Sack(blocks) => writer.put_blocks(blocks.as_slice()),
            OptionTail::FastOpen(cookie) => writer.put_cookie(cookie),
        }
        writer.len
    }
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.buffer[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }

    fn put_timestamps(&mut self, timestamps: TcpTimestamps) {
        self.put(&[TIMESTAMPS, 10]);
        self.put(&timestamps.value.to_be_bytes());
        self.put(&timestamps.echo_reply.to_be_bytes());
    }

    fn put_blocks(&mut self, blocks: &[(SeqNumber, SeqNumber)]) {
        let room = (TCP_OPTIONS_MAX_LEN - self.len).saturating_sub(4) / 8;
        let blocks = blocks.get(..room).unwrap_or(blocks);
        if blocks.is_empty() {
            return;
        }
        let len = u8::try_from(2 + 8 * blocks.len()).unwrap_or(u8::MAX);
        self.put(&[NO_OPERATION, NO_OPERATION, SACK, len]);
        for (start, end) in blocks {
            self.put(&start.0.to_be_bytes());
            self.put(&end.0.to_be_bytes());
        }
    }

    /// The longest fits beside all that a SYN may have.
    fn put_cookie(&mut self, cookie: &FastOpenCookie) {
        let bytes = cookie.as_slice();
        self.put(&[FAST_OPEN, u8::try_from(2 + bytes.len()).unwrap_or(u8::MAX)]);
        self.put(bytes);
        if !self.len.is_multiple_of(4) {
            self.put(&[NO_OPERATION, NO_OPERATION]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_skipped_by_their_length() {
        // [9293 MUST-6]
        let options = TcpOptions::parse(&[253, 4, 9, 9, NO_OPERATION, MSS, 4, 5, 0xb4, END, 77]).unwrap();
        assert_eq!(options, TcpOptions { mss: Some(1460), ..TcpOptions::default() });
    }

    #[test]
    fn impossible_lengths_are_errors() {
        // [9293 MUST-7]
        for bytes in [
            &[MSS][..],
            &[MSS, 0],
            &[MSS, 1, 0, 0],
            &[MSS, 4, 1],
            &[MSS, 3, 1],
            &[SACK, 2],
            &[SACK, 9, 0, 0, 0, 0, 0, 0, 0],
            &[253, 1],
        ] {
            assert_eq!(TcpOptions::parse(bytes), Err(ParseError::BadOption), "{bytes:?}");
        }
    }

    #[test]
    fn options_are_read_wherever_they_begin() {
        // [9293 MUST-4, MUST-64]
        let mss = [MSS, 4, 5, 0xb4];
        for before in 0..8 {
            let bytes = [&vec![NO_OPERATION; before][..], &mss, &[END]].concat();
            let expected = TcpOptions { mss: Some(1460), ..TcpOptions::default() };
            assert_eq!(TcpOptions::parse(&bytes), Ok(expected), "{before} bytes before");
        }
        assert_eq!(
            TcpOptions::parse(&[END, MSS]),
            Ok(TcpOptions::default()),
            "what is behind the end is padding"
        );
    }

    #[test]
    fn every_emitted_option_carries_its_length_and_none_is_behind_an_end() {
        // [9293 MUST-68, MUST-69]
        for combination in 0u8..16 {
            let has = |bit: u8| combination & 1 << bit != 0;
            let mut options = TcpOptions {
                mss: has(0).then_some(1460),
                window_scale: has(1).then_some(7),
                sack_permitted: has(2),
                timestamps: has(3).then_some(TcpTimestamps { value: 1, echo_reply: 2 }),
                ..TcpOptions::default()
            };
            for count in 0..=2 {
                let mut buffer = [0xff; TCP_OPTIONS_MAX_LEN];
                let len = options.emit(&mut buffer);
                assert_eq!(len % 4, 0, "{options:?}");
                let mut rest = &buffer[..len];
                while let [kind, tail @ ..] = rest {
                    assert_ne!(*kind, END, "{options:?}");
                    let skipped = if *kind == NO_OPERATION { 1 } else { usize::from(tail[0]) };
                    rest = &rest[skipped..];
                }
                let mut blocks = options.sack();
                blocks.push((SeqNumber(count), SeqNumber(count + 9)));
                options.tail = OptionTail::Sack(blocks);
            }
        }
    }

    #[test]
    fn a_cookie_of_an_impossible_length_is_ignored() {
        // [7413-01] [7413-02]
        for len in 0..=38u8 {
            let mut bytes = vec![FAST_OPEN, 2 + len];
            bytes.extend((0..len).map(|index| index + 1));
            bytes.extend([MSS, 4, 5, 0xb4]);
            let options = TcpOptions::parse(&bytes).unwrap();
            assert_eq!(options.mss, Some(1460), "what is behind it is read");
            let expected =
                matches!(len, 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16).then_some(&bytes[2..][..len.into()]);
            assert_eq!(options.fast_open().as_ref().map(FastOpenCookie::as_slice), expected, "{len} bytes");
        }
    }

    #[test]
    fn the_longest_cookie_fits_beside_all_that_a_syn_has() {
        // [7413-15]
        for len in [0, 4, 6, 8, 10, 12, 14, 16] {
            let options = TcpOptions {
                mss: Some(1460),
                window_scale: Some(7),
                sack_permitted: true,
                timestamps: Some(TcpTimestamps { value: 1, echo_reply: 2 }),
                tail: FastOpenCookie::new(&[0x5a; 16][..len]).map(OptionTail::FastOpen).unwrap(),
            };
            let mut buffer = [0; TCP_OPTIONS_MAX_LEN];
            let written = options.emit(&mut buffer);
            assert_eq!(written, 20 + (2 + len).next_multiple_of(4));
            assert_eq!(TcpOptions::parse(&buffer[..written]), Ok(options));
        }
    }

    #[test]
    fn a_full_syn_takes_twenty_bytes() {
        let options = TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(TcpTimestamps { value: 1, echo_reply: 2 }),
            ..TcpOptions::default()
        };
        assert_eq!(options.emitted_len(), 20);
    }

    #[test]
    fn only_three_sack_blocks_fit_beside_timestamps() {
        let mut options = TcpOptions {
            timestamps: Some(TcpTimestamps { value: 1, echo_reply: 2 }),
            ..TcpOptions::default()
        };
        let mut blocks = SackBlocks::new();
        for block in 0..4 {
            blocks.push((SeqNumber(block * 10), SeqNumber(block * 10 + 5)));
        }
        options.tail = OptionTail::Sack(blocks);
        assert_eq!(options.emitted_len(), 40);
        let mut buffer = [0; TCP_OPTIONS_MAX_LEN];
        options.emit(&mut buffer);
        assert_eq!(TcpOptions::parse(&buffer).unwrap().sack().as_slice().len(), 3);
    }
}
