//! Two stacks joined in memory, by one cable or, for stacks of several shards, by one a queue.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use netloom::device::{MemoryQueue, Queue};
use netloom::stack::Medium;
use netloom::{AddressDetection, InterfaceConfig, Net, StackConfig};

use crate::leaks;
use crate::world::World;

/// Two hosts, each of `N` shards. Nobody steers: what one shard sends comes to the shard of the same number.
pub(crate) struct NetloomHosts<const N: usize> {
    pub(crate) server: Net,
    pub(crate) client: Net,
}

/// A stack with these queues.
pub(crate) fn start(queues: Vec<Box<dyn Queue>>, address: &str, config: StackConfig) -> Net {
    let interface = InterfaceConfig {
        addresses: vec![address.parse().unwrap()],
        detection: AddressDetection::Off,
        ..InterfaceConfig::default()
    };
    let builder = Net::builder().config(config).interface_queues(queues, interface);
    builder.spin(Duration::ZERO).start().unwrap()
}

impl<const N: usize> World for NetloomHosts<N> {
    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 255);

    fn start() -> Self {
        let mut left: Vec<Box<dyn Queue>> = Vec::new();
        let mut right: Vec<Box<dyn Queue>> = Vec::new();
        for _ in 0..N {
            let (one, other) = MemoryQueue::pair(Medium::Ethernet, 1500).unwrap();
            left.push(Box::new(one));
            right.push(Box::new(other));
        }
        let server = start(left, "10.0.0.1/24", StackConfig::default());
        let client = start(right, "10.0.0.2/24", StackConfig::default());
        Self { server, client }
    }

    async fn server<F: Future>(&self, work: F) -> F::Output {
        self.server.scope(work).await
    }

    async fn client<F: Future>(&self, work: F) -> F::Output {
        self.client.scope(work).await
    }

    async fn end(&self) {
        leaks::end([self.server.clone(), self.client.clone()]).await;
    }
}
