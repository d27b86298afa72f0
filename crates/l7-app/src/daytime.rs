//! The daytime service: the date and time as one line a person can read (RFC 867).
//!
//! # Limits
//! A connection costs nothing beyond its socket. Over UDP at most [`UDP_REPLIES_PER_SECOND`] datagrams a second are
//! answered, to all peers together, and never one from another service's port.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::serve::Listener;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::accept::{ConnectionLimits, serve_connections};
use crate::activity::with_idle_limit;
use crate::datagrams::{Datagrams, ReplyBudget, answer_datagrams, may_answer};

/// Replies a second over UDP, to all peers together.
pub const UDP_REPLIES_PER_SECOND: u32 = 100;
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Serves daytime over TCP until `shutdown`: sends the line and closes.
pub async fn serve_tcp<L>(listener: L, limits: ConnectionLimits, shutdown: CancellationToken)
where
    L: Listener<Addr = SocketAddr>,
{
    serve_connections(listener, limits, &shutdown, move |stream, peer| async move {
        let served = with_idle_limit(stream, limits.idle, |mut stream| async move {
            stream.write_all(Daytime::now().to_string().as_bytes()).await?;
            stream.shutdown().await
        });
        match served.await {
            Some(Ok(())) => debug!(%peer, "daytime: told"),
            Some(Err(error)) => debug!(%peer, %error, "daytime: failed"),
            None => debug!(%peer, "daytime: the line was not taken"),
        }
    })
    .await;
}

/// Serves daytime over UDP until `shutdown`: answers each datagram with the line.
///
/// # Errors
/// The socket's own, when it can no longer be used.
pub async fn serve_udp<D: Datagrams>(socket: D, shutdown: CancellationToken) -> io::Result<()> {
    let local_port = socket.local_addr()?.port();
    let mut budget = ReplyBudget::new(UDP_REPLIES_PER_SECOND);
    answer_datagrams(&socket, &shutdown, |_, peer| {
        let may_answer = may_answer(peer, local_port) && budget.take(Instant::now());
        may_answer.then(|| Cow::Owned(Daytime::now().to_string().into_bytes()))
    })
    .await
}

/// A moment in UTC, as seconds since 1970; displayed as the line of the service.
#[derive(Clone, Copy, Debug)]
struct Daytime(u64);

impl Daytime {
    fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// Year, month (0..12) and day (1..=31).
    ///
    /// Counts years from March, so that the leap day is the last of its year, in eras of 400 years = 146,097 days.
    fn date(self) -> (u64, usize, u64) {
        const DAYS_FROM_MARCH_OF_YEAR_0_TO_1970: u64 = 719_468;
        let days = self.0 / 86_400 + DAYS_FROM_MARCH_OF_YEAR_0_TO_1970;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months_after_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * months_after_march + 2) / 5 + 1;
        let is_next_year = months_after_march >= 10;
        let year = era * 400 + year_of_era + u64::from(is_next_year);
        let month = usize::try_from((months_after_march + 2) % 12).unwrap_or_default();
        (year, month, day)
    }
}

impl fmt::Display for Daytime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let weekday = usize::try_from(self.0 / 86_400 % 7).unwrap_or_default();
        let weekday = WEEKDAYS.get(weekday).copied().unwrap_or_default();
        let month = MONTHS.get(month).copied().unwrap_or_default();
        let second = self.0 % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(formatter, "{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::Daytime;

    #[test]
    fn known_moments_read_as_people_write_them() {
        for (seconds, line) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC\r\n"),
            (951_782_399, "Monday, February 28, 2000 23:59:59-UTC\r\n"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC\r\n"),
            (951_868_800, "Wednesday, March 1, 2000 00:00:00-UTC\r\n"),
            (1_234_567_890, "Friday, February 13, 2009 23:31:30-UTC\r\n"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC\r\n"),
        ] {
            assert_eq!(Daytime(seconds).to_string(), line);
        }
    }
}
