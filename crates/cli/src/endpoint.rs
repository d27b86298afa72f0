//! An interface with the kernel at one end and the stack at the other.
//!
//! *Theory of operation.* [`Endpoint::open`] checks, then makes: an interface that does not exist is created, set up
//! and raised; one that exists (an administrator's, persistent and idle) is attached to, needs no privilege and
//! keeps its addresses, MTU and state. The stack starts last, so that its first frames find the kernel listening.
//!
//! Nothing is undone step by step. A created interface is not persistent, so it vanishes with its descriptor,
//! and its addresses and routes with it: when the stack stops, when opening fails half-way, on SIGKILL.

use std::fs::File;
use std::io::BufWriter;
use std::sync::{Arc, Mutex};

use netloom::impair::ImpairSpec;
use netloom::{Cable, Net};
use netloom_device::{CaptureWriter, Captured, Queue, TunTap, TunTapConfig};
use netloom_wire::Cidr;

use crate::banner::Banner;
use crate::control::protocol::{Answer, Request};
use crate::device_access;
use crate::failure::Failure;
use crate::host::snapshot::{Link, Snapshot};
use crate::host::{Host, conflict, ipv6};
use crate::interface_report::InterfaceReport;
use crate::settings::Settings;
use crate::settings::addressing::is_on_link;
use crate::stack_host::{Neighborhood, StackHost};

/// An interface that is up, and the stack behind it.
pub(crate) struct Endpoint {
    settings: Settings,
    host_addresses: Vec<Cidr>,
    stack: StackHost,
    /// Between the interface and the stack, if there are to be faults.
    cable: Option<Cable>,
}

impl Endpoint {
    /// Opens the interface and starts the stack. On failure nothing is left behind.
    pub(crate) async fn open(host: &Host, mut settings: Settings) -> Result<Self, Failure> {
        device_access::check_node().map_err(Failure::new)?;
        let snapshot = host.snapshot().await?;
        let (devices, addresses) = if snapshot.link_named(&settings.interface.name).is_some() {
            attach(host, &settings, &snapshot).await?
        } else {
            create(host, &mut settings, &snapshot).await?
        };
        let is_created = devices.first().is_some_and(TunTap::created);
        let neighborhood = if is_created { Neighborhood::KernelAlone } else { Neighborhood::Unknown };
        let queues: Vec<Box<dyn Queue>> = match &settings.pcap {
            None => boxed(devices),
            Some(path) => {
                let shown = path.display();
                let failure =
                    |error| Failure::new(format_args!("--pcap {shown}: {error}: name a file to write"));
                let writer = CaptureWriter::new(BufWriter::new(File::create(path).map_err(failure)?));
                let writer = Arc::new(Mutex::new(writer.map_err(failure)?));
                boxed(Captured::of_queues(devices, &writer).map_err(failure)?)
            }
        };
        let (cable, queues) = match &settings.impair {
            None => (None, queues),
            Some(faults) => {
                let failure = |error| Failure::new(format_args!("cannot start the faults: {error}"));
                let (cable, behind) = Cable::before_queues(queues, faults).map_err(failure)?;
                (Some(cable), behind)
            }
        };
        let stack = StackHost::start(queues, &settings, neighborhood, &addresses).await?;
        Ok(Self { settings, host_addresses: addresses, stack, cable })
    }

    /// What to tell a person; `place` says where to type.
    pub(crate) fn banner(&self, place: &'static str) -> Banner<'_> {
        Banner {
            interfaces: reports(self.stack.net(), &self.settings.interface.name),
            kind: self.settings.interface.kind(),
            host: &self.host_addresses,
            own: self.own_addresses(),
            http_port: self.stack.http_port(),
            place,
        }
    }

    /// What answers the control socket's requests, also while the stack ends.
    pub(crate) fn answerer(&self) -> impl Fn(Request) -> Answer + Send + Sync + use<> {
        let (net, name) = (self.stack.net().clone(), self.settings.interface.name.clone());
        move |request| match request {
            Request::Addr => Answer::Addr(reports(&net, &name)),
        }
    }

    /// The stack's addresses.
    pub(crate) fn own_addresses(&self) -> &[Cidr] {
        &self.settings.addressing.own
    }

    /// Waits until the interface is gone though nobody stopped it; returns why.
    pub(crate) async fn failed(&self) -> Failure {
        self.stack.failed().await
    }

    /// Stops the services and the stack; a created interface is gone when this returns.
    pub(crate) async fn close(self) {
        self.stack.stop().await;
        // On a thread of its own: the last frames take their time, and this one may be needed meanwhile.
        if let Some(cable) = self.cable
            && let Ok([inbound, outbound]) = tokio::task::spawn_blocking(|| cable.finish()).await
        {
            tracing::debug!(?inbound, ?outbound, "the faults' counters");
        }
    }

    /// Changes the faults, if there is a cable to have them.
    pub(crate) fn set_faults(&self, faults: &ImpairSpec) {
        if let Some(cable) = &self.cable {
            cable.set_faults(faults);
        }
    }

    /// What it was made from.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// What the stack says of its interface, under the name that the kernel has for it: a cable with faults has none.
fn reports(net: &Net, name: &str) -> Vec<InterfaceReport> {
    net.interfaces().iter().map(|info| InterfaceReport::new(name, info)).collect()
}

/// The queues of a device of any kind.
type Queues = Vec<Box<dyn Queue>>;

fn boxed<Q: Queue + 'static>(queues: Vec<Q>) -> Queues {
    queues.into_iter().map(|queue| -> Box<dyn Queue> { Box::new(queue) }).collect()
}

/// Makes the interface; gives its queues and the addresses of the kernel's end.
async fn create(
    host: &Host,
    settings: &mut Settings,
    snapshot: &Snapshot,
) -> Result<(Vec<TunTap>, Vec<Cidr>), Failure> {
    device_access::check_privilege(&settings.interface).map_err(Failure::new)?;
    settle_ipv6(settings)?;
    conflict::check_free(snapshot, &settings.addressing, &settings.interface)?;
    let mtu = settings.mtu_to_create();
    let devices = open_device(settings, mtu)?;
    if !devices.iter().all(TunTap::created) {
        return Err(Failure::new(format_args!(
            "someone else made {} at the same moment: try again",
            settings.interface.name
        )));
    }
    let name = &settings.interface.name;
    host.set_up(name, mtu, &settings.addressing.host).await?;
    tracing::debug!(interface = name, mtu, "interface created and raised");
    Ok((devices, settings.addressing.host.clone()))
}

/// Attaches to an interface that exists; gives the same.
async fn attach(
    host: &Host,
    settings: &Settings,
    snapshot: &Snapshot,
) -> Result<(Vec<TunTap>, Vec<Cidr>), Failure> {
    let name = &settings.interface.name;
    let devices = open_device(settings, settings.mtu_to_create())?;
    let link = host.link(name).await?;
    let mtu = settings.check_existing_mtu(link.mtu)?;
    if settings.mtu.is_some_and(|asked| asked != mtu) {
        return Err(Failure::new(format_args!(
            "{name} has an MTU of {mtu} already: leave --mtu out, or as root: ip link set {name} mtu {}",
            settings.mtu_to_create()
        )));
    }
    conflict::check_own_free(snapshot, &settings.addressing, &settings.interface)?;
    let addresses: Vec<Cidr> = snapshot.addresses_of(link.index).map(|held| held.cidr).collect();
    warn_of_dead_ends(settings, &link, &addresses);
    Ok((devices, addresses))
}

/// Says what an administrator's interface lacks; it is his to change.
fn warn_of_dead_ends(settings: &Settings, link: &Link, addresses: &[Cidr]) {
    let name = &link.name;
    if !link.is_up {
        tracing::warn!("{name} is down, and stays so until you type, as root: ip link set {name} up");
    }
    for own in &settings.addressing.own {
        if !is_on_link(*own, addresses) {
            tracing::warn!(
                "{name} has no address in the network of {own}: the kernel finds it only by a route"
            );
        }
    }
}

fn open_device(settings: &Settings, mtu: u16) -> Result<Vec<TunTap>, Failure> {
    let config = TunTapConfig { kind: settings.interface.medium, name: settings.interface.name.clone(), mtu };
    TunTap::open_queues(&config, settings.offload, settings.queues).map_err(Failure::new)
}

/// Leaves IPv6 out where the kernel does not speak it, unless it was asked for.
fn settle_ipv6(settings: &mut Settings) -> Result<(), Failure> {
    if !settings.addressing.has_ipv6() || ipv6::is_available() {
        return Ok(());
    }
    let without = settings.addressing.ipv4_only();
    if settings.addressing.is_explicit {
        return Err(Failure::new(format_args!("IPv6 is switched off here: type {}", without.flags())));
    }
    tracing::warn!("IPv6 is switched off here: going on with IPv4 only");
    settings.addressing = without;
    Ok(())
}
