//! The tests of `kernel` over a device with two queues, and so with a stack of two shards.

#[path = "kernel/main.rs"]
mod kernel;

// Where its tests look for it.
use kernel::lab;
