//! What the user of a connection has told, in as little room as most need: those who tell nothing unusual.

use core::time::Duration;

use super::config::{Keepalive, SocketOptions};
use super::congestion::Congestion;

/// The [`SocketOptions`] of a connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) nodelay: bool,
    pub(super) cork: bool,
    pub(super) traffic_class: u8,
    pub(super) hop_limit: Option<u8>,
    pub(super) congestion: Option<Congestion>,
    fast_open: bool,
    /// Whether there is a keepalive with the usual times: others are rare.
    has_usual_keepalive: bool,
    /// Exists once one of them was told.
    rare: Option<Box<Rare>>,
}

const _: () = assert!(size_of::<Settings>() <= 16);

/// What few tell, and no segment asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rare {
    keepalive: Option<Keepalive>,
    user_timeout: Option<Duration>,
    send_buffer: Option<u32>,
    receive_buffer: Option<u32>,
}

impl Settings {
    pub(super) fn new(options: &SocketOptions) -> Self {
        let SocketOptions {
            nodelay,
            cork,
            keepalive,
            user_timeout,
            traffic_class,
            hop_limit,
            congestion,
            fast_open,
            send_buffer,
            receive_buffer,
        } = *options;
        let mut settings = Self {
            nodelay,
            cork,
            traffic_class,
            hop_limit,
            congestion,
            fast_open,
            has_usual_keepalive: false,
            rare: None,
        };
        settings.set_rare(Rare { keepalive: None, user_timeout, send_buffer, receive_buffer });
        settings.set_keepalive(keepalive);
        settings
    }

    /// All that was told.
    pub(super) fn options(&self) -> SocketOptions {
        let Self { nodelay, cork, traffic_class, hop_limit, congestion, fast_open, .. } = *self;
        let Rare { keepalive: _, user_timeout, send_buffer, receive_buffer } = self.rare();
        SocketOptions {
            nodelay,
            cork,
            keepalive: self.keepalive(),
            user_timeout,
            traffic_class,
            hop_limit,
            congestion,
            fast_open,
            send_buffer,
            receive_buffer,
        }
    }

    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        if self.has_usual_keepalive { Some(Keepalive::default()) } else { self.rare.as_ref()?.keepalive }
    }

    pub(super) fn set_keepalive(&mut self, keepalive: Option<Keepalive>) {
        self.has_usual_keepalive = keepalive == Some(Keepalive::default());
        self.set_rare(Rare { keepalive: keepalive.filter(|_| !self.has_usual_keepalive), ..self.rare() });
    }

    pub(super) fn user_timeout(&self) -> Option<Duration> {
        self.rare.as_ref()?.user_timeout
    }

    pub(super) fn set_user_timeout(&mut self, user_timeout: Option<Duration>) {
        self.set_rare(Rare { user_timeout, ..self.rare() });
    }

    fn rare(&self) -> Rare {
        self.rare.as_deref().copied().unwrap_or_default()
    }

    fn set_rare(&mut self, rare: Rare) {
        self.rare = (rare != Rare::default()).then(|| Box::new(rare));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_kept_and_takes_room_only_where_it_is_unusual() {
        let usual = SocketOptions { nodelay: true, hop_limit: Some(3), ..SocketOptions::default() };
        let mut settings = Settings::new(&usual);
        assert_eq!(settings.options(), usual);
        assert!(settings.rare.is_none());

        settings.set_keepalive(Some(Keepalive::default()));
        assert_eq!(settings.options(), SocketOptions { keepalive: Some(Keepalive::default()), ..usual });
        assert!(settings.rare.is_none());

        let patient = Keepalive { idle: Duration::from_secs(86_400), ..Keepalive::default() };
        settings.set_user_timeout(Some(Duration::from_secs(5)));
        settings.set_keepalive(Some(patient));
        assert_eq!(settings.keepalive(), Some(patient));
        assert_eq!(settings.user_timeout(), Some(Duration::from_secs(5)));
        settings.set_keepalive(None);
        assert_eq!(settings.user_timeout(), Some(Duration::from_secs(5)));
        settings.set_user_timeout(None);
        assert_eq!(settings.options(), usual);
        assert!(settings.rare.is_none());

        let buffers = SocketOptions { send_buffer: Some(4096), receive_buffer: Some(8192), ..usual };
        assert_eq!(Settings::new(&buffers).options(), buffers);
    }
}
