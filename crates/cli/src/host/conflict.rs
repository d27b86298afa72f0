//! Whether the addresses asked for are free on this host: pure, on a snapshot.
//!
//! A stack whose address the host has already would never hear a packet, because the kernel answers itself; one whose
//! network is routed elsewhere would take that network away from the host. Both are refused before anything is
//! made. A default route collides with nothing, nor do its two halves (`0.0.0.0/1` and `128.0.0.0/1`), by which
//! VPN clients cover the default route without replacing it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_wire::Cidr;

use super::snapshot::{Route, RouteAction, Snapshot};
use crate::failure::Failure;
use crate::settings::InterfaceChoice;
use crate::settings::addressing::Addressing;

/// Routes of at most so many bits are a default route or a half of one.
const DEFAULT_ROUTE_PREFIX_LEN_MAX: u8 = 1;

/// Refuses addresses that this host has, or networks that it routes elsewhere.
pub(crate) fn check_free(
    snapshot: &Snapshot,
    addressing: &Addressing,
    interface: &InterfaceChoice,
) -> Result<(), Failure> {
    check_addresses(snapshot, addressing, interface)?;
    for &range in addressing.own.iter().chain(&addressing.host) {
        let Some(route) = snapshot.routes.iter().find(|route| collides(route, range)) else { continue };
        let what = match (route.action, route.links.first()) {
            (RouteAction::Forward, Some(&link)) => {
                format!("is routed to {} already", snapshot.link_name(link))
            }
            (RouteAction::Forward, None) => "is routed elsewhere already".to_owned(),
            (RouteAction::Drop, _) => "is dropped by a route of this host".to_owned(),
        };
        return Err(refusal(
            &format!("{} {what} (route {})", show_network(range), route.destination),
            snapshot,
            addressing,
            interface,
        ));
    }
    Ok(())
}

/// Refuses addresses that this host has, and leaves routes alone: for an interface that an administrator set up.
pub(crate) fn check_own_free(
    snapshot: &Snapshot,
    addressing: &Addressing,
    interface: &InterfaceChoice,
) -> Result<(), Failure> {
    let own = Addressing { host: Vec::new(), ..addressing.clone() };
    let Some((address, link)) = taken(snapshot, &own) else { return Ok(()) };
    Err(Failure::new(format_args!(
        "{address} is an address of {link} already: type netloom up {interface} --address with another one of that network"
    )))
}

fn check_addresses(
    snapshot: &Snapshot,
    addressing: &Addressing,
    interface: &InterfaceChoice,
) -> Result<(), Failure> {
    match taken(snapshot, addressing) {
        None => Ok(()),
        Some((address, link)) => Err(refusal(
            &format!("{address} is an address of {link} already"),
            snapshot,
            addressing,
            interface,
        )),
    }
}

fn taken<'a>(snapshot: &'a Snapshot, addressing: &Addressing) -> Option<(IpAddr, &'a str)> {
    addressing.own.iter().chain(&addressing.host).find_map(|cidr| {
        let holder = snapshot.addresses.iter().find(|held| held.cidr.address() == cidr.address())?;
        Some((cidr.address(), snapshot.link_name(holder.link)))
    })
}

fn refusal(
    problem: &str,
    snapshot: &Snapshot,
    addressing: &Addressing,
    interface: &InterfaceChoice,
) -> Failure {
    let free = suggest(snapshot, addressing);
    let named = if interface.is_default() { String::new() } else { format!("{interface} ") };
    Failure::new(format_args!("{problem}: type netloom up {named}{}", free.flags()))
}

/// Whether packets to `range` would go by `route`, or the other way round.
fn collides(route: &Route, range: Cidr) -> bool {
    let narrow_enough = match route.action {
        RouteAction::Forward => route.destination.prefix_len() > DEFAULT_ROUTE_PREFIX_LEN_MAX,
        // A wider one is overruled by ours, which is what it is there for.
        RouteAction::Drop => route.destination.prefix_len() >= range.prefix_len(),
    };
    narrow_enough && overlap(route.destination, range)
}

fn overlap(one: Cidr, other: Cidr) -> bool {
    one.contains(other.address()) || other.contains(one.address())
}

fn show_network(cidr: Cidr) -> String {
    format!("{}/{}", cidr.network(), cidr.prefix_len())
}

/// Addresses of the same families that are free; what was asked for where it is free itself.
fn suggest(snapshot: &Snapshot, addressing: &Addressing) -> Addressing {
    let is_free = |range: Cidr| {
        let routed = snapshot.routes.iter().any(|route| collides(route, range));
        let held = snapshot.addresses.iter().any(|held| overlap(held.cidr, range));
        !routed && !held
    };
    let mut suggestion =
        Addressing { own: Vec::new(), host: Vec::new(), is_explicit: addressing.is_explicit };
    for (wants, candidates) in [
        (is_ipv4 as fn(&Cidr) -> bool, ipv4_candidates().collect::<Vec<_>>()),
        (is_ipv6 as fn(&Cidr) -> bool, ipv6_candidates().collect::<Vec<_>>()),
    ] {
        let own: Vec<Cidr> = addressing.own.iter().copied().filter(wants).collect();
        let host: Vec<Cidr> = addressing.host.iter().copied().filter(wants).collect();
        if own.is_empty() {
            continue;
        }
        if own.iter().chain(&host).all(|&cidr| is_free(cidr)) {
            suggestion.own.extend(own);
            suggestion.host.extend(host);
        } else if let Some((own, host)) = candidates.into_iter().find(|&(own, _)| is_free(own)) {
            suggestion.own.push(own);
            suggestion.host.push(host);
        }
    }
    suggestion
}

fn is_ipv4(cidr: &Cidr) -> bool {
    cidr.address().is_ipv4()
}

fn is_ipv6(cidr: &Cidr) -> bool {
    cidr.address().is_ipv6()
}

/// Private networks (RFC 1918), own address and host's.
fn ipv4_candidates() -> impl Iterator<Item = (Cidr, Cidr)> {
    let tens = (0..=255).map(|second| [10, second, 0]);
    let seventeens = (16..=31).map(|second| [172, second, 0]);
    let nineteens = (0..=255).map(|third| [192, 168, third]);
    tens.chain(seventeens).chain(nineteens).filter_map(|[a, b, c]| {
        let end = |last| Cidr::new(Ipv4Addr::new(a, b, c, last).into(), 24).ok();
        end(2).zip(end(1))
    })
}

/// Unique local networks (RFC 4193), own address and host's.
fn ipv6_candidates() -> impl Iterator<Item = (Cidr, Cidr)> {
    (0..=255).filter_map(|subnet| {
        let end = |last| Cidr::new(Ipv6Addr::new(0xfd00, 0, 0, subnet, 0, 0, 0, last).into(), 64).ok();
        end(2).zip(end(1))
    })
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{HostAddress, Link};
    use super::*;
    use netloom_base::Medium;

    fn interface() -> InterfaceChoice {
        InterfaceChoice { medium: Medium::Ethernet, name: "netloom0".into() }
    }

    fn defaults() -> Addressing {
        Addressing::from_texts(None, None).unwrap()
    }

    fn host(addresses: &[&str], routes: &[(&str, RouteAction)]) -> Snapshot {
        let link =
            |index, name: &str| Link { index, name: name.into(), mtu: 1500, is_up: true, is_running: true };
        Snapshot {
            links: vec![link(1, "lo"), link(2, "eth0")],
            addresses: addresses
                .iter()
                .map(|text| HostAddress { link: 2, cidr: text.parse().unwrap(), is_usable: true })
                .collect(),
            routes: routes
                .iter()
                .map(|(text, action)| Route {
                    destination: text.parse().unwrap(),
                    links: vec![2],
                    action: *action,
                })
                .collect(),
        }
    }

    #[test]
    fn a_free_host_takes_the_defaults() {
        use RouteAction::{Drop, Forward};
        for routes in [
            &[][..],
            &[("192.168.0.0/16", Forward), ("fd01::/64", Forward)],
            &[("0.0.0.0/1", Forward), ("128.0.0.0/1", Forward), ("::/0", Forward)],
            &[("10.0.0.0/8", Drop), ("fc00::/7", Drop)],
        ] {
            check_free(&host(&["192.168.1.5/24"], routes), &defaults(), &interface()).unwrap();
        }
    }

    #[test]
    fn an_address_in_use_is_refused_with_free_ones_to_type() {
        for (held, problem) in [
            ("10.0.0.2/24", "10.0.0.2 is an address of eth0 already"),
            ("10.0.0.1/8", "10.0.0.1 is an address of eth0 already"),
        ] {
            let line = check_free(&host(&[held], &[]), &defaults(), &interface()).unwrap_err().to_string();
            assert!(line.starts_with(problem), "{line}");
            assert!(line.contains("netloom up --address 1"), "{line}");
            assert!(line.contains("--address fd00::2/64") && !line.contains("--address 10.0.0."), "{line}");
        }
    }

    #[test]
    fn a_network_routed_elsewhere_is_refused() {
        use RouteAction::{Drop, Forward};
        for (route, action, words) in [
            ("10.0.0.0/8", Forward, "10.0.0.0/24 is routed to eth0 already (route 10.0.0.0/8)"),
            ("10.0.0.128/25", Forward, "(route 10.0.0.128/25)"),
            ("10.0.0.0/24", Drop, "dropped by a route"),
            ("fd00::/64", Forward, "fd00::/64 is routed to eth0"),
        ] {
            let snapshot = host(&[], &[(route, action)]);
            let line = check_free(&snapshot, &defaults(), &interface()).unwrap_err().to_string();
            assert!(line.contains(words), "{line}");
            let typed = suggest(&snapshot, &defaults());
            check_free(&snapshot, &typed, &interface()).unwrap();
        }
    }

    #[test]
    fn an_attached_interface_keeps_its_routes_and_addresses() {
        let snapshot = host(&["10.0.0.1/24"], &[("10.0.0.0/24", RouteAction::Forward)]);
        check_own_free(&snapshot, &defaults(), &interface()).unwrap();
        let snapshot = host(&["10.0.0.2/24"], &[]);
        assert!(check_own_free(&snapshot, &defaults(), &interface()).is_err());
    }
}
