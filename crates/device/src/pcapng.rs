//! Frames written as pcapng, for tcpdump, tshark and Wireshark.
//!
//! *Theory of operation.* Whole blocks are gathered in memory and written at [`CaptureWriter::flush`], or when 64 KiB
//! have gathered, in one write. What was flushed stays readable whatever becomes of the process.
//!
//! *Format.* One section; a description for each interface (link type Ethernet or raw IP, timestamps in
//! nanoseconds); an enhanced packet block for each frame, with its direction in the flags and a comment if there is one.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use netloom_base::Medium;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

/// Gathered blocks are written once they have this many bytes.
const FLUSH_LEN: usize = 64 * 1024;
/// Tells readers how long a captured frame may be; frames are never cut.
const SNAP_LEN: u32 = 262_144;
/// Longest value of an option, in bytes.
const OPTION_MAX_LEN: usize = 65_535;

/// An interface of a capture, as [`CaptureWriter::add_interface`] numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureInterface(u32);

/// Which way a frame went, seen from the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the stack.
    Inbound,
    /// From the stack.
    Outbound,
}

impl Direction {
    /// The lowest two bits of `epb_flags`.
    const fn flags(self) -> u32 {
        match self {
            Self::Inbound => 1,
            Self::Outbound => 2,
        }
    }
}

/// One frame to be written.
#[derive(Clone, Copy, Debug)]
pub struct CapturedFrame<'a> {
    /// Where it was seen.
    pub interface: CaptureInterface,
    /// When, since 1970-01-01 00:00 UTC. Nanoseconds are kept; the format ends in the year 2554.
    pub timestamp: Duration,
    /// Which way it went.
    pub direction: Direction,
    /// Its bytes, in parts.
    pub parts: &'a [&'a [u8]],
    /// A note for the reader; at most 65,535 bytes of it are written.
    pub comment: Option<&'a str>,
}

/// Writes frames as pcapng.
///
/// Dropping it writes nothing: call [`flush`](Self::flush).
pub struct CaptureWriter<W: Write> {
    blocks: PcapNgWriter<Vec<u8>>,
    output: W,
    interface_count: u32,
    /// One frame's bytes in a row; kept for its memory.
    frame: Vec<u8>,
    is_broken: bool,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a capture: writes the header of the section.
    ///
    /// # Errors
    ///
    /// What `output` gave.
    pub fn new(output: W) -> io::Result<Self> {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed("netloom"))],
            ..SectionHeaderBlock::default()
        };
        let blocks = PcapNgWriter::with_section_header(Vec::new(), section).map_err(into_io_error)?;
        let mut writer = Self { blocks, output, interface_count: 0, frame: Vec::new(), is_broken: false };
        writer.flush()?;
        Ok(writer)
    }

    /// Describes an interface whose frames will follow, and writes the description.
    ///
    /// # Errors
    ///
    /// What the output gave.
    pub fn add_interface(&mut self, name: &str, medium: Medium) -> io::Result<CaptureInterface> {
        self.check()?;
        let linktype = match medium {
            Medium::Ethernet => DataLink::ETHERNET,
            Medium::Ip => DataLink::RAW,
        };
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed(cut(name))),
            InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
        ];
        let block = InterfaceDescriptionBlock { linktype, snaplen: SNAP_LEN, options };
        self.blocks.write_pcapng_block(block).map_err(into_io_error)?;
        let interface = CaptureInterface(self.interface_count);
        self.interface_count = self.interface_count.saturating_add(1);
        self.flush()?;
        Ok(interface)
    }

    /// Adds one frame. It may stay in memory until the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timestamp past the format's end, or an interface of another capture; nothing was
    /// added. Else what the output gave; the capture ends there.
    pub fn record(&mut self, frame: &CapturedFrame<'_>) -> io::Result<()> {
        self.check()?;
        let &CapturedFrame { interface, timestamp, direction, parts, comment } = frame;
        self.frame.clear();
        for part in parts {
            self.frame.extend_from_slice(part);
        }
        let mut options = vec![EnhancedPacketOption::Flags(direction.flags())];
        if let Some(comment) = comment {
            options.push(EnhancedPacketOption::Common(CommonOption::Comment(Cow::Borrowed(cut(comment)))));
        }
        let block = EnhancedPacketBlock {
            interface_id: interface.0,
            timestamp,
            original_len: u32::try_from(self.frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            data: Cow::Borrowed(&self.frame),
            options,
        };
        self.blocks.write_pcapng_block(block).map_err(into_io_error)?;
        if self.blocks.get_ref().len() >= FLUSH_LEN { self.flush() } else { Ok(()) }
    }

    /// Writes what has gathered, and flushes the output: from here on it survives even SIGKILL.
    ///
    /// # Errors
    ///
    /// What the output gave. The file may then end inside a block, so nothing is written after that, and every
    /// later call fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        if self.blocks.get_ref().is_empty() {
            return Ok(());
        }
        let result = self.output.write_all(self.blocks.get_ref()).and_then(|()| self.output.flush());
        self.blocks.get_mut().clear();
        self.is_broken = result.is_err();
        result
    }

    /// The output, without what was not flushed.
    pub fn into_inner(self) -> W {
        self.output
    }

    fn check(&self) -> io::Result<()> {
        if self.is_broken { Err(io::Error::other("the capture ended with a failed write")) } else { Ok(()) }
    }
}

/// The text's start that an option can hold.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(OPTION_MAX_LEN)).unwrap_or(text)
}

fn into_io_error(error: PcapNgWriteError) -> io::Error {
    match error {
        PcapNgWriteError::Io(error) => error,
        invalid @ (PcapNgWriteError::Validation { .. }
        | PcapNgWriteError::InvalidFormat(_)
        | PcapNgWriteError::StateUpdate(_)) => io::Error::new(io::ErrorKind::InvalidInput, invalid),
    }
}
