//! Goes through a script's steps against a host, in virtual time.
//!
//! # Theory of operation
//! The clock stands still while a step is done, and moves to the next step's time by way of every timer of the host that
//! runs out before it. What the host sends is kept with the time it was sent at, each connection's by itself. A `>` takes
//! the next segment of its connection, waits for it if there is none, and compares; whatever else comes too early for it is
//! a segment that the script does not know. At the end nothing may be left.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use netloom_base::Instant;
use netloom_stack::transport::TcpState;
use netloom_wire::TcpFlags;

use super::ast::{Action, Assertion, Call, Event, EventTime, Icmp, InfoField, Outcome, Packet, TimedCall};
use super::error::ScriptError;
use super::flow::{Flow, Sent};
use super::frame::{Ends, build_icmp, build_tcp, read_tcp};
use super::host::{BIND_PORT, CONNECT_PORT, Host, PEER_PORTS};
use super::segment::Segment;
use super::settings::{Family, Settings};
use super::sockets::{Progress, Sockets, pattern};

/// How long `*` waits.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Runs `events` over `family` against a host of so many shards.
pub(super) fn run(
    file: &str,
    settings: &Settings,
    events: &[Event],
    family: Family,
    shard_count: u16,
) -> Result<(), ScriptError> {
    let at = |line: u32| move |message: String| ScriptError { file: file.to_owned(), line, message };
    let last_line = events.last().map_or(1, |event| event.line);
    let mut runner = Runner::new(settings, events, family, shard_count).map_err(at(1))?;
    for event in events {
        runner.step(event).map_err(at(event.line))?;
    }
    runner.finish().map_err(at(last_line))
}

/// Which connection a packet without ports belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Focus {
    /// None: the peer's next packet begins one with the listener, or with nobody.
    Peer,
    /// The one that the host is about to begin.
    Host,
    /// `Runner::flows` at this place.
    Flow(usize),
}

/// A system call that has not returned.
#[derive(Debug)]
struct Blocked {
    call: TimedCall,
    line: u32,
    /// When it must return.
    returns_at: Instant,
}

struct Runner<'s> {
    settings: &'s Settings,
    host: Host,
    sockets: Sockets,
    /// When the script began.
    zero: Instant,
    flows: Vec<Flow>,
    focus: Focus,
    /// The host's and the peer's ports that a `>` names.
    watched: Vec<(u16, u16)>,
    next_peer_port: u16,
    peer_offset: u32,
    blocked: Option<Blocked>,
}

type Step<T = ()> = Result<T, String>;

impl<'s> Runner<'s> {
    fn new(settings: &'s Settings, events: &[Event], family: Family, shard_count: u16) -> Step<Self> {
        let host = Host::new(family, settings.mtu, settings.tcp.clone(), shard_count)?;
        let watched = events.iter().filter_map(|event| match &event.action {
            Action::Outbound(packet) => packet.ports,
            Action::Inbound(_) | Action::Icmp(_) | Action::Call(_) | Action::Assert(_) => None,
        });
        Ok(Self {
            settings,
            sockets: Sockets::new(SocketAddr::new(host.remote, CONNECT_PORT)),
            zero: host.now,
            host,
            flows: Vec::new(),
            focus: Focus::Peer,
            watched: watched.collect(),
            next_peer_port: PEER_PORTS.start,
            // Over IPv6 the peer's numbers begin close to the wrap: every script is also one about that.
            peer_offset: match family {
                Family::V4 => 0,
                Family::V6 => u32::MAX - 1500,
            },
            blocked: None,
        })
    }

    fn step(&mut self, event: &Event) -> Step {
        let (from, to) = self.window(event.time);
        match &event.action {
            Action::Outbound(packet) => return self.expect(packet, from, to),
            Action::Inbound(_) | Action::Icmp(_) | Action::Call(_) | Action::Assert(_) => {}
        }
        if from < self.host.now {
            return Err(format!("it is {} already", self.clock(self.host.now)));
        }
        self.advance_to(from)?;
        self.check_nothing_unexpected(from)?;
        match &event.action {
            Action::Outbound(_) => Ok(()),
            Action::Inbound(packet) => self.inject(packet),
            Action::Icmp(icmp) => self.inject_icmp(icmp),
            Action::Call(call) => self.call(call, event.line),
            Action::Assert(assertions) => assertions.iter().try_for_each(|assertion| self.assert(assertion)),
        }
    }

    fn finish(&mut self) -> Step {
        if let Some(blocked) = &self.blocked {
            let returns_at = blocked.returns_at + self.settings.tolerance;
            self.advance_to(returns_at)?;
        }
        self.exchange()?;
        if let Some(blocked) = &self.blocked {
            return Err(format!("the call in line {} has not returned", blocked.line));
        }
        self.check_nothing_unexpected(Instant::FAR_FUTURE)?;
        self.host.check_handovers()
    }

    /// Between which times a step happens.
    fn window(&self, time: EventTime) -> (Instant, Instant) {
        let (zero, now) = (self.zero, self.host.now);
        match time {
            EventTime::Absolute(at) => (zero + at, zero + at),
            EventTime::Relative(after) => (now + after, now + after),
            EventTime::AbsoluteRange(from, to) => (zero + from, zero + to),
            EventTime::RelativeRange(from, to) => (now + from, now + to),
            EventTime::Any => (zero, now + PATIENCE),
        }
    }

    fn clock(&self, at: Instant) -> Seconds {
        Seconds(at.saturating_since(self.zero))
    }

    /// Lets the host do all that is due up to `to`.
    fn advance_to(&mut self, to: Instant) -> Step {
        loop {
            self.exchange()?;
            match self.host.next_timeout() {
                Some(next) if next <= to => self.host.now = next,
                Some(_) | None => break,
            }
        }
        self.host.now = self.host.now.max(to);
        self.exchange()
    }

    /// Takes what the host sends now, and asks a blocked call again.
    fn exchange(&mut self) -> Step {
        self.collect()?;
        let Some(Blocked { call, line, returns_at }) = self.blocked.take() else { return Ok(()) };
        let now = self.host.now;
        match self.sockets.call(&mut self.host, &call.call, call.outcome) {
            Progress::Blocked if now > returns_at + self.settings.tolerance => {
                Err(format!("the call in line {line} must return by {}", self.clock(returns_at)))
            }
            Progress::Blocked => {
                self.blocked = Some(Blocked { call, line, returns_at });
                Ok(())
            }
            Progress::Done(_) if now + self.settings.tolerance < returns_at => Err(format!(
                "the call in line {line} must return at {}, and returned at {}",
                self.clock(returns_at),
                self.clock(now)
            )),
            Progress::Done(outcome) => {
                check_outcome(call.outcome, outcome)
                    .map_err(|error| format!("the call in line {line}: {error}"))?;
                self.collect()
            }
        }
    }

    fn collect(&mut self) -> Step {
        for packet in self.host.exchange()? {
            let Some((ends, segment, payload)) = read_tcp(&packet)? else { continue };
            let sent = Sent { at: self.host.now, segment, payload };
            let place = self.flow_of(ends, &sent.segment);
            if let Some(flow) = self.flows.get_mut(place) {
                flow.note_sent(sent);
            }
        }
        Ok(())
    }

    /// The connection that a segment of the host belongs to.
    fn flow_of(&mut self, ends: Ends, segment: &Segment) -> usize {
        let place = self.flow_at((ends.destination.1, ends.source.1));
        let begins = segment.flags.contains(TcpFlags::SYN) && !segment.flags.contains(TcpFlags::ACK);
        if self.focus == Focus::Host && begins && ends.destination.1 == CONNECT_PORT {
            self.set_focus(place);
        }
        place
    }

    /// The connection between these ports, the peer's and the host's.
    fn flow_at(&mut self, ports: (u16, u16)) -> usize {
        if let Some(place) = self.flows.iter().position(|flow| flow.ports == ports) {
            return place;
        }
        let mut flow = Flow::new(ports, self.peer_offset);
        flow.is_watched = self.watched.contains(&(ports.1, ports.0));
        self.flows.push(flow);
        self.flows.len() - 1
    }

    fn set_focus(&mut self, place: usize) {
        self.focus = Focus::Flow(place);
        if let Some(flow) = self.flows.get_mut(place) {
            flow.is_watched = true;
        }
    }

    /// The connection of a packet that the peer sends.
    fn inbound_flow(&mut self, ports: Option<(u16, u16)>) -> Step<usize> {
        if let Some(ports) = ports {
            return Ok(self.flow_at(ports));
        }
        match self.focus {
            Focus::Flow(place) => Ok(place),
            Focus::Peer => {
                let place = self.flow_at((self.next_peer_port, BIND_PORT));
                self.next_peer_port += 1;
                self.set_focus(place);
                Ok(place)
            }
            Focus::Host => Err("the host has sent no SYN that this could answer".to_owned()),
        }
    }

    fn inject(&mut self, packet: &Packet) -> Step {
        let place = self.inbound_flow(packet.ports)?;
        let (local, remote) = (self.host.local, self.host.remote);
        let flow = self.flows.get_mut(place).ok_or("no such connection")?;
        let live = flow.inbound(&packet.segment, self.settings.scales_echoes)?;
        // The text of a segment with SYN follows the SYN.
        let first = packet.segment.start + u32::from(packet.segment.flags.contains(TcpFlags::SYN));
        let payload: Vec<u8> = (0..packet.segment.len)
            .map(|place| pattern(u64::from(first.wrapping_add(place).wrapping_sub(1))))
            .collect();
        let (remote_port, local_port) = flow.ports;
        let ends = Ends { source: (remote, remote_port), destination: (local, local_port) };
        let bytes = build_tcp(ends, &live, &payload)?;
        self.host.receive(&bytes, (local_port, remote_port));
        self.exchange()
    }

    fn inject_icmp(&mut self, icmp: &Icmp) -> Step {
        let Focus::Flow(place) = self.focus else { return Err("there is no connection for ICMP".to_owned()) };
        let flow = self.flows.get(place).ok_or("no such connection")?;
        let (local, remote) = (self.host.local, self.host.remote);
        let kind = if local.is_ipv4() { icmp.kind.v4() } else { icmp.kind.v6() };
        let kind = kind.ok_or("this ICMP error does not exist over this version of IP")?;
        let quoted = Segment {
            ecn: None,
            flags: TcpFlags::ACK,
            start: flow.local_number(icmp.start),
            len: icmp.len.into(),
            ack: 0,
            window: None,
            urgent: 0,
            options: None,
        };
        let (remote_port, local_port) = flow.ports;
        let ends = Ends { source: (local, local_port), destination: (remote, remote_port) };
        let quote = build_tcp(ends, &quoted, &vec![0; usize::from(icmp.len)])?;
        let bytes = build_icmp(remote, local, kind, icmp.mtu, &quote)?;
        self.host.receive(&bytes, (local_port, remote_port));
        self.exchange()
    }

    fn call(&mut self, call: &TimedCall, line: u32) -> Step {
        if self.blocked.is_some() {
            return Err("another call has not returned".to_owned());
        }
        if matches!(call.call, Call::Socket | Call::Listen { .. }) {
            self.focus = Focus::Peer;
        } else if matches!(call.call, Call::Connect { .. }) && self.focus == Focus::Peer {
            self.focus = Focus::Host;
        }
        match self.sockets.call(&mut self.host, &call.call, call.outcome) {
            Progress::Done(outcome) => check_outcome(call.outcome, outcome)?,
            Progress::Blocked => {
                let returns_at = call.returns_at.ok_or("it blocks: `+0...0.1` says when it returns")?;
                // Both times of a relative step count from the same moment, which is now.
                self.blocked =
                    Some(Blocked { call: call.clone(), line, returns_at: self.host.now + returns_at });
            }
        }
        self.exchange()
    }

    /// Whether the host has sent something before `now` that no `>` has asked for.
    fn check_nothing_unexpected(&mut self, now: Instant) -> Step {
        let tolerance = self.settings.tolerance;
        for flow in self.flows.iter().filter(|flow| flow.is_watched) {
            if let Some(sent) = flow.sent.front()
                && sent.at + tolerance < now
            {
                return Err(format!(
                    "the host sent what the script does not expect\nactual:   {} {}",
                    self.clock(sent.at),
                    flow.outbound(&sent.segment)
                ));
            }
        }
        Ok(())
    }

    /// `>`: the host sends this, no earlier than `from` and no later than `to`.
    fn expect(&mut self, packet: &Packet, from: Instant, to: Instant) -> Step {
        let expected = &packet.segment;
        let tolerance = self.settings.tolerance;
        let missing = |runner: &Self| {
            format!("the host sent nothing by {}\nexpected: {expected}", runner.clock(to + tolerance))
        };
        let Some(sent) = self.take_sent(packet, to + tolerance)? else { return Err(missing(self)) };
        let mut whole = sent;
        while whole.segment.len < expected.len && !self.settings.has_strict_segments {
            let is_last = whole.segment.flags.intersects(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
            let is_part = !is_last && whole.segment.len > 0;
            let Some(next) = self.take_next_part(packet, &whole, to + tolerance, is_part)? else { break };
            whole.payload.extend(&next.payload);
            whole.segment = Segment {
                start: whole.segment.start,
                len: whole.segment.len + next.segment.len,
                ..next.segment
            };
        }
        let place = self.outbound_flow(packet).ok_or_else(|| missing(self))?;
        let tolerance_ms = u32::try_from(tolerance.as_millis()).unwrap_or(u32::MAX);
        let flow = self.flows.get_mut(place).ok_or("no such connection")?;
        flow.learn(expected, &whole.segment);
        let seen = flow.outbound(&whole.segment);
        let (at, start) = (self.clock(whole.at), seen.start + u32::from(seen.flags.contains(TcpFlags::SYN)));
        let wrong = |what: &str| format!("{what}\nexpected: {expected}\nactual:   {seen}\nat {at}");
        expected.check(&seen, tolerance_ms).map_err(|field| wrong(&format!("another {field}")))?;
        if whole.at + tolerance < from || whole.at > to + tolerance {
            let expected_at = (self.clock(from), self.clock(to));
            return Err(wrong(&format!("at another time than {} to {}", expected_at.0, expected_at.1)));
        }
        let is_right = whole
            .payload
            .iter()
            .zip(u64::from(start.wrapping_sub(1))..)
            .all(|(byte, at)| *byte == pattern(at));
        if is_right { Ok(()) } else { Err(wrong("other bytes than were written")) }
    }

    fn outbound_flow(&mut self, packet: &Packet) -> Option<usize> {
        match (packet.ports, self.focus) {
            (Some((local, remote)), _) => Some(self.flow_at((remote, local))),
            (None, Focus::Flow(place)) => Some(place),
            (None, Focus::Peer | Focus::Host) => None,
        }
    }

    /// The next segment of the connection, waited for until `deadline`.
    fn take_sent(&mut self, packet: &Packet, deadline: Instant) -> Step<Option<Sent>> {
        loop {
            self.exchange()?;
            let place = self.outbound_flow(packet);
            let flow = place.and_then(|place| self.flows.get_mut(place));
            if let Some(sent) = flow.and_then(|flow| flow.sent.pop_front()) {
                return Ok(Some(sent));
            }
            match self.host.next_timeout() {
                Some(next) if next <= deadline => self.host.now = next,
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// The segment that goes on where `whole` ends, if that is what comes next.
    fn take_next_part(
        &mut self,
        packet: &Packet,
        whole: &Sent,
        deadline: Instant,
        is_part: bool,
    ) -> Step<Option<Sent>> {
        if !is_part {
            return Ok(None);
        }
        let Some(next) = self.take_sent(packet, deadline)? else { return Ok(None) };
        if next.segment.start == whole.segment.end() && next.segment.len > 0 {
            return Ok(Some(next));
        }
        if let Some(flow) = self.outbound_flow(packet).and_then(|place| self.flows.get_mut(place)) {
            flow.sent.push_front(next);
        }
        Ok(None)
    }

    fn assert(&mut self, assertion: &Assertion) -> Step {
        let info =
            self.sockets.info(&mut self.host).ok_or("there is no connection to assert something of")?;
        let mss = i64::from(info.mss).max(1);
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let found = match assertion.field {
            InfoField::State => linux_state(info.state),
            InfoField::SndCwnd => i64::from(info.cwnd) / mss,
            InfoField::SndSsthresh => {
                info.ssthresh.map_or(i64::from(i32::MAX), |ssthresh| i64::from(ssthresh) / mss)
            }
            InfoField::Unacked => (i64::from(info.outstanding_len) + mss - 1) / mss,
            InfoField::Rto => micros(info.rto),
            InfoField::Rtt => micros(info.srtt.unwrap_or_default()),
            InfoField::SndMss => mss,
        };
        if assertion.comparison.holds(found, assertion.value) {
            Ok(())
        } else {
            Err(format!("`{}` does not hold: it is {found}", assertion.text))
        }
    }
}

fn check_outcome(expected: Outcome, found: Outcome) -> Step {
    if expected == found { Ok(()) } else { Err(format!("returned {found}, expected {expected}")) }
}

/// Linux' number of a state.
const fn linux_state(state: TcpState) -> i64 {
    match state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynReceived => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::TimeWait => 6,
        TcpState::Closed => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
    }
}

/// A time as scripts write it.
#[derive(Clone, Copy, Debug)]
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

#[cfg(test)]
mod tests;
