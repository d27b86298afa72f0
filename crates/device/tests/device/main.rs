//! The devices against a real kernel, in network namespaces that the tests make for themselves.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod capture;
mod offload;
mod support;
mod tun_tap;
