//! The tests of `kernel` over a device that leaves checksums, and nothing else, to the other side.

#[path = "kernel/main.rs"]
mod kernel;
