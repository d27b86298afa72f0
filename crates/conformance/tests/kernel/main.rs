//! The Linux kernel as peer: one process, one thread in a network namespace of its own, netloom on one end of a TAP and
//! the kernel's sockets on the other, if need be with a cable with faults or a router between them.
//!
//! `kernel_plain` and `kernel_checksum` are the same tests with less left to each other, `kernel_queues` with two queues. Those with
//! faults are always plain; they run here and in `kernel_queues`.

mod anybody;
mod closing;
mod connections;
mod datagrams;
mod fast_open;
mod faults;
mod handshakes;
pub(crate) mod lab;
mod narrow_path;
mod streams;
mod trains;
mod urgent;
