//! The tests of `kernel` over a device without offloads: every frame fits the MTU and is finished.

#[path = "kernel/main.rs"]
mod kernel;

// Where its tests look for it.
use kernel::lab;
