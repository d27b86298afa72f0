//! The suite of sockets over two stacks joined in memory, on a runtime of several threads.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use netloom::net;
use netloom_hosts::NetloomHosts;

#[path = "sockets/leaks.rs"]
mod leaks;
#[path = "sockets/netloom_hosts.rs"]
mod netloom_hosts;
#[path = "sockets/suite.rs"]
mod suite;
#[path = "sockets/world.rs"]
mod world;

type Hosts = NetloomHosts<1>;
