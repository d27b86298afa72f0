//! Services on netloom sockets: HTTP/1.1, echo, discard, chargen, daytime, iperf3.
//!
//! # Theory of operation
//! Every service takes a bound socket and serves it until its [`CancellationToken`] is cancelled. The sockets are
//! generic: a TCP service takes any [`Listener`] of axum's (iperf3 one of [`Connection`]s, which lend what they send), a UDP
//! service any [`Datagrams`]; `netloom`'s sockets and tokio's are all of these. [`Services`] says which services run on which ports, [`Service::run`] runs one.
//!
//! Every loop gives way to the other tasks of its thread after a while, however fast its socket is.
//!
//! # Limits
//! Each service accepts no more than [`ConnectionLimits::max_connections`] connections at a time (further ones wait
//! in the listener's backlog), and ends one that has moved no byte for [`ConnectionLimits::idle`]. What a connection
//! may hold in memory is written at each service.
//!
//! # Not here
//! Binding, addresses and the choice of services belong to the command `netloom`; TCP and UDP to the crates below.
#![forbid(unsafe_code)]

mod accept;
mod activity;
pub mod chargen;
mod connection;
mod datagrams;
pub mod daytime;
pub mod discard;
pub mod echo;
pub mod http;
pub mod iperf3;
mod random;
mod services;

pub use accept::ConnectionLimits;
pub use axum::serve::Listener;
pub use connection::Connection;
pub use datagrams::Datagrams;
pub use services::{Service, ServiceOptions, ServiceSpec, ServiceSpecError, Services};
pub use tokio_util::sync::CancellationToken;
