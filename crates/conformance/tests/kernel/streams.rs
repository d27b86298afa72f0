//! Bytes both ways, byte for byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{
    self, FAMILIES, Stream, exchange, from_kernel, pattern, read_all, to_kernel, write_and_finish,
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
