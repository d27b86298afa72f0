//! When an idle connection is probed, and for how long (RFC 9293 3.8.4).

use std::io::{self, ErrorKind};
use std::time::Duration;

use netloom_stack::transport::Keepalive;

/// Probing of an idle connection: after how long, how often, and how many times, as `socket2::TcpKeepalive`. What is not told
/// stays as it is.
///
/// # Examples
/// ```
#[doc = include_str!("doc/two_hosts.md")]
/// use std::time::Duration;
///
/// use netloom::TcpKeepalive;
///
/// let socket = client.tcp_socket_v4();
/// # let listener = server.tcp_listen("10.0.0.1:80").await?;
/// // A peer that is gone is found out within two minutes, and silence alone costs one probe a minute.
/// let keepalive = TcpKeepalive::new()
///     .with_time(Duration::from_secs(60))
///     .with_interval(Duration::from_secs(15))
///     .with_retries(4);
/// socket.set_tcp_keepalive(&keepalive)?;
/// let stream = socket.connect("10.0.0.1:80".parse().expect("an address")).await?;
/// assert_eq!(stream.tcp_keepalive()?, Some(keepalive));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    time: Option<Duration>,
    interval: Option<Duration>,
    retries: Option<u32>,
}

impl TcpKeepalive {
    /// Leaves all as it is: unless it was told otherwise, the first probe after two hours, then one each 75 seconds, 9 at most.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(netloom::TcpKeepalive::new().time(), None);
    /// ```
    pub const fn new() -> Self {
        Self { time: None, interval: None, retries: None }
    }

    /// How long nothing may have been heard before the first probe (`TCP_KEEPIDLE`), to the nanosecond.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let keepalive = netloom::TcpKeepalive::new().with_time(Duration::from_secs(60));
    /// assert_eq!(keepalive.time(), Some(Duration::from_secs(60)));
    /// ```
    #[must_use]
    pub const fn with_time(self, time: Duration) -> Self {
        Self { time: Some(time), ..self }
    }

    /// The time from one probe to the next, and from the last to the end (`TCP_KEEPINTVL`).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let keepalive = netloom::TcpKeepalive::new().with_interval(Duration::from_millis(500));
    /// assert_eq!(keepalive.interval(), Some(Duration::from_millis(500)));
    /// ```
    #[must_use]
    pub const fn with_interval(self, interval: Duration) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// How many probes in a row may stay without an answer (`TCP_KEEPCNT`). 1 is taken as 2: one packet that is lost is not yet a
    /// dead peer (RFC 9293 3.8.4).
    ///
    /// # Examples
    /// ```
    /// assert_eq!(netloom::TcpKeepalive::new().with_retries(4).retries(), Some(4));
    /// ```
    #[must_use]
    pub const fn with_retries(self, retries: u32) -> Self {
        Self { retries: Some(retries), ..self }
    }

    /// What [`with_time`](Self::with_time) said.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(netloom::TcpKeepalive::new().time(), None);
    /// ```
    pub const fn time(&self) -> Option<Duration> {
        self.time
    }

    /// What [`with_interval`](Self::with_interval) said.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(netloom::TcpKeepalive::new().interval(), None);
    /// ```
    pub const fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// What [`with_retries`](Self::with_retries) said.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(netloom::TcpKeepalive::new().retries(), None);
    /// ```
    pub const fn retries(&self) -> Option<u32> {
        self.retries
    }

    /// All that is in force on a socket.
    pub(crate) fn of(keepalive: Keepalive) -> Self {
        let Keepalive { idle, interval, probes } = keepalive;
        Self { time: Some(idle), interval: Some(interval), retries: Some(probes.into()) }
    }

    /// `before`, or the default, with what this says. Without any time between them probes would answer each other for ever.
    pub(crate) fn over(self, before: Option<Keepalive>) -> io::Result<Keepalive> {
        let Keepalive { idle, interval, probes } = before.unwrap_or_default();
        let probes = match self.retries {
            None => probes,
            Some(retries) => u8::try_from(retries).map_err(|_| ErrorKind::InvalidInput)?,
        };
        let (idle, interval) = (self.time.unwrap_or(idle), self.interval.unwrap_or(interval));
        if idle.is_zero() || interval.is_zero() || probes == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        Ok(Keepalive { idle, interval, probes })
    }
}

/// What a switch makes of it: on again, it is what it was.
pub(crate) fn switched(before: Option<Keepalive>, keepalive: bool) -> Option<Keepalive> {
    keepalive.then(|| before.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_stays_and_what_is_nonsense_is_refused() {
        let second = Duration::from_secs(1);
        let before = Keepalive { idle: 5 * second, interval: 6 * second, probes: 7 };
        let told = TcpKeepalive::new().with_interval(second);
        assert_eq!(told.over(Some(before)).unwrap(), Keepalive { interval: second, ..before });
        assert_eq!(told.over(None).unwrap(), Keepalive { interval: second, ..Keepalive::default() });
        assert_eq!(TcpKeepalive::of(before).over(None).unwrap(), before);
        for refused in [
            TcpKeepalive::new().with_time(Duration::ZERO),
            TcpKeepalive::new().with_interval(Duration::ZERO),
            TcpKeepalive::new().with_retries(0),
            TcpKeepalive::new().with_retries(256),
        ] {
            assert_eq!(refused.over(Some(before)).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn switching_it_on_again_changes_nothing() {
        let own = Keepalive { probes: 3, ..Keepalive::default() };
        assert_eq!(switched(Some(own), true), Some(own));
        assert_eq!(switched(Some(own), false), None);
        assert_eq!(switched(None, true), Some(Keepalive::default()));
    }
}
