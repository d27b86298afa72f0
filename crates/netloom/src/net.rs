//! A running stack: interfaces, sockets, and the end of both; and the names of `tokio::net`.
//!
//! What was written for tokio's sockets runs over a stack when `use tokio::net` becomes `use netloom::net`; which stack,
//! [`Net::scope`] and [`Net::set_default`] say. Names are looked up as tokio does, by the host's resolver.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use netloom_device::Queue;
use netloom_stack::internet::{AddressState, LocalAddress, Route};
use netloom_stack::transport::{SocketOptions, TcpBind};
use netloom_stack::{
    AddressDetection, Cidr, EthernetAddress, Instant, InterfaceId, InterfaceSetup, Rng, Sharding, Stack,
    StackConfig,
};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::host::Host;
use crate::mailbox::Mailbox;
use crate::shard::{Ended, Look, Shard, Shared};
use crate::spin::default_span;
use crate::{current, driver, host};

pub use tokio::net::{ToSocketAddrs, lookup_host};

pub use crate::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// The halves of connections, where `tokio::net` has them too.
pub mod tcp {
    pub use crate::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
}

/// What an interface of a [`Net`] is to be.
///
/// # Examples
/// ```
/// use netloom::{AddressDetection, InterfaceConfig};
///
/// let config = InterfaceConfig {
///     addresses: vec!["10.0.0.2/24".parse()?, "fd00::2/64".parse()?],
///     gateways: vec![("0.0.0.0/0".parse()?, "10.0.0.1".parse()?)],
///     detection: AddressDetection::Optimistic,
///     ..InterfaceConfig::default()
/// };
/// assert!(!config.accept_any);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InterfaceConfig {
    /// Its addresses, each with the prefix of its network.
    pub addresses: Vec<Cidr>,
    /// The routers to send through: `(prefix, gateway)`; the prefix `0.0.0.0/0` or `::/0` is the default route.
    pub gateways: Vec<(Cidr, IpAddr)>,
    /// Its Ethernet address; `None` makes up a locally administered one. Ignored without Ethernet.
    pub link_address: Option<EthernetAddress>,
    /// How an address is checked for duplicates before and while it is used.
    pub detection: AddressDetection,
    /// Whether packets for any address are taken, not only for `addresses`: for a VPN client, a proxy, a sandbox. Sockets
    /// then see which address was asked ([`Net::tcp_listen_any`], or any listener on an unspecified address), answer from it,
    /// and may be bound to any address. Pings to any address are answered. Without a route, what answers goes out by the
    /// interface itself if it is a TUN; on a TAP, clients name one of `addresses` as their gateway. Off by default.
    pub accept_any: bool,
}

impl InterfaceConfig {
    /// One address, which is used at once, and given up if another host turns out to have it
    /// ([`AddressDetection::Optimistic`]); everything else by default.
    ///
    /// # Examples
    /// ```
    /// let config = netloom::InterfaceConfig::optimistic("10.0.0.2/24".parse()?);
    /// assert_eq!(config.addresses, ["10.0.0.2/24".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn optimistic(address: Cidr) -> Self {
        Self { addresses: vec![address], detection: AddressDetection::Optimistic, ..Self::default() }
    }
}

/// Puts a [`Net`] together.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use netloom::stack::Medium;
/// use netloom::{InterfaceConfig, Net, StackConfig, Tunnel};
///
/// let mut config = StackConfig::default();
/// config.tcp.max_connections = 1000;
/// let (device, _tunnel) = Tunnel::pair(Medium::Ip, 1400)?;
/// let net = Net::builder()
///     .config(config)
///     .connection_memory(256 << 10)
///     .spin(std::time::Duration::ZERO)
///     .interface(device, InterfaceConfig::default())
///     .start()?;
/// assert_eq!(net.shard_count(), 1);
/// # Ok(())
/// # }
/// ```
pub struct NetBuilder {
    config: StackConfig,
    seed: Option<[u8; 32]>,
    spin: Duration,
    interfaces: Vec<(Vec<Box<dyn Queue>>, InterfaceConfig)>,
}

/// A TCP/IP stack that runs: an own host behind one or more devices.
///
/// Clones are handles to the same stack. It runs on the tokio runtime that it was started on, until
/// [`shutdown`](Self::shutdown), [`abort`](Self::abort), or the failure of a device.
///
/// *Shards.* With several queues ([`NetBuilder::interface_queues`]) it is as many stacks that are one host. Each owns the
/// flows whose hash names it, with their sockets; a UDP socket with all its peers belongs to one of them, by its port.
/// Sockets work on every thread, and best on their shard's.
///
/// # Examples
/// ```
#[doc = include_str!("two_hosts.md")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (server, client) = hosts()?;
/// // Several stacks in one process; sockets are asked of one of them, or made in its scope.
/// assert_eq!(server.addresses(), ["10.0.0.1/24".parse().expect("a CIDR")]);
/// let listener = server.scope(netloom::net::TcpListener::bind("10.0.0.1:80")).await?;
/// let stream = client.tcp_connect(listener.local_addr()?).await?;
///
/// // What a stack counts, and what it holds.
/// let connections: usize = client.inspect(|stack| stack.tcp().usage().connections).iter().sum();
/// assert_eq!(connections, 1);
///
/// // The end, as connections like it within a second, or at once.
/// drop((stream, listener));
/// client.shutdown(std::time::Duration::from_secs(1)).await;
/// server.abort();
/// server.ended().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Net {
    pub(crate) host: Arc<Host>,
}

impl std::fmt::Debug for NetBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl NetBuilder {
    /// Bounds and choices other than the defaults. Each shard has such bounds for itself.
    #[must_use]
    pub fn config(mut self, config: StackConfig) -> Self {
        self.config = config;
        self
    }

    /// Bytes that the buffers of one connection hold at most, half of it in each direction; at least 4 KiB. A peer whose data
    /// nobody reads is slowed down at that, and a writer whose data nobody takes waits. Unset it is 64 MiB, of which only
    /// what the path is worth is used; what all connections hold together has a bound of its own
    /// ([`TcpConfig::max_buffer_bytes`](netloom_stack::transport::TcpConfig::max_buffer_bytes)). A socket may be told
    /// otherwise ([`TcpSocket::set_recv_buffer_size`]). Say it after [`config`](Self::config), which replaces it.
    #[must_use]
    pub fn connection_memory(mut self, bytes: usize) -> Self {
        (self.config.tcp.send_buffer, self.config.tcp.receive_buffer) = (bytes / 2, bytes / 2);
        self
    }

    /// Randomness other than the operating system's: for tests that must repeat. Whoever knows the seed can guess
    /// ports and sequence numbers.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long the stack may look for the next frame before it sleeps, when frames have been coming as close together
    /// as that: 50 us, or zero on a single processor, unless it is told otherwise. Zero: it sleeps at once, and each round trip costs a wake-up.
    #[must_use]
    pub fn spin(mut self, span: Duration) -> Self {
        self.spin = span;
        self
    }

    /// Adds an interface: a device, and what the stack is on it.
    #[must_use]
    pub fn interface(self, device: Box<dyn Queue>, config: InterfaceConfig) -> Self {
        self.interface_queues(vec![device], config)
    }

    /// Adds an interface with several queues, each of which is to be a shard's. Every interface must have as many.
    #[must_use]
    pub fn interface_queues(mut self, queues: Vec<Box<dyn Queue>>, config: InterfaceConfig) -> Self {
        self.interfaces.push((queues, config));
        self
    }

    /// Starts the stack on the present tokio runtime; shards beyond the first on threads of their own, which end with it.
    ///
    /// # Errors
    /// If an address or gateway makes no sense on its interface, or interfaces differ in their number of queues
    /// (`InvalidInput`), if the device's descriptor cannot be polled, or if the operating system has no randomness or no
    /// thread.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time enabled.
    pub fn start(self) -> io::Result<Net> {
        let mut rng = Rng::from_seed(match self.seed {
            Some(seed) => seed,
            None => entropy()?,
        });
        let mut made_up = rng.fork();
        let count = self.shard_count()?;
        let sharding_key = rng.hash_key();
        let mut setups = Vec::new();
        let mut queues_of_shards: Vec<Vec<Box<dyn Queue>>> = (0..count).map(|_| Vec::new()).collect();
        for (queues, config) in self.interfaces {
            let link_address = config.link_address.unwrap_or_else(|| made_up_address(&mut made_up));
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
            let mut stack = Stack::new(StackConfig { sharding, ..self.config.clone() }, rng.fork());
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
        Ok(Net { host: Arc::new(Host::new(shards, sharding, changed, runtimes)) })
    }

    /// How many queues every interface has.
    fn shard_count(&self) -> io::Result<u16> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let count = self.interfaces.first().map_or(1, |(queues, _)| queues.len());
        if self.interfaces.iter().any(|(queues, _)| queues.len() != count) {
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

impl Net {
    /// Begins to put a stack together.
    pub fn builder() -> NetBuilder {
        NetBuilder {
            config: StackConfig::default(),
            seed: None,
            spin: default_span(),
            interfaces: Vec::new(),
        }
    }

    /// Waits until the stack has ended: by [`shutdown`](Self::shutdown) or [`abort`](Self::abort), or because a device
    /// failed, whose error this is.
    ///
    /// # Errors
    /// The kind of the device's error.
    pub async fn ended(&self) -> io::Result<()> {
        self.host.wait_for(|shard| shard.ended.is_some()).await;
        match self.host.first().look(|shard| shard.ended) {
            Some(Ended::DeviceFailed(kind)) => Err(kind.into()),
            Some(Ended::ShutDown) | None => Ok(()),
        }
    }

    /// Waits until no address is being probed for duplicates any more. At once with
    /// [`AddressDetection::Optimistic`] and `Off`.
    pub async fn addresses_ready(&self) {
        let is_settled = |address: &LocalAddress| address.state != AddressState::Tentative;
        let usable = |shard: &Shard| {
            shard.stack.internet().addresses().filter(|address| address.state.is_usable()).count()
        };
        self.host
            .wait_until(|| {
                let first = self.host.first();
                first.look(|shard| shard.stack.internet().addresses().all(is_settled))
                    && self.host.shards().iter().all(|shard| shard.look(usable) == first.look(usable))
            })
            .await;
    }

    /// Listens for connections to `address`; with an unspecified IP address to any of the stack's own, of that family
    /// or, for `[::]`, of both. Port 0 takes a free one.
    ///
    /// # Errors
    /// `AddrInUse`, `AddrNotAvailable` if the address is not the stack's own, or `NotConnected` after shutdown.
    pub async fn tcp_listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind_on(&self.host, address)
    }

    /// Connects to `remote`.
    ///
    /// # Errors
    /// Those of `std::net::TcpStream::connect`: `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`,
    /// `HostUnreachable`, `AddrNotAvailable` when no port is free.
    pub async fn tcp_connect(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_on(&self.host, TcpBind::default(), remote, &SocketOptions::default(), None).await
    }

    /// Opens a UDP socket on `address`; the rules are [`tcp_listen`](Self::tcp_listen)'s.
    ///
    /// # Errors
    /// As [`tcp_listen`](Self::tcp_listen).
    pub async fn udp_bind(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind_on(&self.host, address)
    }

    /// A TCP socket for IPv4, to be set up before it connects or listens.
    pub fn tcp_socket_v4(&self) -> TcpSocket {
        TcpSocket::on(Arc::clone(&self.host), Ipv4Addr::UNSPECIFIED.into())
    }

    /// A TCP socket for IPv6, to be set up before it connects or listens.
    pub fn tcp_socket_v6(&self) -> TcpSocket {
        TcpSocket::on(Arc::clone(&self.host), Ipv6Addr::UNSPECIFIED.into())
    }

    /// Runs `future` with this stack under the sockets that it makes without naming one. What it spawns does not inherit
    /// that.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        current::scope(Arc::clone(&self.host), future).await
    }

    /// Makes this stack the one of all tasks of the process that have no [`scope`](Self::scope).
    ///
    /// # Examples
    /// ```no_run
    /// # async fn run(net: netloom::Net) -> std::io::Result<()> {
    /// use netloom::net::TcpStream;
    ///
    /// net.set_default();
    /// // Tasks that are spawned find it as well.
    /// tokio::spawn(async { TcpStream::connect("10.0.0.1:80").await });
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_default(&self) {
        current::replace_default(Some(Arc::clone(&self.host)));
    }

    /// Takes the process's stack away again, and returns it.
    pub fn take_default() -> Option<Self> {
        current::replace_default(None).map(|host| Self { host })
    }

    /// The stack of this task, or else of the process.
    ///
    /// # Errors
    /// `NetworkDown` if there is neither.
    pub fn current() -> io::Result<Self> {
        current::current().map(|host| Self { host })
    }

    /// The stack's own addresses.
    pub fn addresses(&self) -> Vec<Cidr> {
        self.host.first().look(|shard| shard.stack.internet().addresses().map(|it| it.cidr).collect())
    }

    /// Looks at each shard's stack in turn: its counters, tables, connections. `look` runs under the shard's lock: be brief.
    pub fn inspect<R>(&self, mut look: impl FnMut(&mut Stack) -> R) -> Vec<R> {
        self.host.shards().iter().map(|shard| shard.with(|shard, _| look(&mut shard.stack))).collect()
    }

    /// How many shards there are: as many as each interface has queues.
    pub fn shard_count(&self) -> usize {
        self.host.shards().len()
    }

    /// Spawns a task on the thread of a shard, where that shard's sockets are served best; counted from 0, and around. The
    /// first shard's is the runtime that the stack was started on. On the other threads tasks end with the stack.
    pub fn spawn_on<F>(&self, shard: usize, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.host.runtime(shard).spawn(task)
    }

    /// Waits until all connections have ended, but no longer than `patience`; then ends the stack, resetting what is
    /// left. Drop listeners and streams first: an open stream keeps its connection. The devices are closed when this
    /// returns, and an interface that was made by opening one is gone.
    pub async fn shutdown(self, patience: Duration) {
        for shard in self.host.shards() {
            shard.with(|shard, _| shard.is_draining = true);
        }
        let connections_ended =
            self.host.wait_for(|shard| shard.ended.is_some() || shard.stack.transport_usage().live() == 0);
        // What is left after that is reset below.
        let _ = tokio::time::timeout(patience, connections_ended).await;
        self.abort();
        self.host.wait_for(|shard| shard.has_no_driver).await;
    }

    /// Ends the stack now: open connections are reset, sockets fail with `NotConnected`, devices are closed.
    pub fn abort(&self) {
        for shard in self.host.shards() {
            shard.with(|shard, now| shard.stack.tcp().abort_all(now));
        }
        self.host.end(Ended::ShutDown);
    }
}
