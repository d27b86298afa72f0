//! How a stack is put together and started.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use netloom_base::Medium;
use netloom_device::{MemoryQueue, Offload, Queue, TunTap, TunTapConfig};
use netloom_stack::internet::Route;
use netloom_stack::transport::FastOpenSecret;
use netloom_stack::{
    Cidr, EthernetAddress, Instant, InterfaceId, InterfaceSetup, Rng, Sharding, Stack, StackConfig,
};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::host::{self, Host};
use crate::mailbox::Mailbox;
use crate::shard::{Ended, Look, Shared};
use crate::spin::default_span;
use crate::{InterfaceConfig, InterfaceInfo, IntoInterface, Net, driver};

/// Puts a [`Net`] together.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use netloom::stack::Medium;
/// use netloom::{Net, StackConfig, Tunnel};
///
/// let mut config = StackConfig::default();
/// config.tcp.max_connections = 1000;
/// let (device, _tunnel) = Tunnel::pair(Medium::Ip, 1400)?;
/// let net = Net::builder()
///     .config(config)
///     .connection_memory(256 << 10)
///     .spin(std::time::Duration::ZERO)
///     .interface(device, "10.0.0.2/24")
///     .start()?;
/// assert_eq!(net.shard_count(), 1);
/// # Ok(())
/// # }
/// ```
pub struct NetBuilder {
    config: StackConfig,
    seed: Option<[u8; 32]>,
    spin: Duration,
    interfaces: Vec<Planned>,
}

/// An interface that is to be.
struct Planned {
    queues: Vec<Box<dyn Queue>>,
    /// What the stack is on it, or why that makes no sense.
    config: io::Result<InterfaceConfig>,
}

/// The MTU of an interface that is made here.
const MTU: u16 = 1500;

impl std::fmt::Debug for NetBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Net {
    /// Begins to put a stack together.
    ///
    /// # Examples
    /// ```no_run
    /// # fn start() -> std::io::Result<()> {
    /// let net = netloom::Net::builder().connection_memory(64 << 10).tun("nl0", "10.0.0.2/24")?.start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> NetBuilder {
        NetBuilder {
            config: StackConfig::default(),
            seed: None,
            spin: default_span(),
            interfaces: Vec::new(),
        }
    }
}

impl NetBuilder {
    /// Two stacks to be, joined in memory.
    pub(crate) fn pair(left: impl IntoInterface, right: impl IntoInterface) -> io::Result<[Self; 2]> {
        let (one, other) = MemoryQueue::pair(Medium::Ethernet, MTU)?;
        let left = Net::builder().interface(Box::new(one), left);
        Ok([left, Net::builder().interface(Box::new(other), right)])
    }

    /// Bounds and choices other than the defaults. Each shard has such bounds for itself.
    ///
    /// # Examples
    /// ```
    /// let mut config = netloom::StackConfig::default();
    /// config.tcp.max_connections = 100;
    /// let builder = netloom::Net::builder().config(config);
    /// ```
    #[must_use]
    pub fn config(mut self, config: StackConfig) -> Self {
        self.config = config;
        self
    }

    /// Bytes that the buffers of one connection hold at most, half of it in each direction; at least 4 KiB. A peer whose data
    /// nobody reads is slowed down at that, and a writer whose data nobody takes waits. Unset it is 64 MiB, of which only
    /// what the path is worth is used; what all connections hold together has a bound of its own
    /// ([`TcpConfig::max_buffer_bytes`](netloom_stack::transport::TcpConfig::max_buffer_bytes)). A socket may be told
    /// otherwise ([`TcpSocket::set_recv_buffer_size`](crate::TcpSocket::set_recv_buffer_size)). Say it after
    /// [`config`](Self::config), which replaces it.
    ///
    /// # Examples
    /// ```
    /// // A thousand connections hold at most 128 MiB, and their queues' last pieces.
    /// let builder = netloom::Net::builder().connection_memory(128 << 10);
    /// ```
    #[must_use]
    pub fn connection_memory(mut self, bytes: usize) -> Self {
        (self.config.tcp.send_buffer, self.config.tcp.receive_buffer) = (bytes / 2, bytes / 2);
        self
    }

    /// Randomness other than the operating system's: for tests that must repeat. Whoever knows the seed can guess
    /// ports and sequence numbers.
    ///
    /// # Examples
    /// ```
    /// let builder = netloom::Net::builder().seed([7; 32]);
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long the stack may look for the next frame before it sleeps, when frames have been coming as close together
    /// as that: 50 us, or zero on a single processor, unless it is told otherwise. If they come at a steady pace of 1 ms to 2 s, it
    /// wakes up a little before the next one, too, for about a twentieth of a processor at most. Zero: it sleeps at once and until
    /// something comes, and each round trip costs a wake-up.
    ///
    /// # Examples
    /// ```
    /// // Many stacks in one process: each would take the processor from the others.
    /// let builder = netloom::Net::builder().spin(std::time::Duration::ZERO);
    /// ```
    #[must_use]
    pub fn spin(mut self, span: Duration) -> Self {
        self.spin = span;
        self
    }

    /// Adds an interface: a device, and what the stack is on it.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use netloom::Net;
    /// use netloom::device::MemoryQueue;
    /// use netloom::stack::Medium;
    ///
    /// // A router: one host with an end of two cables.
    /// let (one, _host) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
    /// let (other, _host) = MemoryQueue::pair(Medium::Ethernet, 9000)?;
    /// let router = Net::builder()
    ///     .interface(Box::new(one), "10.0.0.1/24")
    ///     .interface(Box::new(other), ["10.0.1.1/24", "fd00::1/64"])
    ///     .start()?;
    /// // Those, and a link-local one of IPv6's.
    /// assert_eq!(router.addresses().len(), 4);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn interface(self, device: Box<dyn Queue>, config: impl IntoInterface) -> Self {
        self.interface_queues(vec![device], config)
    }

    /// Adds an interface with several queues, each of which is to be a shard's. Every interface must have as many.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # use netloom::Net;
    /// # use netloom::device::{MemoryQueue, Queue};
    /// # use netloom::stack::Medium;
    /// # let (one, _far) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
    /// # let (other, _away) = MemoryQueue::pair(Medium::Ethernet, 1500)?;
    /// // Two queues of a device: two shards, the second with a thread of its own.
    /// let queues: Vec<Box<dyn Queue>> = vec![Box::new(one), Box::new(other)];
    /// let net = Net::builder().interface_queues(queues, "10.0.0.1/24").start()?;
    /// assert_eq!(net.shard_count(), 2);
    /// # net.abort();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn interface_queues(mut self, queues: Vec<Box<dyn Queue>>, config: impl IntoInterface) -> Self {
        self.interfaces.push(Planned { queues, config: config.into_interface() });
        self
    }

    /// Adds the TAP interface `name`, which is made if it is not there, with whatever offloads the kernel has.
    ///
    /// Its kernel side is the administrator's: `ip addr add 10.0.0.1/24 dev NAME`, `ip link set NAME up`. Making one needs
    /// `CAP_NET_ADMIN`; one that `ip tuntap add` has made for this user needs nothing.
    ///
    /// # Errors
    /// In words that say what to type, of kind `Other`.
    ///
    /// # Examples
    /// ```no_run
    /// # fn start() -> std::io::Result<()> {
    /// use netloom::{AddressDetection, InterfaceConfig, IntoInterface, Net};
    ///
    /// // Without asking whether somebody else has the address.
    /// let config = InterfaceConfig { detection: AddressDetection::Off, .."10.0.0.2/24".into_interface()? };
    /// let net = Net::builder().tap("nl0", config)?.start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tap(self, name: &str, config: impl IntoInterface) -> io::Result<Self> {
        self.tun_tap(Medium::Ethernet, name, config)
    }

    /// Adds the TUN interface `name`; as [`tap`](Self::tap) else.
    ///
    /// # Errors
    /// As [`tap`](Self::tap).
    ///
    /// # Examples
    /// ```no_run
    /// # fn start() -> std::io::Result<()> {
    /// let net = netloom::Net::builder().seed([7; 32]).tun("nl0", "10.0.0.2/24")?.start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tun(self, name: &str, config: impl IntoInterface) -> io::Result<Self> {
        self.tun_tap(Medium::Ip, name, config)
    }

    fn tun_tap(self, kind: Medium, name: &str, config: impl IntoInterface) -> io::Result<Self> {
        let device = TunTapConfig { kind, name: name.to_owned(), mtu: MTU };
        let device = TunTap::open_offloading(&device, Offload::Full).map_err(io::Error::other)?;
        Ok(self.interface(Box::new(device), config))
    }

    /// Starts the stack on the present tokio runtime; shards beyond the first on threads of their own, which end with it.
    ///
    /// # Errors
    /// If an address or gateway is none or makes no sense on its interface, or interfaces differ in their number of queues
    /// (`InvalidInput`), if the device's descriptor cannot be polled, or if the operating system has no randomness or no
    /// thread.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time enabled.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (device, _tunnel) = netloom::Tunnel::pair(netloom::stack::Medium::Ip, 1400)?;
    /// let refused = netloom::Net::builder().interface(device, "10.0.0.2").start();
    /// assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(self) -> io::Result<Net> {
        let mut rng = Rng::from_seed(match self.seed {
            Some(seed) => seed,
            None => entropy()?,
        });
        let mut made_up = rng.fork();
        let count = self.shard_count()?;
        let sharding_key = rng.hash_key();
        // A client's next connection may belong to another shard: each has to know its cookie.
        let mut config = self.config;
        config.tcp.fast_open_secret.get_or_insert_with(|| FastOpenSecret::random(&mut rng));
        let mut setups = Vec::new();
        let mut interfaces = Vec::new();
        let mut queues_of_shards: Vec<Vec<Box<dyn Queue>>> = (0..count).map(|_| Vec::new()).collect();
        for Planned { queues, config } in self.interfaces {
            let config = config?;
            let link_address = config.link_address.unwrap_or_else(|| made_up_address(&mut made_up));
            interfaces.extend(InterfaceInfo::of(&queues, link_address));
            setups.push((link_address, config));
            for (shard, queue) in queues_of_shards.iter_mut().zip(queues) {
                shard.push(queue);
            }
        }
        let changed = Arc::new(Notify::new());
        let mailboxes: Arc<[Mailbox]> = (0..count).map(|_| Mailbox::default()).collect();
        let mut shards = Vec::new();
        let mut starts = Vec::new();
        for (index, devices) in (0..count).zip(queues_of_shards) {
            let sharding = Sharding::new(sharding_key, index, count).unwrap_or_default();
            let mut stack = Stack::new(StackConfig { sharding, ..config.clone() }, rng.fork());
            for ((link_address, config), device) in setups.iter().zip(&devices) {
                add_interface(&mut stack, device.as_ref(), *link_address, config)?;
            }
            starts.push(Start::new(index.into(), &devices)?);
            let (mailboxes, changed) = (Arc::clone(&mailboxes), Arc::clone(&changed));
            shards.push(Arc::new(Shared::new(stack, devices, mailboxes, changed)));
        }
        let shards: Arc<[Arc<Shared>]> = shards.into();
        // The first tells the others which addresses can be used already, before anybody asks.
        for shard in shards.iter() {
            shard.turn(Look::Nowhere);
        }
        let run = |start: Start| start.run(&shards, self.spin);
        let runtimes = starts.into_iter().map(run).collect::<io::Result<Vec<_>>>().inspect_err(|_| {
            // Those that run already stop again.
            shards.iter().for_each(|shard| shard.end(Ended::ShutDown));
        })?;
        let sharding = Sharding::new(sharding_key, 0, count).unwrap_or_default();
        let host = Host::new(shards, sharding, interfaces.into(), changed, runtimes);
        Ok(Net { host: Arc::new(host) })
    }

    /// How many queues every interface has.
    fn shard_count(&self) -> io::Result<u16> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let count = self.interfaces.first().map_or(1, |interface| interface.queues.len());
        if self.interfaces.iter().any(|interface| interface.queues.len() != count) {
            return refuse("every interface must have as many queues as the others");
        }
        match u16::try_from(count) {
            Ok(0) => refuse("an interface without a queue"),
            Ok(count) => Ok(count),
            Err(_) => refuse("more queues than there are numbers for"),
        }
    }
}

/// A shard that is about to run.
struct Start {
    index: usize,
    descriptors: Vec<AsyncFd<OwnedFd>>,
    /// The first shard's is the present one.
    runtime: Option<OwnRuntime>,
}

/// A runtime that can be dropped where tasks run, as happens if the start fails half-way: it waits for nobody.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl OwnRuntime {
    fn new() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    /// It is there until this is dropped.
    fn get(&self) -> Option<&Runtime> {
        self.0.as_ref()
    }
}

impl Start {
    fn new(index: usize, devices: &[Box<dyn Queue>]) -> io::Result<Self> {
        let runtime = match index {
            0 => None,
            _ => Some(OwnRuntime::new()?),
        };
        let descriptors = {
            let _context = runtime.as_ref().and_then(OwnRuntime::get).map(Runtime::enter);
            devices.iter().map(|device| watch(device.as_ref())).collect::<io::Result<_>>()?
        };
        Ok(Self { index, descriptors, runtime })
    }

    /// Starts the driver; where it runs.
    fn run(self, shards: &Arc<[Arc<Shared>]>, spin: Duration) -> io::Result<Handle> {
        let Self { index, descriptors, runtime } = self;
        let driver = driver::run_shard(Arc::clone(shards), index, descriptors, spin);
        let Some(handle) = runtime.as_ref().and_then(OwnRuntime::get).map(|it| it.handle().clone()) else {
            tokio::spawn(driver);
            return Ok(Handle::current());
        };
        std::thread::Builder::new().name(format!("netloom-{index}")).spawn(move || {
            host::thread_serves(index);
            if let Some(runtime) = runtime.as_ref().and_then(OwnRuntime::get) {
                runtime.block_on(driver);
            }
            // What is still running here has sockets that work no more, and ends with the runtime.
        })?;
        Ok(handle)
    }
}

/// Lets the runtime watch the device, by a duplicate of its descriptor.
fn watch(device: &dyn Queue) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = device.as_fd().try_clone_to_owned()?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe and asks that the descriptor stays open and the same: an OwnedFd does"
    )]
    AsyncFd::new(descriptor)
}

/// Sets the interface up. Shards beyond the first get their addresses from it.
fn add_interface(
    stack: &mut Stack,
    device: &dyn Queue,
    link_address: EthernetAddress,
    config: &InterfaceConfig,
) -> io::Result<()> {
    let interface = stack.add_interface(InterfaceSetup { caps: device.caps(), link_address });
    stack.set_accept_any(interface, config.accept_any);
    if stack.sharding().is_first() {
        for &address in &config.addresses {
            stack.add_address(Instant::ZERO, interface, address, config.detection).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("address {address}: {error}"))
            })?;
        }
    }
    for &(prefix, gateway) in &config.gateways {
        add_gateway(stack, interface, prefix, gateway)?;
    }
    Ok(())
}

fn add_gateway(stack: &mut Stack, interface: InterfaceId, prefix: Cidr, gateway: IpAddr) -> io::Result<()> {
    let route = Route { prefix, gateway: Some(gateway), interface, metric: 0, source: None };
    stack.routes_mut().insert(route).map(|_| ()).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("route {prefix} via {gateway}: {error}"))
    })
}

/// A locally administered unicast address (IEEE 802: bit 1 of the first byte).
fn made_up_address(rng: &mut Rng) -> EthernetAddress {
    let mut bytes = [0; 6];
    rng.fill(&mut bytes);
    bytes[0] = (bytes[0] | 0b10) & !0b01;
    EthernetAddress(bytes)
}

fn entropy() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
