//! Bytes both ways, byte for byte.

use netloom::device::Offload;
use netloom::stack::DropReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{
    self, FAMILIES, Shapes, Stream, Way, exchange, from_kernel, pattern, read_all, to_kernel,
    write_and_finish,
};

const LEN: usize = 10_000_000;

#[test]
fn the_kernel_as_client_exchanges_every_byte() {
    lab::run(async |net| {
        for family in FAMILIES {
            let (theirs, ours) = from_kernel(&net, family).await;
            exchange(theirs, ours, LEN).await;
        }
    });
}

#[test]
fn the_kernel_as_server_exchanges_every_byte() {
    lab::run(async |net| {
        for family in FAMILIES {
            let (theirs, ours) = to_kernel(&net, family).await;
            exchange(theirs, ours, LEN).await;
        }
    });
}

/// The largest packet without offloads.
const MTU: usize = 1500;

/// Whether the packets of a transfer of `len` bytes were of the kind that this test program's mode is about. Those without data,
/// and those that the kernel makes without a socket, may be finished anywhere.
fn check_shapes(shapes: Shapes, len: usize) {
    let least_parts = (len / MTU) as u64;
    let most_are_unfinished = 2 * shapes.unfinished > shapes.packets;
    let is_right = match lab::offload() {
        Offload::Full | Offload::Tcp => {
            shapes.longest > MTU && 2 * shapes.packets < least_parts && most_are_unfinished
        }
        Offload::Checksum => {
            shapes.trains == 0 && shapes.longest == MTU && shapes.packets > least_parts && most_are_unfinished
        }
        Offload::Plain => {
            shapes.trains == 0
                && shapes.longest == MTU
                && shapes.packets > least_parts
                && shapes.unfinished == 0
        }
    };
    assert!(is_right, "{shapes:?} for at least {least_parts} segments");
}

#[test]
fn what_crosses_the_device_is_of_the_kind_that_the_mode_promises() {
    lab::run_watching(async |net, crossing| {
        for family in FAMILIES {
            let is_ipv4 = family.ours(0).is_ipv4();
            let bytes = pattern(LEN, 6);
            let (theirs, ours) = from_kernel(&net, family).await;
            let ((), received) = tokio::join!(write_and_finish(theirs, &bytes), read_all(ours));
            assert!(received == bytes);
            check_shapes(crossing.take_tcp(Way::In, is_ipv4), LEN);
            let (theirs, ours) = to_kernel(&net, family).await;
            crossing.take_tcp(Way::Out, is_ipv4);
            let ((), received) = tokio::join!(write_and_finish(ours, &bytes), read_all(theirs));
            assert!(received == bytes);
            check_shapes(crossing.take_tcp(Way::Out, is_ipv4), LEN);
        }
        // Groups of the kernel's alone, which it tells of when its interface comes up, and a byte sent once more, by which it probes.
        let expected = [DropReason::LinkNotForUs, DropReason::TcpOutOfWindow];
        let is_expected = |(reason, _): &(DropReason, u64)| expected.contains(reason);
        let dropped = net.inspect(|stack| stack.counters().drops.nonzero().collect::<Vec<_>>()).concat();
        assert!(dropped.iter().all(is_expected), "{dropped:?}");
    });
}

/// One half is closed before the other side has sent anything; then the other sends much.
async fn half_closed_first(mut first: impl Stream, mut second: impl Stream) {
    first.write_all(b"request").await.expect("written");
    first.shutdown().await.expect("shut down");
    let mut request = Vec::new();
    second.read_to_end(&mut request).await.expect("read");
    assert_eq!(request, b"request");
    let answer = pattern(1_000_000, 3);
    let ((), received) = tokio::join!(write_and_finish(&mut second, &answer), read_all(&mut first));
    assert!(received == answer);
}

#[test]
fn a_closed_half_leaves_the_other_open() {
    lab::run(async |net| {
        for family in FAMILIES {
            let (theirs, ours) = from_kernel(&net, family).await;
            half_closed_first(theirs, ours).await;
            let (theirs, ours) = from_kernel(&net, family).await;
            half_closed_first(ours, theirs).await;
            let (theirs, ours) = to_kernel(&net, family).await;
            half_closed_first(theirs, ours).await;
            let (theirs, ours) = to_kernel(&net, family).await;
            half_closed_first(ours, theirs).await;
        }
    });
}

#[test]
fn single_bytes_go_back_and_forth() {
    lab::run(async |net| {
        let (mut theirs, mut ours) = from_kernel(&net, FAMILIES[0]).await;
        theirs.set_nodelay(true).expect("set");
        ours.set_nodelay(true).expect("set");
        for round in 0..1000u32 {
            let byte = round.to_be_bytes()[3];
            theirs.write_u8(byte).await.expect("written");
            assert_eq!(ours.read_u8().await.expect("read"), byte);
            ours.write_u8(byte).await.expect("written");
            assert_eq!(theirs.read_u8().await.expect("read"), byte);
        }
    });
}

/// The reader takes nothing until the writer is stuck behind a closed window; then everything arrives, FIN included.
async fn stuck_then_read(mut writer: impl Stream, reader: impl Stream) {
    let bytes = pattern(20_000_000, 4);
    let writing = write_and_finish(&mut writer, &bytes);
    let mut writing = std::pin::pin!(writing);
    // The writer must get stuck long before the end: nobody reads.
    let stuck = tokio::time::timeout(std::time::Duration::from_millis(700), writing.as_mut()).await;
    assert!(stuck.is_err(), "nobody holds 20 MB for a reader that does not read");
    let ((), received) = tokio::join!(writing, read_all(reader));
    assert!(received == bytes);
}

#[test]
fn a_slow_reader_stops_the_writer_and_loses_nothing() {
    lab::run(async |net| {
        let (theirs, ours) = from_kernel(&net, FAMILIES[0]).await;
        stuck_then_read(theirs, ours).await;
        let (theirs, ours) = from_kernel(&net, FAMILIES[0]).await;
        stuck_then_read(ours, theirs).await;
    });
}
