//! The Linux kernel as peer: one process, one thread in a network namespace of its own, netloom on one end of a TAP and
//! the kernel's sockets on the other.

mod closing;
mod connections;
mod datagrams;
mod lab;
mod streams;
