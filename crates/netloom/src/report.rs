//! What a connection has to tell that does not end it (RFC 9293 3.9.1.8).

use std::collections::HashMap;

use netloom_stack::transport::{TcpError, TcpInfo, TcpSocketId};

/// What a [`TcpStream`](crate::TcpStream) was told of that ends nothing: that its packets do not get through, or that the peer
/// is in a hurry. Each field says how it was when something happened that is worth a look, so several may say something; of what
/// came since the last report was taken, the latest is told.
///
/// # Examples
/// ```
#[doc = include_str!("doc/connected.md")]
/// // Says what is wrong while whoever reads and writes waits.
/// let outgoing = std::sync::Arc::new(outgoing);
/// let watched = std::sync::Arc::clone(&outgoing);
/// tokio::spawn(async move {
///     while let Ok(report) = watched.reported().await {
///         match report.soft_error {
///             Some(error) => println!("a router says: {error}"),
///             None => println!("{} times without an answer", report.backoff),
///         }
///     }
/// });
/// # incoming.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The last ICMP error about what is in flight: a router has not passed it on. It may be wrong, or pass: the connection goes
    /// on. [9293 MUST-47] [9293-u11]
    pub soft_error: Option<TcpError>,
    /// How often in a row the timer ran out on what is in flight. From [`TcpConfig::retries1`] (3) on the way to the peer is
    /// suspected, which is told once (RFC 9293 3.8.3).
    ///
    /// [`TcpConfig::retries1`]: netloom_stack::transport::TcpConfig::retries1
    pub backoff: u8,
    /// Bytes up to the end of what the peer calls urgent that were not read, be they here yet or not. [9293 MUST-32]
    pub urgent_remaining: Option<u32>,
}

impl Report {
    /// What there is to say of a connection now.
    fn of(info: &TcpInfo) -> Self {
        Self { soft_error: info.soft_error, backoff: info.backoff, urgent_remaining: info.urgent_remaining }
    }

    /// The same after `earlier`, which nobody has taken: what it said of the path may not be known any more.
    fn after(self, earlier: Option<Self>) -> Self {
        let Some(Self { soft_error, backoff, urgent_remaining: _ }) = earlier else { return self };
        Self {
            soft_error: self.soft_error.or(soft_error),
            backoff: self.backoff.max(backoff),
            urgent_remaining: self.urgent_remaining,
        }
    }
}

/// What connections that are held have told and nobody has taken: one report each.
#[derive(Debug, Default)]
pub(crate) struct Reports(HashMap<TcpSocketId, Report>);

impl Reports {
    /// Something is worth a look: keeps what there is to say for whoever asks. [9293 MUST-32, MUST-47]
    pub(crate) fn keep(&mut self, id: TcpSocketId, info: &TcpInfo) {
        let earlier = self.0.remove(&id);
        self.0.insert(id, Report::of(info).after(earlier));
    }

    /// What there is to say of a connection, which nobody will be told again.
    pub(crate) fn take(&mut self, id: TcpSocketId) -> Option<Report> {
        self.0.remove(&id)
    }

    /// How many nobody has taken.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
