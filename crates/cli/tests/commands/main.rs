//! The binary as a person runs it, in network namespaces that the tests make.
//!
//! A test that needs root, or `/dev/net/tun`, and has neither says so on stderr and in the file named by
//! `NETLOOM_SKIP_LOG`, and passes. `commands_queues` is those of these tests that start a stack, with two queues.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod addr;
mod faults;
mod link;
mod process;
mod sandbox;
mod shell;
mod shell_terminal;
mod up;
mod up_refusals;
