//! Real clients against the real binary: each test makes a private network namespace with `netloom shell` and runs
//! the clients in it.

mod http;
mod iperf3;
mod ping;
mod refusal;
mod support;
mod transfer;
