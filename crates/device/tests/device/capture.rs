//! Captures: read back with pcap-file, and by tcpdump where there is one.

use std::fs::File;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netloom_base::{Medium, TxMeta};
use netloom_device::{
    CaptureInterface, CaptureWriter, Captured, CapturedFrame, Direction, MemoryQueue, Queue,
    RECEIVE_BUFFER_LEN,
};
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{Block, PcapNgReader};

use crate::support::{arp_request, skip, udp_headers};

/// Link types of the interfaces, and all frames.
fn read_back(bytes: &[u8]) -> (Vec<DataLink>, Vec<EnhancedPacketBlock<'static>>) {
    let mut reader = PcapNgReader::new(bytes).unwrap();
    let mut frames = Vec::new();
    while let Some(block) = reader.next_block() {
        if let (Block::EnhancedPacket(frame), _) = block.unwrap() {
            frames.push(frame.into_owned());
        }
    }
    (reader.interfaces().iter().map(|interface| interface.linktype).collect(), frames)
}

fn frame<'a>(interface: CaptureInterface, parts: &'a [&'a [u8]]) -> CapturedFrame<'a> {
    let timestamp = Duration::new(1_700_000_000, 123_456_789);
    CapturedFrame { interface, timestamp, direction: Direction::Inbound, parts, comment: None }
}

#[test]
fn what_is_written_is_read_back() {
    let mut writer = CaptureWriter::new(Vec::new()).unwrap();
    let tap = writer.add_interface("tap0", Medium::Ethernet).unwrap();
    let tun = writer.add_interface("tun0", Medium::Ip).unwrap();
    writer.record(&frame(tap, &[b"he", b"", b"ad"])).unwrap();
    let noted =
        CapturedFrame {
            direction: Direction::Outbound, comment: Some("why: größer"), ..frame(tun, &[b"x"])
        };
    writer.record(&noted).unwrap();
    writer.flush().unwrap();

    let (linktypes, frames) = read_back(&writer.into_inner());
    assert_eq!(linktypes, [DataLink::ETHERNET, DataLink::RAW]);
    let [first, second] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((first.interface_id, &first.data[..], first.original_len), (0, &b"head"[..], 4));
    assert_eq!(first.timestamp, Duration::new(1_700_000_000, 123_456_789));
    assert_eq!(first.options, [EnhancedPacketOption::Flags(1)]);
    assert_eq!((second.interface_id, &second.data[..]), (1, &b"x"[..]));
    let comment = EnhancedPacketOption::Common(CommonOption::Comment("why: größer".into()));
    assert_eq!(second.options, [EnhancedPacketOption::Flags(2), comment]);
}

#[test]
fn an_endless_comment_is_cut_between_characters() {
    let mut writer = CaptureWriter::new(Vec::new()).unwrap();
    let tap = writer.add_interface("tap0", Medium::Ethernet).unwrap();
    let comment = "ö".repeat(40_000);
    writer.record(&CapturedFrame { comment: Some(&comment), ..frame(tap, &[b"x"]) }).unwrap();
    writer.flush().unwrap();
    let (_, frames) = read_back(&writer.into_inner());
    let kept = EnhancedPacketOption::Common(CommonOption::Comment("ö".repeat(32_767).into()));
    assert_eq!(frames[0].options[1], kept);
}

#[test]
fn memory_is_bounded_without_a_flush() {
    let mut writer = CaptureWriter::new(Vec::new()).unwrap();
    let tap = writer.add_interface("tap0", Medium::Ethernet).unwrap();
    for _ in 0..1000 {
        writer.record(&frame(tap, &[&[0; 1500]])).unwrap();
    }
    let (_, frames) = read_back(&writer.into_inner());
    assert!((950..1000).contains(&frames.len()), "{} frames were written", frames.len());
}

#[test]
fn a_refused_frame_leaves_the_capture_whole() {
    let mut writer = CaptureWriter::new(Vec::new()).unwrap();
    let mut other = CaptureWriter::new(io::sink()).unwrap();
    let foreign = other.add_interface("tap0", Medium::Ethernet).unwrap();
    let refused = writer.record(&frame(foreign, &[b"x"])).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    let tap = writer.add_interface("tap0", Medium::Ethernet).unwrap();
    let late = CapturedFrame { timestamp: Duration::MAX, ..frame(tap, &[b"x"]) };
    assert_eq!(writer.record(&late).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    writer.record(&frame(tap, &[b"kept"])).unwrap();
    writer.flush().unwrap();
    let (_, frames) = read_back(&writer.into_inner());
    assert_eq!(frames.len(), 1);
    assert_eq!(&frames[0].data[..], b"kept");
}

#[test]
fn the_queues_of_a_device_are_one_interface() {
    let capture = Arc::new(Mutex::new(CaptureWriter::new(Vec::new()).unwrap()));
    let pairs = (0..2).map(|_| MemoryQueue::pair(Medium::Ip, 1500).unwrap());
    let (queues, _others): (Vec<_>, Vec<_>) = pairs.unzip();
    let mut queues = Captured::of_queues(queues, &capture).unwrap();
    for queue in &mut queues {
        queue.send(TxMeta::default(), b"x", [b"", b""]).unwrap();
    }
    drop(queues);
    let writer = Arc::into_inner(capture).unwrap().into_inner().unwrap();
    let (linktypes, frames) = read_back(&writer.into_inner());
    assert_eq!((linktypes.len(), frames.len()), (1, 2));
}

/// Takes so many bytes, then no more.
struct FullDisk {
    room: usize,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.room.min(bytes.len());
        self.room -= taken;
        if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn traffic_goes_on_when_the_disk_is_full() {
    let capture = Arc::new(Mutex::new(CaptureWriter::new(FullDisk { room: 300 }).unwrap()));
    let (left, mut right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let mut left = Captured::new(left, Arc::clone(&capture)).unwrap();
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    for _ in 0..10 {
        left.send(TxMeta::default(), &[0x45; 100], [b"", b""]).unwrap();
        left.flush().unwrap();
        assert_eq!(right.recv(&mut buffer).unwrap().range, 0..100);
    }
    assert_eq!(left.failure().unwrap().kind(), io::ErrorKind::StorageFull);
    assert!(capture.lock().unwrap().flush().is_err(), "nothing follows half a block");
}

#[test]
fn a_wrapped_queue_is_recorded_in_both_directions() {
    let capture = Arc::new(Mutex::new(CaptureWriter::new(Vec::new()).unwrap()));
    let (left, right) = MemoryQueue::pair(Medium::Ip, 1500).unwrap();
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut left = Captured::new(Box::new(left) as Box<dyn Queue>, Arc::clone(&capture)).unwrap();
    let mut right = Captured::new(right, Arc::clone(&capture)).unwrap();
    assert_eq!((left.name(), left.caps()), ("memory0", right.caps()));

    left.send(TxMeta::default(), b"a", [b"b", b"c"]).unwrap();
    let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
    assert_eq!(right.recv(&mut buffer).unwrap().range, 0..3);
    assert_eq!(right.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop((left, right));
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();

    let Ok(capture) = Arc::try_unwrap(capture) else { panic!("the queues let go of the capture") };
    let (_, frames) = read_back(&capture.into_inner().unwrap().into_inner());
    let seen: Vec<_> =
        frames.iter().map(|frame| (frame.interface_id, &frame.data[..], &frame.options[..])).collect();
    let [sent, received] = [[EnhancedPacketOption::Flags(2)], [EnhancedPacketOption::Flags(1)]];
    assert_eq!(seen, [(0, &b"abc"[..], &sent[..]), (1, &b"abc"[..], &received[..])]);
    assert!(before <= frames[0].timestamp && frames[0].timestamp <= frames[1].timestamp);
    assert!(frames[1].timestamp <= after);
}

#[test]
fn tcpdump_reads_a_capture_that_is_still_open() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return skip("there is no tcpdump");
    }
    let directory = tempfile::tempdir().unwrap();
    let read = |medium, head: &[u8], payload: &[u8]| {
        let path = directory.path().join(format!("{medium:?}.pcapng"));
        let capture = Arc::new(Mutex::new(CaptureWriter::new(File::create(&path).unwrap()).unwrap()));
        let (left, mut right) = MemoryQueue::pair(medium, 1500).unwrap();
        let mut left = Captured::new(left, capture).unwrap();
        left.send(TxMeta::default(), head, [payload, b""]).unwrap();
        right.send(TxMeta::default(), head, [payload, b""]).unwrap();
        let mut buffer = vec![0; RECEIVE_BUFFER_LEN];
        left.recv(&mut buffer).unwrap();
        assert_eq!(left.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // Nothing is closed or dropped in an orderly way from here on, as after SIGKILL.
        std::mem::forget(left);
        let output = Command::new("tcpdump").args(["-n", "-e", "-t", "-r"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let arp = read(Medium::Ethernet, &arp_request([10, 9, 0, 1].into()), b"");
    assert_eq!(arp.matches("Request who-has 10.9.0.1 tell 10.9.0.2").count(), 2, "{arp}");
    let head = udp_headers("10.9.0.2:2000".parse().unwrap(), "10.9.0.1:3000".parse().unwrap(), 5);
    let udp = read(Medium::Ip, &head, b"hello");
    assert_eq!(udp.matches("10.9.0.2.2000 > 10.9.0.1.3000: UDP, length 5").count(), 2, "{udp}");
}
