//! ARP on one link: RFC 826's algorithm, and the packets we send.
//!
//! A packet is taken in RFC 826's order: a known sender is updated whatever the packet is for; then it is asked whether
//! we are the target; then an unknown sender of a request is learnt; then the request is answered. It departs from that
//! in two places, both against poisoning: a reply that nobody asked for makes no entry, as RFC 4861 7.2.5 has it for
//! IPv6, and a packet that claims one of our own addresses teaches nothing (RFC 5227 2.4).

use core::net::{IpAddr, Ipv4Addr};

use netloom_base::{DropReason, Instant, TxMeta};
use netloom_wire::{
    ArpOperation, ArpPacket, EtherType, EthernetAddress, ParseError, is_global_unicast_candidate,
};
use tracing::trace;

use super::LinkLayer;

impl LinkLayer {
    pub(super) fn handle_arp(&mut self, now: Instant, payload: &[u8]) -> Result<(), DropReason> {
        // [826-03]
        let packet = ArpPacket::parse(payload).map_err(|error| {
            if error == ParseError::Truncated { DropReason::LinkTruncated } else { DropReason::ArpMalformed }
        })?;
        match packet.operation {
            ArpOperation::Request => self.counters.arp_requests_received.increment(),
            ArpOperation::Reply => self.counters.arp_replies_received.increment(),
        }
        self.check_arp_sender(&packet)?;
        let before = self.claims.conflict_count();
        let is_conflict = self.claims.handle_arp(now, &packet);
        let conflicts = self.claims.conflict_count().saturating_sub(before);
        self.counters.address_conflicts.add(conflicts.into());
        if is_conflict {
            return Ok(());
        }
        let sender = IpAddr::V4(packet.sender_ip);
        let is_probe = packet.sender_ip.is_unspecified();
        // [5227-17]
        let for_us = self.claims.is_usable(packet.target_ip.into());
        let answers_us = for_us && packet.operation == ArpOperation::Reply;
        // [826-04, 826-07]
        let merged = !is_probe && self.cache.merge(now, sender, packet.sender_link, answers_us);
        if !for_us {
            return if merged { Ok(()) } else { Err(DropReason::ArpNotForUs) };
        }
        match packet.operation {
            ArpOperation::Request => {
                // [826-05]
                if !merged && !is_probe {
                    self.cache.learn(now, sender, packet.sender_link);
                }
                self.send_reply(&packet);
                Ok(())
            }
            ArpOperation::Reply if merged => Ok(()),
            ArpOperation::Reply => Err(DropReason::ArpNotForUs),
        }
    }

    /// What no station may say of itself.
    fn check_arp_sender(&self, packet: &ArpPacket) -> Result<(), DropReason> {
        let sender = IpAddr::V4(packet.sender_ip);
        if packet.sender_link == self.address {
            return Err(DropReason::ArpEchoed);
        }
        let is_probe = packet.sender_ip.is_unspecified() && packet.operation == ArpOperation::Request;
        let is_plausible = packet.sender_link.is_unicast()
            && (is_probe || is_global_unicast_candidate(sender))
            && !self.claims.is_broadcast(sender);
        if is_plausible { Ok(()) } else { Err(DropReason::ArpMalformed) }
    }

    /// Asks for `target`: all stations, or to verify an entry the one.
    // [826-01, 826-02]
    pub(super) fn send_request(&mut self, target: Ipv4Addr, link_destination: Option<EthernetAddress>) {
        let Some(sender_ip) = self.claims.source_for(target) else {
            // Without an address of our own there is nothing to ask from; a request from nobody would be a probe.
            trace!(%target, "no address to ask from");
            return;
        };
        if self.send_arp(ArpOperation::Request, sender_ip, target, link_destination) {
            self.counters.arp_requests_sent.increment();
        }
    }

    // [5227-01, 5227-02]
    pub(super) fn send_probe(&mut self, address: Ipv4Addr) {
        if self.send_arp(ArpOperation::Request, Ipv4Addr::UNSPECIFIED, address, None) {
            self.counters.arp_probes_sent.increment();
        }
    }

    // [5227-09]
    pub(super) fn send_announcement(&mut self, address: Ipv4Addr) {
        if self.send_arp(ArpOperation::Request, address, address, None) {
            self.counters.arp_announcements_sent.increment();
        }
    }

    // [826-06, 5227-18]
    fn send_reply(&mut self, request: &ArpPacket) {
        if !self.speaks_for_host {
            return;
        }
        let reply = ArpPacket {
            operation: ArpOperation::Reply,
            sender_link: self.address,
            sender_ip: request.target_ip,
            target_link: request.sender_link,
            target_ip: request.sender_ip,
        };
        if self.push_arp(request.sender_link, &reply) {
            self.counters.arp_replies_sent.increment();
        }
    }

    fn send_arp(
        &mut self,
        operation: ArpOperation,
        sender_ip: Ipv4Addr,
        target_ip: Ipv4Addr,
        link_destination: Option<EthernetAddress>,
    ) -> bool {
        let target_link = EthernetAddress::UNSPECIFIED;
        let packet = ArpPacket { operation, sender_link: self.address, sender_ip, target_link, target_ip };
        self.push_arp(link_destination.unwrap_or(EthernetAddress::BROADCAST), &packet)
    }

    /// Queues an ARP packet; returns whether there was room.
    fn push_arp(&mut self, destination: EthernetAddress, packet: &ArpPacket) -> bool {
        if self.arp_pending_count >= self.max_pending {
            self.drop_inside(DropReason::TransmitQueueFull);
            return false;
        }
        self.arp_pending_count += 1;
        self.push_frame(destination, EtherType::ARP, TxMeta::default(), packet.to_bytes().to_vec());
        true
    }
}
