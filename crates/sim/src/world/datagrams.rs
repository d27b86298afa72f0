//! Flows of datagrams that are sent back, each byte checked.

use core::net::SocketAddr;
use core::time::Duration;

use netloom_stack::transport::{UdpBind, UdpBindError, UdpSocketId};

use super::flow::Flow;
use super::host::{Host, address};
use super::{Due, World};
use crate::failure::{Failure, FailureKind};
use crate::pattern::{MAX_RUN, Stream};
use crate::scenario::DatagramPlan;

/// Where datagrams are sent back.
const ECHO_PORT: u16 = 7;
/// The port of the first flow; each has its own.
const FIRST_PORT: u16 = 15_000;
/// Bytes of the number that each datagram begins with.
const NUMBER_LEN: usize = 8;
/// How long after the last datagram its echo is awaited: longer than any queue and delay.
const PATIENCE: Duration = Duration::from_secs(60);

impl World<'_> {
    /// Opens the sockets of all flows.
    pub(super) fn set_up_datagrams(&mut self) -> Result<(), Failure> {
        for (number, plan) in self.scenario.datagrams.iter().enumerate() {
            let cable = self.scenario.cables.iter().position(|cable| cable.ends.contains(&plan.server));
            let own = address(cable.unwrap_or(0), plan.server, plan.is_ipv6);
            let target = own.map_err(|error| self.bad_scenario(&error))?.address();
            self.flows.push(Flow {
                socket: None,
                target: SocketAddr::new(target, ECHO_PORT),
                stream: Stream::new(5_000 + number),
                next: 0,
                returned: vec![0; plan.count as usize],
                is_over: false,
            });
            self.agenda.insert((self.now + plan.at, Due::Datagram(number)));
        }
        for host in 0..self.hosts.len() {
            self.bind_datagrams(host)?;
        }
        Ok(())
    }

    /// Opens the sockets of one host.
    pub(super) fn bind_datagrams(&mut self, number: usize) -> Result<(), Failure> {
        let now = self.now;
        let Self { scenario, hosts, flows, .. } = self;
        let Some(host) = hosts.get_mut(number) else { return Ok(()) };
        let bad = |error| super::failure(now, FailureKind::BadScenario(format!("{error:?}")));
        if scenario.datagrams.iter().any(|plan| plan.server == number) {
            host.echo = Some(bind(host, ECHO_PORT).map_err(bad)?);
        }
        for (index, (plan, flow)) in scenario.datagrams.iter().zip(flows).enumerate() {
            if plan.client == number {
                let port = FIRST_PORT + u16::try_from(index).unwrap_or(0);
                flow.socket = Some(bind(host, port).map_err(bad)?);
            }
        }
        Ok(())
    }

    /// Sends the next datagram of a flow; after the last, once its echo had its time, the flow is over.
    pub(super) fn send_datagram(&mut self, number: usize) -> Result<(), Failure> {
        let (Some(plan), Some(flow)) = (self.scenario.datagrams.get(number), self.flows.get_mut(number))
        else {
            return Ok(());
        };
        if flow.next == plan.count {
            flow.is_over = true;
            return Ok(());
        }
        let mut bytes = u64::from(flow.next).to_be_bytes().to_vec();
        bytes.extend_from_slice(flow.stream.at(flow.next.into(), plan.len.saturating_sub(NUMBER_LEN)));
        flow.next += 1;
        let again = if flow.next == plan.count { PATIENCE } else { plan.every };
        self.agenda.insert((self.now + again, Due::Datagram(number)));
        let (Some(host), Some((shard, socket))) = (self.hosts.get_mut(plan.client), flow.socket) else {
            return Ok(());
        };
        host.is_touched = true;
        let Some(stack) = host.shards.stacks.get_mut(shard) else { return Ok(()) };
        // What it refuses (an ICMP error came back for an earlier one) is lost, as on a cable.
        let _ = stack.udp().send_to(socket, flow.target, None, &bytes);
        Ok(())
    }

    /// Reads all that has come to a socket: sends it back, or checks what was sent back.
    pub(super) fn read_datagrams(
        &mut self,
        number: usize,
        shard: usize,
        socket: UdpSocketId,
    ) -> Result<(), Failure> {
        let now = self.now;
        let Self { scenario, hosts, flows, buffer, .. } = self;
        let Some(host) = hosts.get_mut(number) else { return Ok(()) };
        host.is_touched = true;
        let is_echo = host.echo == Some((shard, socket));
        let Some(stack) = host.shards.stacks.get_mut(shard) else { return Ok(()) };
        let mut udp = stack.udp();
        while let Ok(received) = udp.recv_from(socket, buffer) {
            let bytes = buffer.get(..received.len).unwrap_or_default();
            if is_echo {
                let _ = udp.send_to(socket, received.remote, Some(received.local.ip()), bytes);
                continue;
            }
            let is_owner = |(plan, flow): &(&DatagramPlan, &mut Flow)| {
                plan.client == number && flow.socket == Some((shard, socket))
            };
            let mut all = scenario.datagrams.iter().zip(flows.iter_mut()).enumerate();
            let Some((index, (plan, flow))) = all.find(|(_, it)| is_owner(it)) else { continue };
            let Some((place, text)) =
                bytes.split_first_chunk().map(|(it, text)| (u64::from_be_bytes(*it), text))
            else {
                return Err(super::failure(now, FailureKind::WrongDatagram { flow: index }));
            };
            let is_right = place < u64::from(flow.next)
                && bytes.len() == plan.len.min(NUMBER_LEN + MAX_RUN)
                && received.remote == flow.target
                && flow.stream.mismatch(place, text).is_none();
            let count = usize::try_from(place).ok().and_then(|place| flow.returned.get_mut(place));
            match count {
                Some(count) if is_right => *count += 1,
                Some(_) | None => {
                    return Err(super::failure(now, FailureKind::WrongDatagram { flow: index }));
                }
            }
        }
        Ok(())
    }

    /// The flows of datagrams, and how often each datagram came back.
    pub(crate) fn flows(&self) -> &[Flow] {
        &self.flows
    }
}

/// Opens a socket at the shard that its port belongs to.
fn bind(host: &mut Host, port: u16) -> Result<(usize, UdpSocketId), UdpBindError> {
    let shard = host.shards.owner_of_port(port);
    let stack = host.shards.stacks.get_mut(shard).ok_or(UdpBindError::AddressInUse)?;
    Ok((shard, stack.udp().bind(UdpBind::new(None, port))?))
}
