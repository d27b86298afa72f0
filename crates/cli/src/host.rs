//! The kernel's end of the interface, and the rest of this host's network as far as it could be in the way.
//!
//! *Theory of operation.* [`Host`] is one rtnetlink socket in the network namespace of this process. It reads
//! ([`snapshot`]), judges what it read ([`conflict`], pure), and sets up one interface ([`interface`]): nothing but
//! that interface is ever changed, except for raising `lo` in the namespace that `shell` has made.

use rtnetlink::packet_core::ErrorMessage;
use rtnetlink::{Error, Handle, new_connection};

use crate::failure::Failure;

pub(crate) mod conflict;
pub(crate) mod interface;
pub(crate) mod ipv6;
pub(crate) mod snapshot;

/// A connection to the kernel's network configuration.
pub(crate) struct Host {
    handle: Handle,
}

impl Host {
    /// Connects, in the network namespace of the calling thread. Needs a runtime.
    pub(crate) fn connect() -> Result<Self, Failure> {
        let (connection, handle, _unasked) = new_connection()
            .map_err(|error| Failure::new(format_args!("cannot talk to the kernel by rtnetlink: {error}")))?;
        // Ends by itself when the last handle is dropped.
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}

/// What the kernel refused, while `doing` something.
fn netlink_failure(doing: &str, error: &Error) -> Failure {
    match kernel_answer(error) {
        Some(answer) => Failure::new(format_args!("{doing} failed: {}", answer.to_io())),
        None => Failure::new(format_args!("{doing} failed: {error}")),
    }
}

fn kernel_answer(error: &Error) -> Option<&ErrorMessage> {
    if let Error::NetlinkError(answer) = error { Some(answer) } else { None }
}
