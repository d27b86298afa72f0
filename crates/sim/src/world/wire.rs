//! What happens between the stacks: devices and cables.

use netloom_base::{Instant, Medium, RxMeta};

use super::host::{Cable, Host, link_address};
use super::{World, failure};
use crate::capture::Way;
use crate::failure::{Failure, FailureKind};
use crate::frame_check::check_frame;
use crate::offload;

impl World<'_> {
    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        let frames = self.cables.iter().flat_map(|cable| cable.due(&self.hosts)).flatten();
        let stacks = self.hosts.iter().filter_map(|host| host.wakes_at);
        let agenda = self.agenda.first().map(|(at, _)| *at);
        frames.chain(stacks).chain(agenda).min()
    }

    /// Hands over the frames that have arrived.
    pub(super) fn deliver(&mut self) {
        let losses = self.losses();
        let Self { scenario, cables, hosts, capture, hearing, now, .. } = self;
        for (number, cable) in cables.iter_mut().enumerate() {
            let due = cable.due(hosts);
            let Cable { hosts: ends, interfaces, ways, captured_as, medium } = cable;
            for ((way, due), (to, side)) in ways.iter_mut().zip(due).zip([(ends[1], 1), (ends[0], 0)]) {
                let Some(host) = hosts.get_mut(to).filter(|_| due.is_some_and(|due| due <= *now)) else {
                    continue;
                };
                // What a router has got, an end may never hear.
                let is_end = scenario.hosts.get(to).is_some_and(|host| !host.is_router);
                let mut frames = Vec::new();
                while let Some(frame) = way.poll(*now) {
                    if let Some(capture) = capture {
                        capture.record(captured_as[side], *now, Way::In, *medium, &frame);
                    }
                    // Whoever was told a wrong Ethernet address, by damaged ARP, speaks to nobody.
                    let is_for_it = *medium == Medium::Ip
                        || link_address(number, to).is_ok_and(|own| frame.starts_with(&own.0));
                    if is_end && is_for_it {
                        hearing.note(*now, *medium, &frame, losses);
                    }
                    frames.push(frame);
                }
                let frames = match host.moderation {
                    Some(_) => offload::join(*medium, frames),
                    None => frames.into_iter().map(|frame| (frame, RxMeta::default())).collect(),
                };
                host.is_touched = true;
                for (frame, meta) in frames {
                    // As the driver does: the stack may keep the buffer.
                    host.buffer[..frame.len()].copy_from_slice(&frame);
                    host.stack.handle_buffer(*now, interfaces[side], &mut host.buffer, frame.len(), meta);
                }
            }
        }
    }

    /// Puts what a host has to send on its cables.
    pub(super) fn transmit(&mut self, number: usize) -> Result<(), Failure> {
        // A router hands on what a cable has damaged, and must not look.
        let is_router = self.scenario.hosts.get(number).is_some_and(|host| host.is_router);
        let cables_are_clean = !is_router || self.link_counters().all(|it| it.corrupted.get() == 0);
        let Self { hosts, cables, capture, now, traffic, check_every, .. } = self;
        let Some(host) = hosts.get_mut(number) else { return Ok(()) };
        host.is_touched = false;
        let Host { stack, head, ports, .. } = host;
        while let Some(transmit) = stack.poll_transmit(*now, head) {
            let Some(&(cable, side)) = ports.get(transmit.interface.index()) else { continue };
            let Some(cable) = cables.get_mut(cable) else { continue };
            for frame in offload::cut(cable.medium, transmit.meta, transmit.to_vec()) {
                traffic.frames += 1;
                traffic.bytes += frame.len() as u64;
                if cables_are_clean
                    && traffic.frames.is_multiple_of(*check_every)
                    && let Err(fault) = check_frame(cable.medium, &frame)
                {
                    return Err(failure(*now, FailureKind::BadFrame { host: number, fault, frame }));
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
        Ok(())
    }
}
