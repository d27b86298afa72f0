//! The internet layer's behaviour in virtual time, for both families where it is the same.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that is surprised ends")]

mod addresses;
mod any_destination;
mod echo;
mod echo_sockets;
mod errors;
mod extension_headers;
mod forwarding;
mod fragments;
mod garbage;
mod ipv4_options;
mod learning;
mod listeners;
mod neighbors;
mod paths;
mod receiving;
mod sending;
mod support;
