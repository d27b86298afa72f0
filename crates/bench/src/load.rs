//! The loads.

pub(crate) mod bulk;
pub(crate) mod connect;
pub(crate) mod crowd;
pub(crate) mod drain;
mod held;
pub(crate) mod http;
pub(crate) mod idle;
pub(crate) mod ping;
mod requests;
pub(crate) mod rr;
pub(crate) mod udp_echo;

#[cfg(test)]
mod tests;
