//! What a program may rely on, of tokio's sockets and of ours. The names are `crate::net`'s: `tokio::net` in one run,
//! `netloom::net` in the other.

mod contention;
mod corners;
mod datagrams;
mod endings;
mod names;
mod options;
mod signatures;
mod streams;
