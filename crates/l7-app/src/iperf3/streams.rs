//! The tasks that move a test's data, one a stream.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::task::coop::consume_budget;
use tokio::time::sleep;
use tracing::debug;

use crate::connection::Connection;
use crate::datagrams::Datagrams;
use crate::iperf3::header::DatagramHeader;
use crate::iperf3::pacing;
use crate::iperf3::tally::Tally;
use crate::iperf3::udp::UdpPort;
use crate::random::Random;

/// The most bytes that are sent before they are counted, so that a slow path does not look silent.
const MAX_COUNTED_LEN: usize = 128 * 1024;

/// How to send.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    /// Bytes at once.
    pub(crate) block_len: usize,
    /// Bits a second.
    pub(crate) rate: Option<u64>,
    /// What all streams together may still send, where there is an end.
    pub(crate) allowance: Option<Arc<AtomicU64>>,
}

impl Sending {
    /// A block of filler that does not compress.
    fn block(&self) -> Vec<u8> {
        let mut block = vec![0; self.block_len];
        Random::new().fill(&mut block);
        block
    }

    /// How many bytes may be written next.
    fn take_allowance(&self) -> usize {
        let Some(allowance) = &self.allowance else { return self.block_len };
        let block_len = self.block_len as u64;
        let left = allowance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(block_len)));
        let (Ok(left) | Err(left)) = left;
        usize::try_from(left).unwrap_or(usize::MAX).min(self.block_len)
    }

    /// Waits until `sent_len` bytes are due.
    async fn pace(&self, sent_len: u64, start: Instant) {
        if let Some(rate) = self.rate {
            let wait = pacing::wait(sent_len, rate, start.elapsed());
            if !wait.is_zero() {
                sleep(wait).await;
            }
        }
    }
}

/// Counts what arrives on `stream` until it ends.
pub(crate) async fn receive<S: Connection>(mut stream: S, block_len: usize, tally: Arc<Tally>) {
    let mut buffer = vec![0; block_len];
    loop {
        match stream.skip(&mut buffer).await {
            Ok(0) => return,
            Ok(len) => {
                tally.on_bytes(len);
                consume_budget().await;
            }
            Err(error) => {
                debug!(%error, "iperf3: a stream broke off");
                return;
            }
        }
    }
}

/// A stream that tells its retransmissions when it is dropped: it waits for the end of the test in the middle of whatever
/// it does.
struct Sender<'a, S: Connection> {
    stream: S,
    tally: &'a Tally,
}

impl<'a, S: Connection> Sender<'a, S> {
    fn new(stream: S, tally: &'a Tally) -> Self {
        tally.on_retransmits(stream.retransmits());
        Self { stream, tally }
    }
}

impl<S: Connection> Drop for Sender<'_, S> {
    fn drop(&mut self) {
        self.tally.on_retransmits(self.stream.retransmits());
    }
}

/// Sends on `stream` until it breaks or nothing more may be sent. It is then held open until the task is ended: that
/// the data has an end is the control connection's to say.
pub(crate) async fn send<S: Connection>(stream: S, sending: Sending, tally: Arc<Tally>) {
    let mut sender = Sender::new(stream, &tally);
    let sent = send_all(&mut sender.stream, &sending, &tally).await;
    if let Err(error) = sent {
        debug!(%error, "iperf3: a stream broke off");
    }
    std::future::pending::<()>().await;
}

async fn send_all<S: Connection>(stream: &mut S, sending: &Sending, tally: &Tally) -> io::Result<()> {
    let block = Bytes::from(sending.block());
    let start = Instant::now();
    let mut sent_len = 0;
    loop {
        let mut rest = block.slice(..sending.take_allowance());
        if rest.is_empty() {
            return stream.flush().await;
        }
        while !rest.is_empty() {
            let len = rest.len().min(MAX_COUNTED_LEN);
            stream.send_bytes(&mut rest.split_to(len)).await?;
            tally.on_bytes(len);
            sent_len += len as u64;
            // To ask takes a lock: not while it counts, as the end tells then.
            if tally.is_omitting() {
                tally.on_retransmits(stream.retransmits());
            }
        }
        sending.pace(sent_len, start).await;
        consume_budget().await;
    }
}

/// Sends numbered datagrams to `peer` until the task is ended.
pub(crate) async fn send_datagrams<D: Datagrams>(
    port: Arc<UdpPort<D>>,
    peer: SocketAddr,
    wide: bool,
    sending: Sending,
    tally: Arc<Tally>,
) {
    let mut datagram = sending.block();
    let start = Instant::now();
    let (mut number, mut sent_len) = (1, 0);
    loop {
        DatagramHeader { sent_at: port.epoch.elapsed(), number }.emit(wide, &mut datagram);
        match port.socket.send_to(&datagram, peer).await {
            Ok(len) => {
                tally.on_datagram_sent(len);
                sent_len += len as u64;
                number += 1;
            }
            // A full queue, or news of an earlier datagram; the next try tells.
            Err(error) => {
                debug!(%error, "iperf3: a datagram was not sent");
                sleep(Duration::from_millis(1)).await;
            }
        }
        sending.pace(sent_len, start).await;
        consume_budget().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{MAX_COUNTED_LEN, Sending, send_all};
    use crate::connection::Connection;
    use crate::iperf3::tally::Tally;

    /// Remembers what it is lent; to write or to read is not expected of it.
    #[derive(Default)]
    struct Borrower(Vec<Bytes>);

    impl Connection for Borrower {
        async fn send_bytes(&mut self, bytes: &mut Bytes) -> io::Result<()> {
            self.0.push(std::mem::take(bytes));
            Ok(())
        }

        async fn skip(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn retransmits(&self) -> Option<u32> {
            None
        }
    }

    impl AsyncRead for Borrower {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
        }
    }

    impl AsyncWrite for Borrower {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn the_same_memory_is_lent_again_and_again_and_all_of_it_is_counted() {
        let block_len = MAX_COUNTED_LEN + 1000;
        let total_len = 3 * block_len as u64 + 5;
        let allowance = Some(Arc::new(AtomicU64::new(total_len)));
        let (mut stream, tally) = (Borrower::default(), Tally::new(true, false));
        send_all(&mut stream, &Sending { block_len, rate: None, allowance }, &tally).await.unwrap();

        let lens: Vec<usize> = stream.0.iter().map(Bytes::len).collect();
        assert_eq!(lens, [MAX_COUNTED_LEN, 1000, MAX_COUNTED_LEN, 1000, MAX_COUNTED_LEN, 1000, 5]);
        let block = stream.0[0].as_ptr();
        assert!(stream.0.iter().step_by(2).all(|part| part.as_ptr() == block), "a block was copied");
        assert_eq!(tally.total().len, total_len);
    }
}
