//! The services over the kernel's own loopback, driven by real clients and by raw bytes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like the tests themselves")]

mod http_endpoints;
mod http_wire;
mod iperf3;
mod simple;
mod support;
