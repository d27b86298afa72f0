//! What the interfaces of a stack are, and which addresses they have: for those who show it.

use netloom_base::{DeviceCaps, Medium};
use netloom_device::Queue;
use netloom_stack::EthernetAddress;
use netloom_stack::internet::LocalAddress;

/// An interface of a [`Net`](crate::Net).
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use netloom::Net;
/// use netloom::device::MemoryQueue;
/// use netloom::stack::Medium;
///
/// let (one, _host) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
/// let (other, _tunnel) = MemoryQueue::pair(Medium::Ip, 1400)?;
/// let router = Net::builder()
///     .interface(Box::new(one), "10.0.0.1/24")
///     .interface(Box::new(other), ["10.0.1.1/24", "fd00::1/64"])
///     .start()?;
/// let [ethernet, tunnel] = &router.interfaces()[..] else { panic!("two interfaces") };
/// assert!(ethernet.link_address.is_some() && tunnel.link_address.is_none());
/// assert_eq!((ethernet.caps.mtu, tunnel.caps.mtu, tunnel.queue_count), (1500, 1400, 1));
/// assert_eq!((ethernet.addresses.len(), tunnel.addresses.len()), (1, 2));
/// assert_eq!(tunnel.addresses[0].cidr, "10.0.1.1/24".parse().expect("a CIDR"));
/// assert!(tunnel.addresses[0].state.is_usable());
/// # router.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceInfo {
    /// What its device calls itself ([`Queue::name`]): `netloom0`.
    pub name: String,
    /// What its device can do: its medium, its MTU in bytes, what it is left to do. It does not change.
    pub caps: DeviceCaps,
    /// The stack's address on the link; `None` without Ethernet.
    pub link_address: Option<EthernetAddress>,
    /// How many queues its device has: each belongs to a shard.
    pub queue_count: usize,
    /// The stack's addresses on it, those on trial and duplicates included, in the order in which they were added.
    pub addresses: Vec<LocalAddress>,
}

impl InterfaceInfo {
    /// What is known of it before it has addresses; `None` without a queue.
    pub(crate) fn of(queues: &[Box<dyn Queue>], link_address: EthernetAddress) -> Option<Self> {
        let device = queues.first()?;
        let caps = device.caps();
        Some(Self {
            name: device.name().to_owned(),
            caps,
            link_address: match caps.medium {
                Medium::Ethernet => Some(link_address),
                Medium::Ip => None,
            },
            queue_count: queues.len(),
            addresses: Vec::new(),
        })
    }
}
