//! The suite of sockets over tokio's own, on the kernel's loopback: what the other run has to equal.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};

use tokio::net;

#[path = "sockets/suite.rs"]
mod suite;
#[path = "sockets/world.rs"]
mod world;

/// Both hosts are this one.
struct Hosts;

impl world::World for Hosts {
    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

    fn start() -> Self {
        Self
    }

    async fn server<F: Future>(&self, work: F) -> F::Output {
        work.await
    }

    async fn client<F: Future>(&self, work: F) -> F::Output {
        work.await
    }

    async fn end(&self) {}
}
