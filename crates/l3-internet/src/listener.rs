//! The host's side of multicast listener discovery, version 2 (RFC 3810): reports on joining, leaving and being asked.
//!
//! # Not here
//! Source filters, which no socket here has. Version 1 reports: a querier of version 1 is answered by version 2 reports,
//! which every switch that snoops MLD has understood for twenty years.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use netloom_base::{DropReason, Instant, InterfaceId, NextHop, TxMeta};
use netloom_wire::{Ipv6Header, MldQuery, MldRecord, Protocol, mld_report, router_alert_header};

use crate::addressing::is_reported;
use crate::input::Received;
use crate::internet::Internet;
use crate::packet::Arrival;

/// Whom reports are for: every router that speaks MLDv2 (RFC 3810 5.2.14).
const ALL_MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Groups in one report: it stays below 1280 bytes.
const MAX_RECORDS: usize = 60;

/// Answers wait no longer than this, whatever the querier allows.
const MAX_ANSWER_DELAY: Duration = Duration::from_secs(10);

impl Internet {
    /// A querier asks which groups somebody listens to (RFC 3810 6.1, 6.2).
    pub(crate) fn query_in(
        &mut self,
        now: Instant,
        arrival: &Arrival<'_>,
        received: &Received<'_>,
        query: &MldQuery,
    ) -> Result<(), DropReason> {
        let is_from_link = matches!(received.source, IpAddr::V6(source) if source.is_unicast_link_local());
        if !is_from_link || received.hop_limit != 1 {
            return Err(DropReason::NdpMalformed);
        }
        if self.link_address_of(arrival.interface).is_none() {
            return Err(DropReason::NdpIgnored);
        }
        let answer_at = now + self.up_to(query.max_response.min(MAX_ANSWER_DELAY));
        let group = (!query.group.is_unspecified()).then_some(IpAddr::V6(query.group));
        self.groups.query(arrival.interface, group, answer_at, is_reported);
        Ok(())
    }

    /// Sends the reports that are due.
    pub(crate) fn send_reports(&mut self, now: Instant) {
        // Each turn moves what it reports beyond `now` or settles it; bounded by the number of groups.
        while let Some((interface, records)) = self.groups.due(now, &mut self.rng, MAX_RECORDS) {
            let records: Vec<_> = records
                .into_iter()
                .filter_map(|(group, record)| match group {
                    IpAddr::V6(group) => Some((group, record)),
                    IpAddr::V4(_) => None,
                })
                .collect();
            self.send_report(interface, &records);
        }
    }

    /// Tells at once that nobody listens here any more.
    pub(crate) fn report_left(&mut self, interface: InterfaceId, group: Ipv6Addr) {
        self.send_report(interface, &[(group, MldRecord::Left)]);
    }

    fn send_report(&mut self, interface: InterfaceId, records: &[(Ipv6Addr, MldRecord)]) {
        // From the link-local address, or from none while there is none yet (RFC 3810 5.2.13).
        let own = self.addresses.iter().find_map(|entry| match entry.cidr.address() {
            IpAddr::V6(address)
                if entry.interface == interface
                    && entry.state.is_usable()
                    && address.is_unicast_link_local() =>
            {
                Some(address)
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        });
        let source = own.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let message = mld_report(source, ALL_MLD_ROUTERS, records);
        let alert = router_alert_header(Protocol::ICMPV6);
        let header = Ipv6Header {
            source,
            destination: ALL_MLD_ROUTERS,
            next_header: Protocol::HOP_BY_HOP,
            hop_limit: 1,
            traffic_class: 0,
            flow_label: 0,
        };
        let packet = [&header.to_bytes(alert.len() + message.len())[..], &alert, &message].concat();
        let next_hop = NextHop::Neighbor { interface, address: ALL_MLD_ROUTERS.into() };
        self.counters.listener_reports_sent.increment();
        let sent = self.transmit(next_hop, None, TxMeta::default(), packet);
        self.count_drop(sent);
    }
}
