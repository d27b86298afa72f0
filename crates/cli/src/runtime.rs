//! The runtime that the stack, its services and netlink share.

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// Builds the runtime: the calling thread is the shard's, and runs its driver and its services.
///
/// More threads would only get in each other's way: every socket call takes the shard's lock, and what one thread
/// hands to another waits for a processor to wake up. Files are read on threads of their own, which inherit the
/// namespace and the signal mask of the caller, so both are settled before.
pub(crate) fn build() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .thread_name("netloom")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start the runtime: {error}")))
}
