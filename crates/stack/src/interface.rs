//! One interface of a stack: a device's abilities and, on Ethernet, its link layer.

use netloom_base::{DeviceCaps, Instant, InterfaceId, Medium, Rng};
use netloom_l2_link::{LinkConfig, LinkEvent, LinkLayer, NeighborConfig};

use crate::InterfaceSetup;

/// An interface. On a medium of bare IP packets (TUN) there is no link layer: every packet is for us.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) id: InterfaceId,
    pub(crate) caps: DeviceCaps,
    pub(crate) link: Option<LinkLayer>,
}

impl Interface {
    pub(crate) fn new(
        id: InterfaceId,
        setup: InterfaceSetup,
        neighbors: NeighborConfig,
        speaks_for_host: bool,
        rng: Rng,
    ) -> Self {
        let link = match setup.caps.medium {
            Medium::Ethernet => Some(LinkLayer::new(
                LinkConfig { address: setup.link_address, neighbors, speaks_for_host },
                rng,
            )),
            Medium::Ip => None,
        };
        Self { id, caps: setup.caps, link }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(link) = &mut self.link {
            link.handle_timeout(now);
        }
    }

    /// The next thing that the link layer has to tell.
    pub(crate) fn poll_event(&mut self) -> Option<(InterfaceId, LinkEvent)> {
        let event = self.link.as_mut()?.poll_event()?;
        Some((self.id, event))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.link.as_ref().and_then(LinkLayer::poll_timeout)
    }
}
