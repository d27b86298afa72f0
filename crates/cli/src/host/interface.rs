//! Setting up the kernel's end of an interface that netloom made, and waiting until packets can use it.

use std::net::IpAddr;
use std::time::Duration;

use netloom_wire::Cidr;
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use tokio::time::{Instant, sleep};

use super::snapshot::Link;
use super::{Host, ipv6, kernel_answer, netlink_failure};
use crate::failure::Failure;

/// Frames that the kernel keeps for the stack. The kernel's own 500 drop silently when a sender's window passes
/// some 700 KB of full frames.
const TRANSMIT_QUEUE_LEN: u32 = 2000;
/// Longest wait for the kernel to say that the interface can be used.
const READY_DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait for the kernel's link-local address, which need not come.
const LINK_LOCAL_DEADLINE: Duration = Duration::from_millis(500);
/// Pause between two looks.
const READY_INTERVAL: Duration = Duration::from_millis(5);

impl Host {
    /// The interface of this name.
    pub(crate) async fn link(&self, name: &str) -> Result<Link, Failure> {
        let found = self.links().await?.into_iter().find(|link| link.name == name);
        found.ok_or_else(|| Failure::new(format_args!("interface {name} has gone: try again")))
    }

    /// Gives a new interface its MTU, queue length and addresses, raises it, and returns once it can be used.
    pub(crate) async fn set_up(&self, name: &str, mtu: u16, addresses: &[Cidr]) -> Result<Link, Failure> {
        let index = self.link(name).await?.index;
        let sizes =
            LinkUnspec::new_with_index(index).mtu(u32::from(mtu)).txqueuelen(TRANSMIT_QUEUE_LEN).build();
        let doing = format!("giving {name} an MTU of {mtu}");
        self.handle.link().change(sizes).execute().await.map_err(|error| netlink_failure(&doing, &error))?;
        ipv6::prepare(name);
        for &cidr in addresses {
            self.add_address(index, name, cidr).await?;
        }
        self.raise(index, name).await?;
        let link = self.wait_until_usable(name, addresses).await?;
        if addresses.iter().any(|cidr| cidr.address().is_ipv6()) {
            self.wait_for_link_local(index, name).await?;
        }
        Ok(link)
    }

    /// Waits until the kernel is through with its own link-local address. In the moment in which that becomes usable
    /// the kernel forgets its routes' cached ends, and with them the packets that wait for a neighbour: the first one
    /// to the stack would be lost. Not waited for is one that does not come (addr_gen_mode none).
    async fn wait_for_link_local(&self, index: u32, name: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + LINK_LOCAL_DEADLINE;
        while Instant::now() < deadline {
            let is_link_local = |address: IpAddr| match address {
                IpAddr::V6(address) => address.is_unicast_link_local(),
                IpAddr::V4(_) => false,
            };
            let held = self.addresses().await?;
            if held
                .iter()
                .any(|held| held.link == index && held.is_usable && is_link_local(held.cidr.address()))
            {
                break;
            }
            sleep(READY_INTERVAL).await;
        }
        // The kernel does that work under the lock that this change, of nothing, waits for.
        self.raise(index, name).await
    }

    /// Raises the loopback interface: for a namespace of our own.
    pub(crate) async fn raise_loopback(&self) -> Result<(), Failure> {
        let loopback = self.link("lo").await?;
        self.raise(loopback.index, "lo").await
    }

    async fn raise(&self, index: u32, name: &str) -> Result<(), Failure> {
        let up = LinkUnspec::new_with_index(index).up().build();
        let doing = format!("raising {name}");
        self.handle.link().change(up).execute().await.map_err(|error| netlink_failure(&doing, &error))
    }

    async fn add_address(&self, index: u32, name: &str, cidr: Cidr) -> Result<(), Failure> {
        let mut request = self.handle.address().add(index, cidr.address(), cidr.prefix_len());
        if cidr.address().is_ipv6() {
            request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let Err(error) = request.execute().await else { return Ok(()) };
        let doing = format!("giving {name} the address {cidr}");
        if cidr.address().is_ipv6() && kernel_answer(&error).is_some() && !ipv6::is_available() {
            return Err(Failure::new(format_args!("{doing} failed: IPv6 is switched off here")));
        }
        Err(netlink_failure(&doing, &error))
    }

    /// Waits until the interface runs and has every address, usable.
    async fn wait_until_usable(&self, name: &str, addresses: &[Cidr]) -> Result<Link, Failure> {
        let deadline = Instant::now() + READY_DEADLINE;
        loop {
            let link = self.link(name).await?;
            let held = self.addresses().await?;
            let is_ready = |cidr: &Cidr| {
                held.iter().any(|held| held.link == link.index && held.cidr == *cidr && held.is_usable)
            };
            if link.is_running && addresses.iter().all(is_ready) {
                return Ok(link);
            }
            if Instant::now() >= deadline {
                return Err(Failure::new(format_args!(
                    "{name} did not come up within {} seconds: type ip address show to see who else changes interfaces",
                    READY_DEADLINE.as_secs()
                )));
            }
            sleep(READY_INTERVAL).await;
        }
    }
}
