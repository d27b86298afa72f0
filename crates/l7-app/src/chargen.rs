//! The character generator: lines of 72 printable characters without end (RFC 864).
//!
//! # Limits
//! One connection costs 4 KiB for what it reads and drops; what it sends is a constant of the program. Over UDP the
//! answer is longer than the question, which would make the service a weapon in the hands of whoever forges sources.
//! So it answers at most [`UDP_REPLIES_PER_SECOND`] datagrams a second to all peers together, each of at most 512
//! bytes: no victim can get more than about 51 kB/s. Other services' ports are not answered at all.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::coop::consume_budget;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::accept::{ConnectionLimits, serve_connections};
use crate::activity::with_idle_limit;
use crate::datagrams::{Datagrams, ReplyBudget, answer_datagrams, may_answer};
use crate::random::Random;

/// Replies a second over UDP, to all peers together.
pub const UDP_REPLIES_PER_SECOND: u32 = 100;
/// The longest reply over UDP, in bytes (RFC 864, "UDP Based Character Generator Service").
const MAX_UDP_REPLY_LEN: u32 = 512;
const LINE_LEN: usize = 72;
/// The printable characters of ASCII, the space included.
const FIRST: u8 = b' ';
const CHARACTER_COUNT: usize = 95;
/// How many whole patterns stand in a row in [`PATTERN`], so that one write carries about 64 KiB.
const REPEATS: usize = 9;

/// Every line once, [`REPEATS`] times over: each begins one character further than the one before.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let alphabet = (FIRST..).take(CHARACTER_COUNT);
    let mut pattern = Vec::with_capacity(REPEATS * CHARACTER_COUNT * (LINE_LEN + 2));
    for start in 0..REPEATS * CHARACTER_COUNT {
        pattern.extend(alphabet.clone().cycle().skip(start % CHARACTER_COUNT).take(LINE_LEN));
        pattern.extend(b"\r\n");
    }
    pattern
});

/// Serves chargen over TCP until `shutdown`.
///
/// What the peer sends is dropped. Its FIN says only that it will send no more, so the lines go on until it resets
/// the connection, as it does when it has closed it and more arrives.
pub async fn serve_tcp<L>(listener: L, limits: ConnectionLimits, shutdown: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    let ended = shutdown.clone();
    serve_connections(listener, limits, &shutdown, move |stream, peer| {
        let ended = ended.clone();
        async move {
            let served = with_idle_limit(stream, limits.idle, generate);
            match ended.run_until_cancelled(served).await {
                Some(Some(error)) => debug!(%peer, %error, "chargen: the peer is gone"),
                Some(None) => debug!(%peer, "chargen: idle for too long"),
                None => debug!(%peer, "chargen: service stops"),
            }
        }
    })
    .await;
}

/// Serves chargen over UDP until `shutdown`: each datagram is answered with 0 to 512 characters, how many is left
/// to chance.
///
/// # Errors
/// The socket's own, when it can no longer be used.
pub async fn serve_udp<D: Datagrams>(socket: D, shutdown: CancellationToken) -> io::Result<()> {
    let local_port = socket.local_addr()?.port();
    let mut budget = ReplyBudget::new(UDP_REPLIES_PER_SECOND);
    let mut random = Random::new();
    answer_datagrams(&socket, &shutdown, |_, peer| {
        if !may_answer(peer, local_port) || !budget.take(Instant::now()) {
            return None;
        }
        let len = usize::try_from(random.below(MAX_UDP_REPLY_LEN + 1)).unwrap_or_default();
        PATTERN.get(..len).map(Cow::Borrowed)
    })
    .await
}

/// Sends lines, and drops what comes, until one of the two fails; returns that failure.
async fn generate<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Error {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let read_all = async {
        let mut buffer = vec![0; 4096];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => std::future::pending().await,
                Ok(_) => consume_budget().await,
                Err(error) => return error,
            }
        }
    };
    let write_all = async {
        loop {
            if let Err(error) = writer.write_all(&PATTERN).await {
                return error;
            }
            consume_budget().await;
        }
    };
    tokio::select! {
        error = read_all => error,
        error = write_all => error,
    }
}

#[cfg(test)]
mod tests {
    use super::{CHARACTER_COUNT, LINE_LEN, PATTERN, REPEATS};

    #[test]
    fn lines_have_72_characters_and_rotate() {
        let lines: Vec<&[u8]> = PATTERN.chunks(LINE_LEN + 2).collect();
        assert_eq!(lines.len(), REPEATS * CHARACTER_COUNT);
        assert!(lines.iter().all(|line| line.ends_with(b"\r\n")));
        assert_eq!(
            &lines[0][..LINE_LEN],
            br##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##
        );
        for pair in lines.windows(2) {
            assert_eq!(pair[0][1..LINE_LEN], pair[1][..LINE_LEN - 1]);
        }
        assert_eq!(&lines[95], &lines[0]);
        assert_eq!(lines[94][..2], *b"~ ");
    }
}
