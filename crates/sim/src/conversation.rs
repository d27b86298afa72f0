//! A connection between two applications that follow plans.

pub(crate) mod end;
pub(crate) mod plan;

use core::fmt;
use core::net::SocketAddr;

use end::End;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The end that connects.
    Client,
    /// The end that accepts.
    Server,
}

impl Side {
    /// The end that it talks to.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// Both ends.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) client: End,
    pub(crate) server: End,
    /// What the client connects to.
    pub(crate) target: SocketAddr,
    /// Whether somebody listens there, or connects from there.
    pub(crate) is_awaited: bool,
}

impl Conversation {
    pub(crate) const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// An end, and the other.
    pub(crate) const fn ends(&mut self, side: Side) -> (&mut End, &End) {
        match side {
            Side::Client => (&mut self.client, &self.server),
            Side::Server => (&mut self.server, &self.client),
        }
    }

    /// Whether nothing more is to come of it.
    pub(crate) const fn is_over(&self) -> bool {
        self.client.outcome.is_some() && self.server.outcome.is_some()
    }
}
