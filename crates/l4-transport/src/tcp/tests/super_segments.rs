//! Super-segments: one plan of many parts, one input that counts as many.

use core::num::NonZeroU16;
use core::ops::Range;
use core::time::Duration;

use netloom_base::{Gso, GsoKind, PIECE_LEN, RxMeta};
use netloom_wire::TcpOptions;

use super::lab::*;
use super::pair::{Pair, Script, pattern, with_segmentation};
use crate::tcp::*;

#[test]
fn one_plan_is_as_many_parts_as_the_windows_allow() {
    let mut lab = Lab::new(with_segmentation(plain_config()));
    let flow = lab.accept();
    lab.send(flow, &[1; 20_000]);
    let sent = lab.one();
    assert_eq!(sent.len(), 14_600, "the congestion window");
    let gso = Gso { kind: GsoKind::Tcp4, segment_size: NonZeroU16::new(1460).unwrap(), ecn: false };
    assert_eq!(sent.gso, Some(gso));
    assert_eq!(lab.tcp.counters().segments_sent.get(), 11, "SYN-ACK and ten parts");
    lab.ack(flow, 14_600);
    let rest = lab.one();
    assert_eq!((rest.len(), rest.flags()), (5400, P | A));
}

#[test]
fn a_plan_never_passes_what_a_packet_holds() {
    for (lab, headers) in [
        (Lab::new(with_segmentation(TcpConfig::default())), 20 + 60),
        (Lab::new(with_segmentation(TcpConfig::default())).over_six(), 40 + 60),
    ] {
        let mut lab = lab;
        let flow = lab.accept();
        lab.send(flow, &vec![1; 250_000]);
        let mut acked = 0;
        for _ in 0..20 {
            for sent in lab.sent() {
                assert!(sent.len() + headers <= 65_535);
                acked += sent.len() as u32;
            }
            lab.ack(flow, acked);
        }
        assert_eq!(acked, 250_000);
    }
}

#[test]
fn one_part_is_no_super_segment() {
    let mut lab = Lab::new(with_segmentation(plain_config()));
    let flow = lab.accept();
    lab.send(flow, &[1; 1460]);
    assert_eq!(lab.one().gso, None);
}

#[test]
fn a_received_train_counts_its_parts() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    // A conversation, so that nothing is acknowledged early.
    lab.inject(P | A, flow.theirs, flow.ours, b"hi").unwrap();
    lab.send(flow, b"x");
    lab.sent();
    let before = lab.tcp.counters().segments_received.get();
    lab.inject_train(flow, 2, &[1; 3 * MSS], 1460).unwrap();
    assert_eq!(lab.tcp.counters().segments_received.get() - before, 3);
    assert_eq!(lab.one().acknowledgment(), flow.theirs.wrapping_add(2 + 3 * 1460), "[9293 SHLD-19]: at once");
    lab.inject_train(flow, 2 + 3 * 1460, &[1; MSS], 1460).unwrap();
    lab.none();
}

#[test]
fn bulk_moves_in_large_pieces_and_whole() {
    for merges in [false, true] {
        let config = with_segmentation(TcpConfig::default());
        let scripts = [Script::sending(pattern(3_000_000, 1)), Script::sending(pattern(1_000_000, 2))];
        let mut pair = Pair::new(1, [config.clone(), config], scripts);
        pair.merges = merges;
        pair.open();
        pair.run_and_check(Duration::from_secs(600));
        let plans = pair.sides[0].tcp.counters();
        assert_eq!(plans.retransmits_total(), 0);
    }
}

#[test]
fn what_comes_behind_a_hole_is_acknowledged_once_with_sack_and_part_by_part_without() {
    // [5681-16]
    for (sack, acks, later) in [(true, 1, 2), (false, 3, 3)] {
        let mut lab = Lab::new(TcpConfig { sack, ..plain_config() });
        let flow =
            lab.accept_with(TcpOptions { mss: Some(1460), sack_permitted: true, ..TcpOptions::default() });
        lab.inject_train(flow, 1460, &[1; 3 * MSS], 1460).unwrap();
        let sent = lab.sent();
        assert_eq!(sent.len(), acks, "SACK {sack}");
        assert!(sent.iter().all(|ack| ack.acknowledgment() == flow.theirs && ack.len() == 0));
        // Of segments that come one by one, before anything could leave, the first are each acknowledged. With SACK the third
        // duplicate is the last that goes alone.
        for part in 5..8 {
            lab.inject(A, flow.theirs.wrapping_add(part * 1460), flow.ours, &[1; MSS]).unwrap();
        }
        assert_eq!(lab.sent().len(), later, "SACK {sack}");
    }
}

#[test]
fn a_writer_that_was_cut_short_fills_the_super_segment() {
    let mut lab = Lab::new(with_segmentation(TcpConfig { window_scaling: true, ..plain_config() }));
    let flow =
        lab.accept_with(TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() });
    let text = pattern(12_000_000, 1);
    let (mut written, mut acked, mut partial) = (0, 0, 0);
    while acked < text.len() {
        written += lab.send(flow, &text[written..]);
        let sent: Vec<usize> = lab.sent().iter().map(Sent::len).collect();
        let len: usize = sent.iter().sum();
        if acked > text.len() / 2 {
            // The window is larger than what a writer may leave here by now.
            partial += sent.iter().filter(|&&len| len < 64_240).count();
        }
        assert!(len > 0, "it goes on with each acknowledgment");
        acked += len;
        lab.ack(flow, u32::try_from(acked).unwrap());
    }
    assert!(partial <= 1, "only what is left at the end: {partial}");
    assert!(lab.tcp.counters().blocked(SendBlockedBy::Coalescing) > 0);
}

#[test]
fn what_a_writer_did_not_go_on_with_leaves_with_the_next_acknowledgment() {
    let mut lab = Lab::new(with_segmentation(TcpConfig { window_scaling: true, ..plain_config() }));
    let flow =
        lab.accept_with(TcpOptions { mss: Some(1460), window_scale: Some(7), ..TcpOptions::default() });
    let mut acked = 0;
    let text = pattern(12_000_000, 1);
    let mut written = 0;
    for _ in 0..30 {
        written += lab.send(flow, &text[written..]);
        acked += lab.sent().iter().map(|sent| sent.len() as u32).sum::<u32>();
        lab.ack(flow, acked);
    }
    // It was cut short, and never comes back.
    for _ in 0..200 {
        acked += lab.sent().iter().map(|sent| sent.len() as u32).sum::<u32>();
        lab.ack(flow, acked);
    }
    assert_eq!(acked as usize, written);
}

/// Text in order, as a frame whose buffer may be kept; where the text lies if it was.
pub(super) fn inject_buffer(lab: &mut Lab, flow: Flow, offset: usize, text: &[u8]) -> Option<usize> {
    inject_for_spare(lab, flow, offset, text).map(|(address, _)| address)
}

/// The same in a buffer that is so many bytes longer than the frame.
fn inject_with_room(lab: &mut Lab, flow: Flow, offset: usize, text: &[u8], room: usize) -> Option<usize> {
    inject_frame(lab, flow, offset, text, |len| len + room)
}

/// The same, and the buffer for the next frame.
pub(super) fn inject_for_spare(
    lab: &mut Lab,
    flow: Flow,
    offset: usize,
    text: &[u8],
) -> Option<(usize, Box<[u8]>)> {
    let address = inject_frame(lab, flow, offset, text, |_| PIECE_LEN)?;
    Some((address, lab.tcp.take_buffer(PIECE_LEN)))
}

/// The same in a buffer of a size that depends on the frame's.
fn inject_frame(
    lab: &mut Lab,
    flow: Flow,
    offset: usize,
    text: &[u8],
    size: impl Fn(usize) -> usize,
) -> Option<usize> {
    const LINK: usize = 14;
    let header = lab.header(A, flow.theirs.wrapping_add(u32::try_from(offset).unwrap()), flow.ours);
    let segment = bytes_of(lab.remote, lab.local, &header, text);
    let mut buffer = vec![0; size(LINK + segment.len())].into_boxed_slice();
    buffer[LINK..LINK + segment.len()].copy_from_slice(&segment);
    lab.tcp.offer_buffer(Some(buffer.len()));
    let base = buffer.as_ptr().addr();
    let bytes = &buffer[LINK..LINK + segment.len()];
    deliver(&mut lab.tcp, lab.now, lab.remote, lab.local, bytes, RxMeta::default()).unwrap();
    lab.tcp.offer_buffer(None);
    let taken = lab.tcp.taken_text()?;
    let offset = taken.address - base;
    lab.tcp.adopt(lab.now, taken, buffer, offset);
    Some(taken.address)
}

/// However much waits: a reader that is away for long costs no second copy of what fills its frames.
#[test]
fn text_that_fills_its_frame_stays_where_it_came() {
    let mut lab = Lab::new(TcpConfig { window_scaling: true, ..plain_config() });
    let flow = lab.accept_with(TcpOptions { window_scale: Some(7), ..TcpOptions::default() });
    let text = pattern(500 * MSS, 3);
    let mut lies = Vec::new();
    // In the buffers of a device with an MTU of 1500, and as another shard copies frames.
    for (index, part) in text.chunks(MSS).enumerate() {
        let room = if index % 2 == 0 { 2048 - 54 - MSS } else { 0 };
        lies.push(inject_with_room(&mut lab, flow, index * MSS, part, room).expect("it is taken"));
        lab.sent();
    }
    let used = lab.tcp.usage().buffer_bytes;
    assert!((text.len()..2 * text.len()).contains(&used), "{used}");
    let read = pieces(&mut lab, flow);
    assert!(read.iter().map(|(address, _)| address).eq(&lies));
    assert!(read.iter().flat_map(|(_, bytes)| bytes).eq(&text));
}

/// Little in a buffer as long as the frame is no reason to keep that for ever.
#[test]
fn single_bytes_are_put_together_when_their_buffers_are_called_back() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let text = pattern(1000, 3);
    for (at, byte) in text.chunks(1).enumerate() {
        assert!(inject_with_room(&mut lab, flow, at, byte, 0).is_some());
        lab.sent();
    }
    let used = lab.tcp.usage().buffer_bytes;
    assert!(used <= 64 * 512 + 1024, "{used}");
    let read = pieces(&mut lab, flow);
    assert!(read.len() <= 66 && read.iter().flat_map(|(_, bytes)| bytes).eq(&text), "{} pieces", read.len());
}

#[test]
fn text_keeps_its_buffer() {
    let mut lab = Lab::new(TcpConfig { window_scaling: true, ..plain_config() });
    let options = TcpOptions { window_scale: Some(7), ..TcpOptions::default() };
    let flow = lab.accept_with(options);
    let text = pattern(300_000, 3);
    let mut at = 0;
    for len in [100, 40_000, 1, 16_383, 16_384, 60_000] {
        assert!(inject_buffer(&mut lab, flow, at, &text[at..at + len]).is_some(), "{len} bytes");
        at += len;
        lab.sent();
    }
    // Behind a hole, too, and so does what fills it.
    for parts in [20_000..40_000, 19_000..20_000, 0..19_000] {
        let text = &text[at + parts.start..at + parts.end];
        assert!(inject_buffer(&mut lab, flow, at + parts.start, text).is_some(), "{parts:?}");
    }
    at += 40_000;
    // What came before is cut off in front.
    assert!(inject_buffer(&mut lab, flow, at - 5000, &text[at - 5000..at + 30_000]).is_some());
    at += 30_000;
    assert_eq!(lab.info(flow).receive_queue_len, at);
    assert!(lab.tcp.usage().buffer_bytes >= at);
    assert!(lab.read(flow) == text[..at]);
    lab.advance(Duration::from_secs(3));
    assert_eq!(lab.tcp.usage().buffer_bytes, 0);
}

/// What lies behind a hole is read where it came, each byte where it came last, and what had come whole before nowhere else.
#[test]
fn text_behind_a_hole_is_read_where_it_came() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let text = pattern(6000, 3);
    let come = |lab: &mut Lab, part: Range<usize>| inject_buffer(lab, flow, part.start, &text[part]);
    let last = come(&mut lab, 5000..6000).unwrap();
    assert!(come(&mut lab, 2000..2500).is_some(), "it is covered by what comes next");
    let middle = come(&mut lab, 1500..3000).unwrap();
    let behind = come(&mut lab, 2900..4000).unwrap();
    let before = come(&mut lab, 1000..1600).unwrap();
    assert_eq!(come(&mut lab, 1700..2700), None, "it is here already");
    lab.sent();
    assert_eq!(pieces(&mut lab, flow), []);
    let first = come(&mut lab, 0..1000).unwrap();
    let expected = [(first, 0..1000), (before, 1000..1500), (middle, 1500..3000), (behind, 3000..4000)];
    let where_it_came = |(address, part): (usize, Range<usize>)| (address, text[part].to_vec());
    assert_eq!(pieces(&mut lab, flow), expected.map(where_it_came));
    let filler = come(&mut lab, 4000..5000).unwrap();
    assert_eq!(pieces(&mut lab, flow), [(filler, 4000..5000), (last, 5000..6000)].map(where_it_came));
}

/// Text on loan behind a hole is copied to where it waits when its buffer is called back.
#[test]
fn buffers_on_loan_behind_a_hole_come_back() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    let text = pattern(45_000, 3);
    // Kept, so that no other buffer lies where one has lain.
    let mut spares = Vec::new();
    let mut come = |lab: &mut Lab, index: usize| {
        let part = 500 * index..500 * index + 500;
        let (address, spare) = inject_for_spare(lab, flow, part.start, &text[part]).unwrap();
        spares.push(spare);
        lab.sent();
        address
    };
    // The last of them, and each behind a hole of its own.
    let lent = [80, 3, 5].map(|index| come(&mut lab, index));
    let since: Vec<_> = (8..69).map(|index| come(&mut lab, index)).collect();
    let called_back = [6, 7, 1].map(|index| come(&mut lab, index));
    let used = lab.tcp.usage().buffer_bytes;
    assert!((33_500..3 * 33_500).contains(&used), "{used}");
    come(&mut lab, 0);
    come(&mut lab, 2);
    lab.inject(A, flow.theirs.wrapping_add(2000), flow.ours, &text[2000..2500]).unwrap();
    let read = pieces(&mut lab, flow);
    assert!(read.iter().flat_map(|(_, bytes)| bytes).eq(&text[..34_500]));
    let lies = |address: &usize| read.iter().any(|(piece, _)| piece == address);
    assert!(lent.iter().chain(&since[..2]).all(|address| !lies(address)), "five came for the first five");
    assert!(since[2..].iter().chain(&called_back).all(lies));
}

/// Buffers with little text are on loan: who has had one for longest gives it back for the next.
#[test]
fn text_waits_in_64_buffers_and_is_copied_out_of_the_oldest_for_more() {
    let mut lab = Lab::plain();
    let ports = [lab.remote_port, lab.remote_port + 1];
    let [slow, prompt] = ports.map(|port| {
        lab.remote_port = port;
        lab.accept()
    });
    let text = pattern(64_000, 3);
    // The parts of it that come, and where they lie.
    let come_to_the_slow = |lab: &mut Lab, parts: Range<usize>| -> Vec<usize> {
        lab.remote_port = ports[0];
        let addresses = parts.map(|index| {
            let at = 500 * index;
            let address = inject_buffer(lab, slow, at, &text[at..at + 500]);
            lab.sent();
            address.expect("it comes in order")
        });
        addresses.collect()
    };
    let come_to_the_prompt = |lab: &mut Lab, at: usize| {
        lab.remote_port = ports[1];
        let address = inject_buffer(lab, prompt, at, b"a").expect("it comes in order");
        assert_eq!(pieces(lab, prompt), [(address, b"a".to_vec())], "it is read where it lies");
    };
    let mut lent = come_to_the_slow(&mut lab, 0..62);
    come_to_the_prompt(&mut lab, 0);
    lent.extend(come_to_the_slow(&mut lab, 62..63));
    // The 65th.
    come_to_the_prompt(&mut lab, 1);
    let waiting = pieces(&mut lab, slow);
    assert!(waiting.iter().all(|(address, _)| !lent.contains(address)), "it gave all of its own back");
    assert!(waiting.iter().flat_map(|(_, bytes)| bytes).eq(&text[..31_500]));
    // That it has given them back does not count against what it was lent since.
    let lent = come_to_the_slow(&mut lab, 63..127);
    assert!(pieces(&mut lab, slow).iter().map(|(address, _)| address).eq(&lent));
}

/// Takes what waits, piece by piece, and tells where each lies.
fn pieces(lab: &mut Lab, flow: Flow) -> Vec<(usize, Vec<u8>)> {
    let mut pieces = Vec::new();
    let take = |part: &[u8]| pieces.push((part.as_ptr().addr(), part.to_vec()));
    lab.tcp.recv_with(lab.now, flow.id, usize::MAX, take).unwrap();
    lab.sent();
    pieces
}

#[test]
fn a_buffer_that_the_bound_does_not_allow_is_not_kept() {
    let config = TcpConfig { window_scaling: true, max_buffer_bytes: 60_000, ..plain_config() };
    let mut lab = Lab::new(config);
    let flow = lab.accept_with(TcpOptions { window_scale: Some(7), ..TcpOptions::default() });
    assert_eq!(inject_buffer(&mut lab, flow, 0, &[1; 20_000]), None);
    assert_eq!(lab.read(flow).len(), 20_000);
    // One with little in it is only lent, and counts for what a copy would take.
    assert!(inject_buffer(&mut lab, flow, 20_000, &[1; 1000]).is_some());
    assert_eq!(lab.tcp.usage().buffer_bytes, 1024);
}

#[test]
fn shared_bytes_are_sent_as_they_are_and_given_back_when_acknowledged() {
    let mut lab = Lab::new(with_segmentation(plain_config()));
    let flow = lab.accept();
    let block: std::sync::Arc<Vec<u8>> = std::sync::Arc::new(pattern(100_000, 5));
    struct Block(std::sync::Arc<Vec<u8>>);
    impl AsRef<[u8]> for Block {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    lab.send(flow, b"before");
    let taken = lab.tcp.send_shared(lab.now, flow.id, Box::new(Block(block.clone()))).unwrap();
    assert_eq!(taken, 100_000);
    let mut received = Vec::new();
    while received.len() < 100_006 {
        let sent = lab.sent();
        assert!(!sent.is_empty());
        sent.iter().for_each(|sent| received.extend_from_slice(&sent.text));
        lab.ack(flow, u32::try_from(received.len()).unwrap());
    }
    assert_eq!(&received[..6], b"before");
    assert!(received[6..] == block[..]);
    assert_eq!(std::sync::Arc::strong_count(&block), 1, "nobody holds it any more");
    // There is an end to what is taken.
    let taken: usize = (0..100)
        .map(|_| lab.tcp.send_shared(lab.now, flow.id, Box::new(Block(block.clone()))).unwrap())
        .sum();
    assert!((200_000..600_000).contains(&taken), "{taken}");
}
