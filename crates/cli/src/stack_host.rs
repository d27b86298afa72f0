//! The stack and its services, started on a queue and stopped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use netloom::{AddressDetection, Cidr, InterfaceConfig, Net, StackConfig, UdpSocket};
use netloom_base::Medium;
use netloom_device::Queue;
use netloom_l7_app::http::HttpOptions;
use netloom_l7_app::{CancellationToken, Service, ServiceOptions, ServiceSpec};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::settings::Settings;

/// How long services may take to finish what they are in the middle of.
const SERVICES_PATIENCE: Duration = Duration::from_secs(2);
/// How long connections may then take to close.
const CONNECTIONS_PATIENCE: Duration = Duration::from_secs(1);

/// Who is on the link beside the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighborhood {
    /// The kernel's end of an interface that netloom has just created.
    KernelAlone,
    /// Whoever an administrator bridged the interface to.
    Unknown,
}

/// Everything else is behind the kernel: the first of its addresses of each family.
fn default_routes(gateways: &[Cidr]) -> Vec<(Cidr, IpAddr)> {
    let first = |wanted: fn(&IpAddr) -> bool| gateways.iter().map(|cidr| cidr.address()).find(wanted);
    [
        (IpAddr::from(Ipv4Addr::UNSPECIFIED), first(IpAddr::is_ipv4)),
        (Ipv6Addr::UNSPECIFIED.into(), first(IpAddr::is_ipv6)),
    ]
    .into_iter()
    .filter_map(|(any, gateway)| Some((Cidr::new(any, 0).ok()?, gateway?)))
    .collect()
}

/// Says why nothing happens for some seconds: before their use, addresses are tried out.
fn tell_of_probes(own: &[Cidr]) {
    let addresses: Vec<_> = own.iter().map(|cidr| cidr.address().to_string()).collect();
    let span = if own.iter().any(|cidr| cidr.address().is_ipv4()) {
        // RFC 5227 section 2.1.1: at most 1 s, twice 1 to 2 s, and 2 s.
        "4 to 7 s"
    } else {
        // RFC 4862 section 5.4.2: at most 1 s, and 1 s.
        "1 to 2 s"
    };
    tracing::info!(
        "trying out {}, which somebody else on the link might have: {span} (docs/decisions/0001)",
        addresses.join(" and ")
    );
}

/// A service's task on a shard's thread; it ends with this.
struct Spawned(JoinHandle<()>);

impl Drop for Spawned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Spawned {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // A task that panicked has said so.
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

/// A stack that runs, and services that run on it.
pub(crate) struct StackHost {
    net: Net,
    services: JoinSet<()>,
    shutdown: CancellationToken,
    http_port: Option<u16>,
}

impl StackHost {
    /// Starts the stack, a shard a queue, and every service that was chosen.
    ///
    /// `neighborhood` says who else may be on the link; `gateways` are the kernel's addresses on it.
    pub(crate) async fn start(
        queues: Vec<Box<dyn Queue>>,
        settings: &Settings,
        neighborhood: Neighborhood,
        gateways: &[Cidr],
    ) -> Result<Self, Failure> {
        let failure = |error| Failure::new(format_args!("cannot start the stack: {error}"));
        let config = InterfaceConfig {
            addresses: settings.addressing.own.clone(),
            gateways: default_routes(gateways),
            detection: match neighborhood {
                // The kernel was asked over rtnetlink, and there is no third: the first packet need not wait.
                Neighborhood::KernelAlone => AddressDetection::Optimistic,
                Neighborhood::Unknown => AddressDetection::Probe,
            },
            ..InterfaceConfig::default()
        };
        let mut stack = StackConfig::default();
        stack.tcp.congestion = settings.congestion;
        let mut builder = Net::builder().config(stack).interface_queues(queues, config);
        if let Some(span) = settings.spin {
            builder = builder.spin(span);
        }
        let net = builder.start().map_err(failure)?;
        // A TUN has no link whose hosts could be asked.
        if neighborhood == Neighborhood::Unknown && settings.interface.medium == Medium::Ethernet {
            tell_of_probes(&settings.addressing.own);
        }
        net.addresses_ready().await;
        let mut host = Self {
            net,
            services: JoinSet::new(),
            shutdown: CancellationToken::new(),
            http_port: settings.services.port_of(Service::Http),
        };
        let options = ServiceOptions {
            http: HttpOptions { root: settings.root.clone(), ..HttpOptions::default() },
            ..ServiceOptions::default()
        };
        for spec in settings.services.iter() {
            host.serve(spec, options.clone()).await?;
        }
        Ok(host)
    }

    async fn serve(&mut self, spec: ServiceSpec, options: ServiceOptions) -> Result<(), Failure> {
        let ServiceSpec { service, port } = spec;
        let failure =
            |error| Failure::new(format_args!("cannot serve {spec}: {error}: type --service {service}=PORT"));
        // Every own address of both families.
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = self.net.tcp_listen(address).await.map_err(failure)?;
        let mut udp: Option<UdpSocket> = match service.uses_udp() {
            true => Some(self.net.udp_bind(address).await.map_err(failure)?),
            false => None,
        };
        let listeners = if service.is_divisible() { listener.into_shards() } else { vec![listener] };
        for (shard, listener) in listeners.into_iter().enumerate() {
            let (options, shutdown) = (options.clone(), self.shutdown.clone());
            let udp = udp.take_if(|udp| !service.is_divisible() || udp.shard() == shard);
            let task = self.net.spawn_on(shard, async move {
                if let Err(error) = service.run(listener, udp, &options, shutdown).await {
                    tracing::warn!(%service, port, "service ended: {error}");
                }
            });
            self.services.spawn(Spawned(task));
        }
        Ok(())
    }

    /// The stack.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Where the HTTP service listens, if it does.
    pub(crate) fn http_port(&self) -> Option<u16> {
        self.http_port
    }

    /// Waits until the interface is gone; returns why.
    pub(crate) async fn failed(&self) -> Failure {
        match self.net.ended().await {
            Ok(()) => Failure::new("the stack has ended"),
            Err(error) => Failure::new(format_args!("the interface is gone ({error}): start netloom again")),
        }
    }

    /// Stops the services, then the stack.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.services.join_next().await.is_some() {} };
        if timeout(SERVICES_PATIENCE, ended).await.is_err() {
            tracing::debug!("some services were still busy");
        }
        self.services.shutdown().await;
        self.net.shutdown(CONNECTIONS_PATIENCE).await;
    }
}
