//! The runtime that the stack, its services and netlink share.

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// Most worker threads: a shard's driver and its services keep about two busy.
const WORKER_COUNT_MAX: usize = 4;

/// Builds the runtime. Its threads inherit the namespace and the signal mask of the caller, so both are settled
/// before.
pub(crate) fn build() -> Result<Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(processors.min(WORKER_COUNT_MAX))
        .thread_name("netloom")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start threads: {error}")))
}
