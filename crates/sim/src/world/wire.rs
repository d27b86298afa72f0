//! What happens between the stacks: devices and cables.

use netloom_base::{Instant, Medium, RxMeta};

use super::hearing::{Hearing, path_of_frame};
use super::host::{Cable, Host, Receipt, link_address};
use super::{World, failure};
use crate::capture::Way;
use crate::failure::{Failure, FailureKind};
use crate::frame_check::check_frame;
use crate::offload;
use crate::scenario::Scenario;

impl World<'_> {
    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        let frames = self.cables.iter().flat_map(|cable| cable.due(&self.hosts)).flatten();
        let stacks = self.hosts.iter().filter_map(|host| host.wakes_at);
        let mail = self.hosts.iter().filter_map(|host| host.shards.mail_due());
        let agenda = self.agenda.first().map(|(at, _)| *at);
        frames.chain(stacks).chain(mail).chain(agenda).min()
    }

    /// Hands over the frames that have arrived, and what the shards of a host have for each other.
    pub(super) fn deliver(&mut self) -> Result<(), Failure> {
        let losses = self.losses();
        let Self { scenario, cables, hosts, capture, hearing, now, .. } = self;
        for (number, host) in hosts.iter_mut().enumerate() {
            read_mail(scenario, hearing, *now, losses, number, host);
        }
        for (number, cable) in cables.iter_mut().enumerate() {
            let due = cable.due(hosts);
            let Cable { hosts: ends, interfaces, ways, captured_as, medium } = cable;
            for ((way, due), (to, side)) in ways.iter_mut().zip(due).zip([(ends[1], 1), (ends[0], 0)]) {
                let Some(host) = hosts.get_mut(to).filter(|_| due.is_some_and(|due| due <= *now)) else {
                    continue;
                };
                let mut frames = Vec::new();
                while let Some(frame) = way.poll(*now) {
                    if let Some(capture) = capture {
                        capture.record(captured_as[side], *now, Way::In, *medium, &frame);
                    }
                    frames.push(frame);
                }
                let frames = match host.moderation {
                    Some(_) => offload::join(*medium, frames),
                    None => frames.into_iter().map(|frame| (frame, RxMeta::default())).collect(),
                };
                host.is_touched = true;
                for (frame, meta) in frames {
                    let receipt = host.receive(*now, interfaces[side], *medium, &frame, meta);
                    if !is_known(host, receipt, *medium, &frame) {
                        return Err(failure(*now, FailureKind::Astray { host: to, shard: receipt.shard }));
                    }
                    if receipt.handed_on == 0 {
                        let place = Place { scenario, host: to, cable: number, medium: *medium };
                        place.hear(hearing, *now, &frame, meta, losses);
                        place.note_order(host, receipt.number, &frame);
                    }
                    read_mail(scenario, hearing, *now, losses, to, host);
                }
            }
        }
        Ok(())
    }

    /// Puts what a host has to send on its cables.
    pub(super) fn transmit(&mut self, number: usize) -> Result<(), Failure> {
        // A router hands on what a cable has damaged, and must not look.
        let is_router = self.scenario.hosts.get(number).is_some_and(|host| host.is_router);
        let cables_are_clean = !is_router || self.link_counters().all(|it| it.corrupted.get() == 0);
        // Who has lost its memory may take the ends of a connection again that its peer still has.
        let checks_windows = !is_router && self.scenario.restarts.is_empty();
        let Self { hosts, cables, capture, now, traffic, check_every, hearing, .. } = self;
        let Some(host) = hosts.get_mut(number) else { return Ok(()) };
        host.is_touched = false;
        let Host { shards, steering, head, ports, is_touched, .. } = host;
        let stacks = shards.stacks.iter_mut().enumerate();
        for (shard, stack) in stacks {
            while let Some(transmit) = stack.poll_transmit(*now, head) {
                let Some(&(cable, side)) = ports.get(transmit.interface.index()) else { continue };
                let Some(cable) = cables.get_mut(cable) else { continue };
                for frame in offload::cut(cable.medium, transmit.meta, transmit.to_vec()) {
                    steering.note_sent(shard, cable.medium, &frame);
                    traffic.frames += 1;
                    traffic.bytes += frame.len() as u64;
                    if cables_are_clean
                        && traffic.frames.is_multiple_of(*check_every)
                        && let Err(fault) = check_frame(cable.medium, &frame)
                    {
                        return Err(failure(*now, FailureKind::BadFrame { host: number, fault, frame }));
                    }
                    if checks_windows
                        && let Some((conversation, side, excess)) = hearing.excess(cable.medium, &frame)
                    {
                        let kind = FailureKind::BeyondWindow { conversation, side, excess };
                        return Err(failure(*now, kind));
                    }
                    let Some(way) = cable.ways.get_mut(side) else { continue };
                    if let Some(capture) = capture {
                        capture.record(cable.captured_as[side], *now, Way::Out, cable.medium, &frame);
                    }
                    if let (Err(reason), Some(capture)) = (way.offer(*now, frame), capture.as_mut()) {
                        capture.comment(format!("dropped: {reason}"));
                    }
                }
            }
        }
        // What it has sent to itself may be another shard's.
        shards.post(*now);
        *is_touched |= shards.mail_due().is_some_and(|due| due <= *now);
        Ok(())
    }
}

/// Where a frame arrives.
#[derive(Clone, Copy)]
struct Place<'a> {
    scenario: &'a Scenario,
    host: usize,
    cable: usize,
    medium: Medium,
}

impl Place<'_> {
    /// An end hears what a stack gets.
    fn hear(self, hearing: &mut Hearing, now: Instant, frame: &[u8], meta: RxMeta, losses: (u64, u64)) {
        let Self { scenario, host, cable, medium } = self;
        // What a router has got, an end may never hear.
        let is_end = scenario.hosts.get(host).is_some_and(|host| !host.is_router);
        // Whoever was told a wrong Ethernet address, by damaged ARP, speaks to nobody.
        let is_for_it =
            medium == Medium::Ip || link_address(cable, host).is_ok_and(|own| frame.starts_with(&own.0));
        if is_end && is_for_it {
            hearing.note(now, medium, frame, meta, losses);
        }
    }

    /// A frame has come to its owner.
    fn note_order(self, host: &mut Host, number: u64, frame: &[u8]) {
        // What lies in no mailbox is never overtaken.
        if !self.scenario.hosts.get(self.host).is_some_and(|host| host.shards.is_late()) {
            return;
        }
        if let Some(path) = path_of_frame(self.medium, frame) {
            host.note_order(path, number);
        }
    }
}

/// Whether a shard has kept a segment that is its own, and handed on, or counted as dropped, one that is another's.
fn is_known(host: &Host, receipt: Receipt, medium: Medium, frame: &[u8]) -> bool {
    if host.shards.is_whole() {
        return true;
    }
    path_of_frame(medium, frame).is_none_or(|(source, destination)| {
        let is_owner = host.shards.owner_of_flow(source, destination) == receipt.shard;
        receipt.handed_on == u64::from(!is_owner)
    })
}

/// Has the shards of a host take over what waits for them.
fn read_mail(
    scenario: &Scenario,
    hearing: &mut Hearing,
    now: Instant,
    losses: (u64, u64),
    number: usize,
    host: &mut Host,
) {
    if host.shards.is_whole() {
        return;
    }
    host.shards.post(now);
    while let Some(letter) = host.shards.take_next(now) {
        host.is_touched = true;
        host.shards.post(now);
        let interface = letter.handover.interface();
        let Some(&(cable, _)) = host.ports.get(interface.index()) else { continue };
        let Some(medium) = scenario.cables.get(cable).map(|cable| cable.medium) else { continue };
        if let Some((frame, meta)) = letter.handover.frame() {
            let place = Place { scenario, host: number, cable, medium };
            place.hear(hearing, now, frame, meta, losses);
            place.note_order(host, letter.number, frame);
        }
    }
}
