//! What a connection has to tell while it goes on.

use std::io;

use super::TcpStream;
use crate::Report;
use crate::wakers::wait_for;

impl TcpStream {
    /// Waits until something happens that is worth a look and ends nothing: an ICMP error came, the way to the peer is suspected as
    /// nothing gets through, or the peer's urgent pointer moved on. What happened before is told at once, as one
    /// report; whoever waits first gets it, and nobody else. Cancel safe. tokio has no such call.
    ///
    /// # Errors
    /// Why the connection broke; `NotConnected` once it or the stack has ended in order: there will be nothing to report.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// // Beside what the task does: read on, but say why it takes so long.
    /// let mut buffer = [0; 16];
    /// # incoming.try_write(b"hello")?;
    /// let len = loop {
    ///     tokio::select! {
    ///         len = outgoing.peek(&mut buffer) => break len?,
    ///         report = outgoing.reported() => println!("still trying: {:?}", report?.soft_error),
    ///     }
    /// };
    /// assert_eq!(len, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn reported(&self) -> io::Result<Report> {
        wait_for(|cx| self.handle.poll_report(cx), |waker| self.handle.give_up(waker)).await
    }
}
