//! What others wrote for tokio's sockets, unmodified over netloom's: between two stacks joined in memory, and with the
//! kernel's programs as peers over a TAP, in a network namespace of the test's own.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod curl;
mod grpc;
mod hosts;
mod http;
#[path = "../../../netloom/tests/sockets/leaks.rs"]
mod leaks;
mod namespace;
mod redis;
mod tls;
mod websocket;
