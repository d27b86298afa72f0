//! The tests of `kernel` over a device that leaves checksums, and nothing else, to the other side.

#[path = "kernel/main.rs"]
mod kernel;

// Where its tests look for it.
use kernel::lab;
