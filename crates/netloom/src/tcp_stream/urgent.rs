//! Urgent data (RFC 9293 3.8.5), for the few protocols that have it: telnet, rlogin, FTP's abort.

use std::io;

use super::TcpStream;
use crate::error;
use crate::wakers::wait_for;

impl TcpStream {
    /// Sends bytes as urgent: the peer is told that it should hurry to where they end. Takes as many as there is room for, at least
    /// one, and marks the end of those; says how many that was, for the rest to be sent by another call. Cancel safe. [9293 MUST-30]
    ///
    /// *New protocols should not use it* (RFC 6093 5): what lies on the way may clear the mark, and hosts do not agree on what it
    /// means. A peer that does not ask for urgent data in line (`SO_OOBINLINE`) finds the last byte out of band (`MSG_OOB`),
    /// and each call marks one. tokio has no such call; `socket2` has `send_out_of_band`.
    ///
    /// # Errors
    /// As writing.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert_eq!(outgoing.send_urgent(b"stop").await?, 4);
    /// // They are read as all others are.
    /// assert_eq!(incoming.recv_bytes(100).await?, "stop");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send_urgent(&self, bytes: &[u8]) -> io::Result<usize> {
        wait_for(|cx| self.handle.poll_send_urgent(cx, bytes), |waker| self.handle.give_up(waker)).await
    }

    /// How many bytes are left to read up to the end of what the peer calls urgent, be they here yet or not; `None`: nothing is
    /// urgent. They are read in line, among all others (RFC 6093 3.1); [`reported`](Self::reported) waits for news of them.
    /// [9293 MUST-33]
    ///
    /// # Errors
    /// `NotConnected` once the connection is gone.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// assert_eq!(incoming.urgent_remaining()?, None);
    /// outgoing.send_urgent(b"stop").await?;
    /// incoming.reported().await?;
    /// assert_eq!(incoming.urgent_remaining()?, Some(4));
    /// # Ok(())
    /// # }
    /// ```
    pub fn urgent_remaining(&self) -> io::Result<Option<u32>> {
        self.handle.with_open(|shard, _, id| {
            let info = shard.stack.tcp().info(id).ok_or_else(error::gone)?;
            Ok(info.urgent_remaining)
        })
    }

    /// Whether the last urgent byte is the next to be read, as `sockatmark`. Reads do not stop there: whoever wants to asks for
    /// one byte less than [`urgent_remaining`](Self::urgent_remaining) says.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/connected.md")]
    /// use tokio::io::AsyncReadExt;
    ///
    /// outgoing.send_urgent(b"stop").await?;
    /// incoming.reported().await?;
    /// incoming.read_exact(&mut [0; 3]).await?;
    /// assert!(incoming.is_at_mark()?);
    /// assert_eq!(incoming.read_u8().await?, b'p');
    /// assert!(!incoming.is_at_mark()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_at_mark(&self) -> io::Result<bool> {
        self.urgent_remaining().map(|remaining| remaining == Some(1))
    }
}
