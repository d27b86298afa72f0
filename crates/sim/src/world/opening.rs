//! How conversations begin.

use core::net::SocketAddr;

use netloom_base::Instant;
use netloom_stack::transport::{Accepted, TcpBind, TcpConfig, TcpCounters};

use super::{Due, World, failure, own_port};
use crate::conversation::end::End;
use crate::conversation::{Conversation, Side};
use crate::failure::{Failure, FailureKind};
use crate::pattern::Stream;
use crate::scenario::{ListenerPlan, Opening};

/// Whether windows begin narrower than they may become.
const fn is_tuned(tcp: &TcpConfig) -> bool {
    tcp.first_window < tcp.receive_buffer
}

impl World<'_> {
    pub(super) fn set_up_conversations(&mut self) -> Result<(), Failure> {
        for (number, plan) in self.scenario.conversations.iter().enumerate() {
            let (up, down) = (Stream::new(2 * number), Stream::new(2 * number + 1));
            let target = self.address_of(plan, plan.server)?;
            let listens =
                |listener: &ListenerPlan| listener.host == plan.server && listener.port == plan.port;
            let (port, is_awaited) = match plan.opening {
                Opening::Listener => (plan.port, self.scenario.listeners.iter().any(listens)),
                Opening::Simultaneous => (own_port(number, Side::Server), true),
            };
            let mut client = End::new(plan.client, plan.client_plan.clone(), up, down);
            let mut server = End::new(plan.server, plan.server_plan.clone(), down, up);
            for end in [&mut client, &mut server] {
                if self.scenario.hosts.get(end.host).is_some_and(|host| is_tuned(&host.tcp)) {
                    end.watch();
                }
            }
            self.conversations.push(Conversation {
                client,
                server,
                target: SocketAddr::new(target, port),
                is_awaited,
            });
            self.agenda.insert((Instant::ZERO + plan.at, Due::Connect(number)));
        }
        for (number, change) in self.scenario.changes.iter().enumerate() {
            self.agenda.insert((Instant::ZERO + change.at, Due::Change(number)));
        }
        for (number, restart) in self.scenario.restarts.iter().enumerate() {
            self.agenda.insert((Instant::ZERO + restart.at, Due::Restart(number)));
        }
        Ok(())
    }

    pub(super) fn connect(&mut self, number: usize) -> Result<(), Failure> {
        let was_open = self.is_any_open();
        self.note_progress(was_open);
        let Some(plan) = self.scenario.conversations.get(number) else { return Ok(()) };
        let Some(target) = self.conversations.get(number).map(|it| it.target) else { return Ok(()) };
        let (lost, _) = self.losses();
        match plan.opening {
            Opening::Listener => {
                if let Some(local) = self.open(number, Side::Client, None, target)? {
                    self.hearing.begin(self.now, lost, number, local, target);
                    self.expected.insert((local, target, self.now), number);
                }
            }
            Opening::Simultaneous => {
                let port = own_port(number, Side::Client);
                let client = SocketAddr::new(self.address_of(plan, plan.client)?, port);
                self.hearing.begin(self.now, lost, number, client, target);
                self.open(number, Side::Client, Some(client), target)?;
                self.open(number, Side::Server, Some(target), client)?;
            }
        }
        Ok(())
    }

    /// Lets an end connect to `target`, from `own` or from any port; the local address.
    fn open(
        &mut self,
        number: usize,
        side: Side,
        own: Option<SocketAddr>,
        target: SocketAddr,
    ) -> Result<Option<SocketAddr>, Failure> {
        let (Some(plan), Some(conversation)) =
            (self.scenario.conversations.get(number), self.conversations.get_mut(number))
        else {
            return Ok(None);
        };
        let (end, _) = conversation.ends(side);
        let Some(host) = self.hosts.get_mut(end.host) else { return Ok(None) };
        host.is_touched = true;
        let shard = match own {
            // Where the connection belongs.
            Some(own) => host.shards.owner_of_flow(own, target),
            // Any: it takes a port that makes the connection its own.
            None => host.take_turn(),
        };
        let Some(stack) = host.shards.stacks.get_mut(shard) else { return Ok(None) };
        let mut tcp = stack.tcp();
        let port = own.map_or(0, |own| own.port());
        let socket = tcp
            .connect(self.now, TcpBind { address: None, port }, target, &plan.options)
            .map_err(|error| failure(self.now, FailureKind::NoConnection(error)))?;
        let local = tcp.local_addr(socket);
        end.begin(self.now, shard, socket);
        self.sockets.insert((end.host, shard, socket), (number, side));
        self.called.push_back((number, side));
        Ok(local)
    }

    /// Accepts what waits at a listener: all of it, or one if its application is slow.
    pub(super) fn accept(&mut self, number: usize) -> Result<(), Failure> {
        let Some(plan) = self.scenario.listeners.get(number) else { return Ok(()) };
        if self.busy_until.get(number).is_some_and(|until| *until > self.now) {
            return Ok(());
        }
        let now = self.now;
        loop {
            let Some((shard, accepted, opened_at)) = self.accept_any(number) else { return Ok(()) };
            let Accepted { id, remote, local } = accepted;
            let begun = (remote, local, Instant::ZERO)..=(remote, local, opened_at);
            let known =
                self.expected.range(begun).next_back().map(|(key, &conversation)| (*key, conversation));
            let Some((key, conversation)) = known else {
                // A late copy of a segment that brings a cookie back opens the connection again, and so does one of a SYN with
                // a Fast Open cookie: that is what they cost.
                let opens_late =
                    |it: &TcpCounters| it.syn_cookies_sent.get() + it.fast_opens_received.get() > 0;
                if self.tcp_counters(plan.host).iter().any(opens_late) {
                    if let Some(stack) = self.shards(plan.host).and_then(|it| it.stacks.get_mut(shard)) {
                        stack.tcp().abort(now, id);
                    }
                    continue;
                }
                return Err(self.failure(FailureKind::UnknownPeer { host: plan.host, remote }));
            };
            self.expected.remove(&key);
            self.sockets.insert((plan.host, shard, id), (conversation, Side::Server));
            if let Some(talk) = self.conversations.get_mut(conversation) {
                talk.server.begin(self.now, shard, id);
            }
            self.note_progress(true);
            self.called.push_back((conversation, Side::Server));
            if !plan.accept_every.is_zero() {
                let until = self.now + plan.accept_every;
                self.agenda.insert((until, Due::Accept(number)));
                if let Some(busy_until) = self.busy_until.get_mut(number) {
                    *busy_until = until;
                }
                return Ok(());
            }
        }
    }

    /// Accepts a connection at any shard, the one after the last first; its shard, and when it began.
    fn accept_any(&mut self, number: usize) -> Option<(usize, Accepted, Instant)> {
        let host = self.hosts.get_mut(self.scenario.listeners.get(number)?.host)?;
        let parts = self.listeners.get(number)?;
        for _ in parts {
            let shard = host.take_turn();
            let (stack, &listener) = host.shards.stacks.get_mut(shard).zip(parts.get(shard))?;
            if let Some(accepted) = stack.tcp().accept(listener) {
                host.is_touched = true;
                let opened_at = stack.tcp().info(accepted.id).map_or(self.now, |info| info.opened_at);
                return Some((shard, accepted, opened_at));
            }
        }
        None
    }
}
