//! Bytes to send, and how they get into a stream.

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes that differ from place to place, so that a shift, loss or repetition shows.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // A 64-bit linear congruential generator; the high bytes are good enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes()[..5]);
    }
    bytes.truncate(len);
    bytes
}

/// Writes `bytes`, then FIN.
pub(crate) async fn write_and_finish(mut stream: impl AsyncWrite + Unpin, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("written");
    stream.shutdown().await.expect("shut down");
}
