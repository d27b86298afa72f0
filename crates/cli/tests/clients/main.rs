//! Real clients against the real binary: each test makes a private network namespace with `netloom shell` and runs
//! the clients in it. `clients_plain` and `clients_checksum` are the same tests with less left to the kernel,
//! `clients_queues` with two queues.

mod http;
mod iperf3;
mod ping;
mod refusal;
pub(crate) mod support;
mod transfer;
