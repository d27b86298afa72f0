//! What crossed the links of a run, to be written as pcapng.
//!
//! tcpdump reads no file with two kinds of link, so packets of links without Ethernet get an Ethernet header whose
//! addresses are zero.

use std::borrow::Cow;
use std::io::{self, Write};

use netloom_base::{Instant, Medium};
use netloom_wire::ETHERNET_HEADER_LEN;
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};

/// Bytes that a capture keeps; what comes later is left out.
const MAX_LEN: usize = 256 << 20;
/// What a frame costs beside its bytes.
const FRAME_COST: usize = 96;

/// Frames as they left one host and arrived at another, each with what became of it.
#[derive(Debug, Default)]
pub struct Capture {
    interfaces: Vec<String>,
    frames: Vec<Captured>,
    len: usize,
}

/// Which way a frame went, seen from its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

#[derive(Debug)]
struct Captured {
    interface: u32,
    at: Instant,
    way: Way,
    bytes: Vec<u8>,
    comment: Option<String>,
}

impl Capture {
    /// Describes an interface; its number.
    pub(crate) fn add_interface(&mut self, name: String) -> u32 {
        self.interfaces.push(name);
        u32::try_from(self.interfaces.len() - 1).unwrap_or(u32::MAX)
    }

    /// Keeps a frame.
    pub(crate) fn record(&mut self, interface: u32, at: Instant, way: Way, medium: Medium, frame: &[u8]) {
        if self.len >= MAX_LEN {
            return;
        }
        let mut bytes = Vec::with_capacity(ETHERNET_HEADER_LEN + frame.len());
        if medium == Medium::Ip {
            let ether_type =
                if frame.first().is_some_and(|first| first >> 4 == 6) { 0x86dd } else { 0x0800_u16 };
            bytes.extend_from_slice(&[0; 12]);
            bytes.extend_from_slice(&ether_type.to_be_bytes());
        }
        bytes.extend_from_slice(frame);
        self.len += bytes.len() + FRAME_COST;
        self.frames.push(Captured { interface, at, way, bytes, comment: None });
    }

    /// Says what became of the last frame.
    pub(crate) fn comment(&mut self, comment: String) {
        if let Some(last) = self.frames.last_mut().filter(|_| self.len < MAX_LEN) {
            last.comment = Some(comment);
        }
    }

    /// Frames kept.
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Writes all of it as pcapng. Virtual time begins at 1970.
    ///
    /// # Errors
    /// What `output` gave.
    pub fn write<W: Write>(&self, output: W) -> io::Result<()> {
        let mut writer = PcapNgWriter::new(output).map_err(into_io_error)?;
        for name in &self.interfaces {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ];
            let block =
                InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0x4_0000, options };
            writer.write_pcapng_block(block).map_err(into_io_error)?;
        }
        for Captured { interface, at, way, bytes, comment } in &self.frames {
            let way = match way {
                Way::In => 1,
                Way::Out => 2,
            };
            let mut options = vec![EnhancedPacketOption::Flags(way)];
            if let Some(comment) = comment {
                options.push(EnhancedPacketOption::Common(CommonOption::Comment(Cow::Borrowed(comment))));
            }
            let block = EnhancedPacketBlock {
                interface_id: *interface,
                timestamp: at.saturating_since(Instant::ZERO),
                original_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                data: Cow::Borrowed(bytes),
                options,
            };
            writer.write_pcapng_block(block).map_err(into_io_error)?;
        }
        Ok(())
    }
}

fn into_io_error(error: PcapNgWriteError) -> io::Error {
    match error {
        PcapNgWriteError::Io(error) => error,
        invalid @ (PcapNgWriteError::Validation { .. }
        | PcapNgWriteError::InvalidFormat(_)
        | PcapNgWriteError::StateUpdate(_)) => io::Error::new(io::ErrorKind::InvalidInput, invalid),
    }
}
