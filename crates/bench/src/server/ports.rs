//! The ports of the services, the same on every stack.

/// What comes is sent back, over TCP and UDP.
pub(crate) const ECHO: u16 = 7;
/// Connections stay open and idle.
pub(crate) const HOLD: u16 = 9;
/// The same, on so many ports from [`HOLD`] on: the kernel searches long for a port of its own to one that it has
/// thousands of connections to.
pub(crate) const HOLD_COUNT: u16 = 8;
/// The mirror sends without end.
pub(crate) const SOURCE: u16 = 19;
/// HTTP by axum.
pub(crate) const HTTP: u16 = 80;
/// iperf3.
pub(crate) const IPERF3: u16 = 5201;
/// HTTP by a responder that only looks for the ends of requests.
pub(crate) const BARE_HTTP: u16 = 8080;
