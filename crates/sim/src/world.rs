//! Hosts, cables and applications in virtual time.
//!
//! *Theory of operation.* Time jumps from one event to the next: a frame arrives, a stack's timer runs out, an application
//! wakes, a cable changes. At each instant everything that is due is done, and then what follows from it, until all is
//! quiet; a frame always takes at least a moment, so it becomes quiet. Applications act only when their stack tells them
//! to by an event, or their own plan by the clock, so an event that is missing shows as a conversation that is stuck.

mod datagrams;
mod flow;
pub(crate) mod hearing;
mod host;
mod opening;
mod steering;
mod wire;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[cfg(test)]
use netloom_base::Medium;
use netloom_base::{DropReason, Instant, InterfaceId, ReasonCounters, Rng};
use netloom_stack::transport::{
    ListenOptions, TcpBind, TcpCounters, TcpEvent, TcpListenerId, TcpSocketId, UdpEvent,
};
use netloom_stack::{Event, Stack};

use crate::capture::Capture;
use crate::conversation::end::Outcome;
use crate::conversation::{Conversation, Side};
use crate::failure::{Failure, FailureKind};
use crate::pattern::MAX_RUN;
use crate::scenario::{ConversationPlan, ListenerPlan, Scenario};
use crate::shards::Shards;
use flow::Flow;
use hearing::{Heard, Hearing};
use host::{Cable, Host, address};
use netloom_impair::{Link, LinkCounters};

/// Rounds at one instant after which time is taken to stand still.
const MAX_ROUNDS: u32 = 10_000;

/// Something that is due at a time, besides frames and the stacks' own timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A conversation begins.
    Connect(usize),
    /// An application reads on.
    Wake(usize, Side),
    /// A listener's application accepts again.
    Accept(usize),
    /// A cable changes.
    Change(usize),
    /// A host loses its memory.
    Restart(usize),
    /// The next datagram of a flow.
    Datagram(usize),
}

/// What a run is counted by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// The world of one scenario.
#[derive(Debug)]
pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    /// For the secrets of hosts that begin again.
    rng: Rng,
    capture: Option<&'a mut Capture>,
    now: Instant,
    hosts: Vec<Host>,
    cables: Vec<Cable>,
    pub(crate) conversations: Vec<Conversation>,
    /// Each with its part at each shard of its host.
    listeners: Vec<Vec<TcpListenerId>>,
    /// Whether the listeners were closed for good.
    is_closing: bool,
    /// Until when each listener's application does something else.
    busy_until: Vec<Instant>,
    agenda: BTreeSet<(Instant, Due)>,
    /// Ends with an event, each once or more.
    called: VecDeque<(usize, Side)>,
    /// By host, shard and number there.
    sockets: BTreeMap<(usize, usize, TcpSocketId), (usize, Side)>,
    /// Which conversation a connection belongs to, by its client's address, what that connects to, and when it began: a
    /// client that has lost its memory may take the same port again, while the old connection still waits to be accepted.
    expected: BTreeMap<(SocketAddr, SocketAddr, Instant), usize>,
    hearing: Hearing,
    buffer: Vec<u8>,
    flows: Vec<Flow>,
    /// Whether nothing is left to do now.
    is_settled: bool,
    /// When there is something to do again, if nothing is left to do now.
    upcoming: Option<Instant>,
    /// When an application last got on.
    progress_at: Instant,
    /// The longest time in which none got on though one had something to do.
    longest_pause: Duration,
    pub(crate) traffic: Traffic,
    /// One frame in so many is read by etherparse.
    check_every: u64,
}

impl<'a> World<'a> {
    /// The world at its beginning. One frame in `check_every` is read again by etherparse.
    pub(crate) fn new(
        scenario: &'a Scenario,
        mut capture: Option<&'a mut Capture>,
        check_every: u64,
    ) -> Result<Self, Failure> {
        let mut rng = Rng::from_number(scenario.seed ^ 0x5eed);
        let bad =
            |why: &dyn core::fmt::Debug| failure(Instant::ZERO, FailureKind::BadScenario(format!("{why:?}")));
        let hosts = (0..scenario.hosts.len())
            .map(|number| Host::new(Instant::ZERO, scenario, number, rng.fork()).map_err(|error| bad(&error)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut cables = Vec::new();
        for (number, plan) in scenario.cables.iter().enumerate() {
            let interface = |side: usize| {
                let host = plan.ends.get(side).and_then(|&host| hosts.get(host));
                host.and_then(|host| host.interface(number, side)).ok_or_else(|| bad(&"a cable without host"))
            };
            let interfaces = [interface(0)?, interface(1)?];
            let mut name = |side: usize| {
                let name = format!("host{}-cable{number}", plan.ends.get(side).copied().unwrap_or(0));
                capture.as_mut().map_or(0, |capture| capture.add_interface(name))
            };
            let captured_as = [name(0), name(1)];
            let ways = plan.ways.clone().map(|way| Link::new(plan.medium, way, rng.fork()));
            cables.push(Cable { medium: plan.medium, hosts: plan.ends, interfaces, ways, captured_as });
        }
        let mut world = Self {
            rng: rng.fork(),
            scenario,
            capture,
            now: Instant::ZERO,
            hosts,
            cables,
            conversations: Vec::new(),
            listeners: vec![Vec::new(); scenario.listeners.len()],
            is_closing: false,
            busy_until: vec![Instant::ZERO; scenario.listeners.len()],
            agenda: BTreeSet::new(),
            called: VecDeque::new(),
            sockets: BTreeMap::new(),
            expected: BTreeMap::new(),
            hearing: Hearing::default(),
            buffer: vec![0; MAX_RUN],
            flows: Vec::new(),
            is_settled: false,
            upcoming: None,
            progress_at: Instant::ZERO,
            longest_pause: Duration::ZERO,
            traffic: Traffic::default(),
            check_every: check_every.max(1),
        };
        for number in 0..world.hosts.len() {
            world.listen(number)?;
        }
        world.set_up_conversations()?;
        world.set_up_datagrams()?;
        Ok(world)
    }

    /// Opens the listeners of one host.
    fn listen(&mut self, number: usize) -> Result<(), Failure> {
        let Self { scenario, hosts, listeners, now, .. } = self;
        let Some(host) = hosts.get_mut(number) else { return Ok(()) };
        for (plan, listener) in scenario.listeners.iter().zip(listeners) {
            if plan.host == number {
                let bind = TcpBind { address: None, port: plan.port };
                let options = ListenOptions {
                    backlog: plan.backlog,
                    fast_open: plan.fast_open,
                    socket: plan.options,
                    ..ListenOptions::default()
                };
                let parts = host.shards.stacks.iter_mut().map(|stack| stack.tcp().listen(bind, options));
                let parts = parts.collect::<Result<Vec<_>, _>>();
                *listener = parts.map_err(|error| failure(*now, FailureKind::NoListener(error)))?;
            }
        }
        Ok(())
    }

    /// A host's address in a conversation: that on the first cable that it is on.
    fn address_of(&self, plan: &ConversationPlan, host: usize) -> Result<IpAddr, Failure> {
        let cable = self.scenario.cables.iter().position(|cable| cable.ends.contains(&host));
        let own = address(cable.unwrap_or(0), host, plan.is_ipv6);
        own.map(netloom_stack::Cidr::address).map_err(|error| self.bad_scenario(&error))
    }

    fn bad_scenario(&self, why: &dyn core::fmt::Debug) -> Failure {
        self.failure(FailureKind::BadScenario(format!("{why:?}")))
    }

    /// What time it is.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }

    /// When an application last got on.
    pub(crate) const fn progress_at(&self) -> Instant {
        self.progress_at
    }

    /// The longest time in which no application got on though one had something to do.
    pub(crate) const fn longest_pause(&self) -> Duration {
        self.longest_pause
    }

    /// An application gets on. `is_running`: whether one had something to do until now.
    fn note_progress(&mut self, is_running: bool) {
        if is_running {
            self.longest_pause = self.longest_pause.max(self.now.saturating_since(self.progress_at));
        }
        self.progress_at = self.now;
    }

    /// Whether a conversation has begun and is not over.
    fn is_any_open(&self) -> bool {
        self.conversations.iter().any(|it| it.client.socket.is_some() && !it.is_over())
    }

    /// Whether every conversation and flow is over.
    pub(crate) fn is_over(&self) -> bool {
        self.conversations.iter().all(Conversation::is_over) && self.flows.iter().all(Flow::is_over)
    }

    /// The shards of a host.
    pub(crate) fn shards(&mut self, host: usize) -> Option<&mut Shards> {
        self.hosts.get_mut(host).map(|host| &mut host.shards)
    }

    /// The stacks of a host as often as it began: each time that it lost its memory, and now.
    pub(crate) fn all_shards(&self, host: usize) -> impl Iterator<Item = &Shards> {
        self.hosts.get(host).into_iter().flat_map(|host| host.former_shards.iter().chain([&host.shards]))
    }

    /// Segments that came to their shards after those that came later to the host.
    pub(crate) fn overtaken_count(&self) -> u64 {
        self.hosts.iter().map(|host| host.overtaken_count).sum()
    }

    /// Frames that full mailboxes have refused.
    pub(crate) fn refused_count(&self) -> u64 {
        refused_by(&self.hosts)
    }

    /// How much a host has dropped for one of `reasons`, in its stacks and at their links.
    pub(crate) fn dropped(&self, host: usize, reasons: &[DropReason]) -> u64 {
        let Some(host) = self.hosts.get(host) else { return 0 };
        let interfaces = || (0..host.ports.len()).filter_map(|index| u8::try_from(index).ok());
        let counts = |drops: &ReasonCounters| reasons.iter().map(|&reason| drops.get(reason)).sum::<u64>();
        let counts_of = |stack: &Stack| {
            let links = interfaces().filter_map(|index| stack.link(InterfaceId::new(index)));
            counts(&stack.counters().drops) + links.map(|link| counts(&link.counters().drops)).sum::<u64>()
        };
        host.all_stacks().map(counts_of).sum()
    }

    /// What a host's TCP has counted: each shard, once for each time that the host lost its memory, and since.
    pub(crate) fn tcp_counters(&mut self, host: usize) -> Vec<TcpCounters> {
        let Some(host) = self.hosts.get_mut(host) else { return Vec::new() };
        let shards = host.former_shards.iter_mut().chain([&mut host.shards]);
        shards.flat_map(|shards| &mut shards.stacks).map(|stack| stack.tcp().counters().clone()).collect()
    }

    /// How many hosts there are.
    pub(crate) fn host_count(&self) -> usize {
        self.hosts.len()
    }

    /// The numbers of every way of every cable.
    pub(crate) fn link_counters(&self) -> impl Iterator<Item = &LinkCounters> {
        self.cables.iter().flat_map(|cable| &cable.ways).map(Link::counters)
    }

    /// Frames that the cables and mailboxes have lost, and of how many a bit was flipped: those count as lost, too.
    fn losses(&self) -> (u64, u64) {
        let (lost, corrupted) = losses_of(&self.cables);
        (lost + refused_by(&self.hosts), corrupted)
    }

    /// What an end has heard of its peer.
    pub(crate) fn heard(&self, conversation: usize, side: Side) -> Option<&Heard> {
        self.hearing.of(conversation, side)
    }

    /// Makes an end expect another stream than its peer sends: what a wrong byte looks like.
    #[cfg(test)]
    pub(crate) fn deceive(&mut self, conversation: usize, side: Side) {
        let (end, _) = self.conversations[conversation].ends(side);
        end.expect_another_stream();
    }

    /// Makes a flow expect other datagrams than it has sent.
    #[cfg(test)]
    pub(crate) fn deceive_flow(&mut self, flow: usize) {
        self.flows[flow].stream = crate::pattern::Stream::new(1_000_003);
    }

    /// Makes the connection of a conversation look like nobody's.
    #[cfg(test)]
    pub(crate) fn forget_client(&mut self, conversation: usize) {
        self.expected.retain(|_, number| *number != conversation);
    }

    /// Takes the frames on a cable for those of the other medium.
    #[cfg(test)]
    pub(crate) fn mistake_medium(&mut self, cable: usize) {
        let medium = &mut self.cables[cable].medium;
        *medium = match medium {
            Medium::Ethernet => Medium::Ip,
            Medium::Ip => Medium::Ethernet,
        };
    }

    /// Hands a frame to the first interface of a host.
    #[cfg(test)]
    pub(crate) fn hand_over(&mut self, host: usize, frame: &[u8]) {
        let host = &mut self.hosts[host];
        host.shards.handle_frame(self.now, 0, InterfaceId::new(0), frame, netloom_base::RxMeta::default());
        host.is_touched = true;
        self.is_settled = false;
    }

    /// Makes it look as if the peer of an end had said no scale.
    #[cfg(test)]
    pub(crate) fn mistake_scale(&mut self, conversation: usize, side: Side) -> bool {
        self.hearing.mistake_scale(conversation, side)
    }

    /// Makes a shard of a host take itself for the whole.
    #[cfg(test)]
    pub(crate) fn unite(&mut self, host: usize, shard: usize) {
        let stack = Stack::new(netloom_stack::StackConfig::default(), self.rng.fork());
        self.hosts[host].shards.stacks[shard] = stack;
    }

    /// Begins a connection at a shard that it does not belong to.
    #[cfg(test)]
    pub(crate) fn connect_from_wrong_shard(&mut self, host: usize, local: SocketAddr, remote: SocketAddr) {
        let shards = &mut self.hosts[host].shards;
        let wrong = (shards.owner_of_flow(local, remote) + 1) % shards.stacks.len();
        let bind = TcpBind { address: None, port: local.port() };
        shards.stacks[wrong].tcp().connect(self.now, bind, remote, &Default::default()).unwrap();
    }

    /// Goes on to the next instant at which something happens, no later than `end`, and does it; false if nothing does.
    pub(crate) fn step(&mut self, end: Instant) -> Result<bool, Failure> {
        if !self.is_settled {
            self.settle()?;
        }
        match self.upcoming {
            Some(next) if next <= end => {
                self.now = next.max(self.now);
                self.settle()?;
                Ok(true)
            }
            Some(_) | None => {
                self.now = end;
                Ok(false)
            }
        }
    }

    /// Ends an end that waits for a peer that is gone.
    pub(crate) fn abandon(&mut self, conversation: usize, side: Side) {
        let Some(talk) = self.conversations.get_mut(conversation) else { return };
        let (end, _) = talk.ends(side);
        let Some(host) = self.hosts.get_mut(end.host) else { return };
        if let Some(stack) = host.shards.stacks.get_mut(end.shard) {
            end.abandon(&mut stack.tcp(), self.now);
            host.is_touched = true;
            self.is_settled = false;
        }
    }

    /// Closes all listeners.
    pub(crate) fn close_listeners(&mut self) {
        self.is_closing = true;
        self.is_settled = false;
        for (plan, parts) in self.scenario.listeners.iter().zip(&self.listeners) {
            let Some(host) = self.hosts.get_mut(plan.host) else { continue };
            for (stack, &listener) in host.shards.stacks.iter_mut().zip(parts) {
                stack.tcp().close_listener(self.now, listener);
                host.is_touched = true;
            }
        }
    }

    /// Does all that is due now, and all that follows from it now.
    fn settle(&mut self) -> Result<(), Failure> {
        for _ in 0..MAX_ROUNDS {
            self.deliver()?;
            self.run_timers();
            self.run_agenda()?;
            self.run_called()?;
            self.drain()?;
            if !self.called.is_empty() || self.hosts.iter().any(|host| host.is_touched) {
                continue;
            }
            self.upcoming = self.next();
            if self.upcoming.is_none_or(|next| next > self.now) {
                self.is_settled = true;
                return Ok(());
            }
        }
        let wants_now = |host: &Host| host.shards.poll_timeout().is_some_and(|at| at <= self.now);
        let host = self.hosts.iter().position(wants_now).unwrap_or(0);
        Err(self.failure(FailureKind::Livelock { host }))
    }

    fn run_timers(&mut self) {
        for host in &mut self.hosts {
            if host.wakes_at.is_some_and(|at| at <= self.now) {
                host.shards.handle_timeout(self.now);
                host.is_touched = true;
            }
        }
    }

    fn run_agenda(&mut self) -> Result<(), Failure> {
        while self.agenda.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, due)) = self.agenda.pop_first() else { break };
            match due {
                Due::Connect(conversation) => self.connect(conversation)?,
                Due::Wake(conversation, side) => self.called.push_back((conversation, side)),
                Due::Accept(listener) => self.accept(listener)?,
                Due::Change(change) => self.change(change),
                Due::Restart(restart) => self.restart(restart)?,
                Due::Datagram(flow) => self.send_datagram(flow)?,
            }
        }
        Ok(())
    }

    fn change(&mut self, number: usize) {
        let Some(change) = self.scenario.changes.get(number) else { return };
        let Some(cable) = self.cables.get_mut(change.cable) else { return };
        for (way, config) in cable.ways.iter_mut().zip(&change.ways) {
            way.set_config(config.clone());
        }
    }

    /// A host begins again, and knows of nothing.
    fn restart(&mut self, number: usize) -> Result<(), Failure> {
        let Some(host) = self.scenario.restarts.get(number).map(|restart| restart.host) else {
            return Ok(());
        };
        let again = Host::new(self.now, self.scenario, host, self.rng.fork());
        let again = again.map_err(|error| self.bad_scenario(&error))?;
        if let Some(slot) = self.hosts.get_mut(host) {
            let former = core::mem::replace(slot, again);
            slot.remember(former);
        }
        self.sockets.retain(|(owner, _, _), _| *owner != host);
        for conversation in &mut self.conversations {
            for end in [&mut conversation.client, &mut conversation.server] {
                if end.host == host {
                    end.forget();
                }
            }
        }
        self.progress_at = self.now;
        self.bind_datagrams(host)?;
        if self.is_closing { Ok(()) } else { self.listen(host) }
    }

    /// Lets the applications act that were called.
    fn run_called(&mut self) -> Result<(), Failure> {
        while let Some((number, side)) = self.called.pop_front() {
            let Some(conversation) = self.conversations.get_mut(number) else { continue };
            let (end, peer) = conversation.ends(side);
            let peer = peer.view();
            let Some(host) = self.hosts.get_mut(end.host) else { continue };
            host.is_touched = true;
            let Some(stack) = host.shards.stacks.get_mut(end.shard) else { continue };
            let result = end.run(&mut stack.tcp(), self.now, peer, &mut self.buffer);
            let wakes_at = end.wakes_after(self.now);
            let is_over = end.outcome.is_some();
            if is_over && side == Side::Client && !conversation.is_awaited {
                conversation.server.outcome = Some(Outcome::Absent);
            }
            match result {
                Ok(true) => {
                    if is_over {
                        let (lost, _) = self.losses();
                        self.hearing.end(number, side, lost);
                    }
                    self.note_progress(true);
                }
                Ok(false) => {}
                Err(untruth) => {
                    return Err(self.failure(FailureKind::Untruth { conversation: number, side, untruth }));
                }
            }
            if let Some(at) = wakes_at {
                self.agenda.insert((at, Due::Wake(number, side)));
            }
        }
        Ok(())
    }

    /// Takes frames and events out of every host that was touched.
    fn drain(&mut self) -> Result<(), Failure> {
        for number in 0..self.hosts.len() {
            if self.hosts.get(number).is_some_and(|host| host.is_touched) {
                self.transmit(number)?;
                for shard in 0..self.hosts.get(number).map_or(0, |host| host.shards.stacks.len()) {
                    self.take_events(number, shard)?;
                }
                if let Some(host) = self.hosts.get_mut(number) {
                    host.wakes_at = host.shards.poll_timeout();
                }
            }
        }
        Ok(())
    }

    fn take_events(&mut self, number: usize, shard: usize) -> Result<(), Failure> {
        while let Some(host) = self.hosts.get_mut(number) {
            let Some(event) = host.shards.stacks.get_mut(shard).and_then(Stack::poll_event) else { break };
            match event {
                Event::Tcp(
                    TcpEvent::Connected(id)
                    | TcpEvent::Readable(id)
                    | TcpEvent::Writable(id)
                    | TcpEvent::Closed(id)
                    | TcpEvent::Report(id),
                ) => {
                    self.called.extend(self.sockets.get(&(number, shard, id)));
                }
                Event::Tcp(TcpEvent::Acceptable(id)) => {
                    let is_this = |(plan, parts): (&ListenerPlan, &Vec<TcpListenerId>)| {
                        plan.host == number && parts.get(shard) == Some(&id)
                    };
                    let listener = self.scenario.listeners.iter().zip(&self.listeners).position(is_this);
                    if let Some(listener) = listener {
                        self.accept(listener)?;
                    }
                }
                Event::Udp(UdpEvent::Readable(id)) => self.read_datagrams(number, shard, id)?,
                // No listener of a scenario asks, and nobody pings.
                Event::Tcp(TcpEvent::Decided(_))
                | Event::Icmp(_)
                | Event::Udp(UdpEvent::Writable(_) | UdpEvent::Error(_)) => {}
                Event::AddressReady { .. }
                | Event::AddressConflict { .. }
                | Event::TrialPassed { .. }
                | Event::GroupJoined { .. }
                | Event::GroupLeft { .. } => host.shards.tell(self.now, &event),
            }
        }
        Ok(())
    }

    pub(crate) fn failure(&self, kind: FailureKind) -> Failure {
        failure(self.now, kind)
    }
}

/// The port of an end that is connected to: below all ephemeral ones.
fn own_port(conversation: usize, side: Side) -> u16 {
    let offset = 2 * conversation + usize::from(side == Side::Server);
    20_000 + u16::try_from(offset % 10_000).unwrap_or(0)
}

fn refused_by(hosts: &[Host]) -> u64 {
    hosts.iter().map(Host::refused_count).sum()
}

fn losses_of(cables: &[Cable]) -> (u64, u64) {
    let all = cables.iter().flat_map(|cable| &cable.ways).map(Link::counters);
    all.fold((0, 0), |(lost, corrupted), counters| {
        let flipped = counters.corrupted.get();
        (lost + counters.dropped_total() + flipped, corrupted + flipped)
    })
}

const fn failure(at: Instant, kind: FailureKind) -> Failure {
    Failure { at, kind }
}
