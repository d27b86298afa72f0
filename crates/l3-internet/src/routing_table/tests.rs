//! Tests of the routing table, against a naive model and by hand.

use core::net::{Ipv4Addr, Ipv6Addr};

use netloom_base::Rng;
use proptest::prelude::*;

use super::*;

const IF0: InterfaceId = InterfaceId::new(0);
const IF1: InterfaceId = InterfaceId::new(1);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route(prefix: &str, gateway: Option<&str>, metric: u32) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        gateway: gateway.map(address),
        interface: IF0,
        metric,
        source: None,
    }
}

/// The same table as a list: a look-up compares every route.
#[derive(Default)]
struct Model(Vec<Route>);

impl Model {
    fn insert(&mut self, route: Route) -> Result<(), RouteError> {
        if self.0.iter().any(|it| it.is_same_way(route.prefix, route.gateway, route.interface)) {
            return Err(RouteError::Exists);
        }
        self.0.push(route);
        Ok(())
    }

    fn remove(&mut self, route: &Route) -> Option<Route> {
        let position =
            self.0.iter().position(|it| it.is_same_way(route.prefix, route.gateway, route.interface))?;
        Some(self.0.remove(position))
    }

    fn lookup(&self, destination: IpAddr, is_usable: impl Fn(&Route) -> bool) -> Option<&Route> {
        let mut best: Option<&Route> = None;
        for route in self.0.iter().filter(|route| route.prefix.contains(destination) && is_usable(route)) {
            let better = best.is_none_or(|best| {
                (route.prefix.prefix_len(), core::cmp::Reverse(route.metric))
                    > (best.prefix.prefix_len(), core::cmp::Reverse(best.metric))
            });
            if better {
                best = Some(route);
            }
        }
        best
    }
}

/// Few distinct bits, so that prefixes nest, collide and repeat.
fn clustered_address() -> impl Strategy<Value = IpAddr> {
    (any::<bool>(), any::<u8>(), 0u8..4).prop_map(|(is_v4, high, low)| {
        if is_v4 {
            Ipv4Addr::new(high & 0xc1, 0, 0, low).into()
        } else {
            Ipv6Addr::new(u16::from(high & 0xc1) << 8, 0, 0, 0, 0, 0, 0, u16::from(low)).into()
        }
    })
}

prop_compose! {
    fn clustered_route()(
        address in clustered_address(),
        len in 0u8..=128,
        gateway in 0u8..3,
        metric in 0u32..3,
    ) -> Route {
        let len = if address.is_ipv4() { len / 4 } else { len };
        let gateway = match (gateway, address) {
            (0, _) => None,
            (last, IpAddr::V4(_)) => Some(Ipv4Addr::new(10, 0, 0, last).into()),
            (last, IpAddr::V6(_)) => Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)).into()),
        };
        let interface = InterfaceId::new(u8::try_from(metric % 2).unwrap());
        let prefix = normalized(Cidr::new(address, len).unwrap());
        Route { prefix, gateway, interface, metric, source: None }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_list(
        operations in prop::collection::vec((any::<bool>(), clustered_route()), 0..120),
        destinations in prop::collection::vec(clustered_address(), 1..30),
    ) {
        let mut table = RoutingTable::new(1000);
        let mut model = Model::default();
        for (is_insert, route) in operations {
            if is_insert {
                prop_assert_eq!(table.insert(route), model.insert(route));
            } else {
                let removed = table.remove(route.prefix, route.gateway, route.interface);
                prop_assert_eq!(removed, model.remove(&route));
            }
            prop_assert_eq!(table.len(), model.0.len());
        }
        for &destination in &destinations {
            prop_assert_eq!(table.lookup(destination), model.lookup(destination, |_| true));
            let usable = |route: &Route| route.interface == IF0;
            prop_assert_eq!(table.lookup_where(destination, usable), model.lookup(destination, usable));
            let explained = table.explain(destination);
            prop_assert_eq!(explained.first().map(|&(route, _)| route), table.lookup(destination));
            prop_assert_eq!(
                explained.len(),
                model.0.iter().filter(|route| route.prefix.contains(destination)).count()
            );
        }
        let listed: Vec<Route> = table.iter().copied().collect();
        prop_assert_eq!(listed.len(), model.0.len());
        for route in &model.0 {
            prop_assert!(listed.contains(route));
        }
        for route in listed {
            prop_assert_eq!(table.remove(route.prefix, route.gateway, route.interface), Some(route));
        }
        prop_assert!(table.is_empty());
        for (used, _) in table.v4.usage().into_iter().chain(table.v6.usage()) {
            prop_assert_eq!(used, 0);
        }
        prop_assert!(table.groups.is_empty());
    }
}

// [1122-I094] [1122-I098]
#[test]
fn on_link_prefixes_come_before_the_default_gateway() {
    let mut table = RoutingTable::new(10);
    table.insert(route("0.0.0.0/0", Some("10.0.0.1"), 0)).unwrap();
    table.insert(route("10.0.0.2/24", None, 0)).unwrap();
    table.insert(route("::/0", Some("fe80::1"), 0)).unwrap();
    let hop = |to: &str| table.lookup(address(to)).map(|route| route.next_hop(address(to)));
    assert_eq!(hop("10.0.0.9"), Some(address("10.0.0.9")));
    assert_eq!(hop("192.0.2.1"), Some(address("10.0.0.1")));
    assert_eq!(hop("2001:db8::1"), Some(address("fe80::1")));
    assert_eq!(RoutingTable::new(1).lookup(address("10.0.0.9")), None);
}

// [1122-I099] [1122-I110]
#[test]
fn the_next_default_gateway_takes_over_from_a_dead_one() {
    let mut table = RoutingTable::new(10);
    let (first, second) =
        (route("0.0.0.0/0", Some("10.0.0.1"), 10), route("0.0.0.0/0", Some("10.0.0.3"), 20));
    table.insert(second).unwrap();
    table.insert(first).unwrap();
    let to = address("192.0.2.1");
    assert_eq!(table.lookup(to), Some(&first));
    assert_eq!(table.lookup_where(to, |route| route.gateway != first.gateway), Some(&second));
}

#[test]
fn every_verdict_is_explained() {
    let mut table = RoutingTable::new(10);
    for (prefix, gateway, metric) in [
        ("0.0.0.0/0", "10.0.0.1", 0),
        ("192.0.2.0/24", "10.0.0.2", 5),
        ("192.0.2.0/24", "10.0.0.3", 5),
        ("192.0.2.0/24", "10.0.0.4", 9),
        ("192.0.3.0/24", "10.0.0.4", 0),
    ] {
        table.insert(route(prefix, Some(gateway), metric)).unwrap();
    }
    let explained = table.explain(address("192.0.2.7"));
    let verdicts: Vec<Verdict> = explained.iter().map(|&(_, verdict)| verdict).collect();
    assert_eq!(verdicts, [Verdict::Wins, Verdict::CameLater, Verdict::LargerMetric, Verdict::ShorterPrefix]);
    assert_eq!(explained[0].0.to_string(), "192.0.2.0/24 via 10.0.0.2 dev if0 metric 5");
}

#[test]
fn what_cannot_be_is_refused() {
    let mut table = RoutingTable::new(2);
    assert_eq!(table.insert(route("10.0.0.0/8", Some("fe80::1"), 0)), Err(RouteError::FamilyMismatch));
    table.insert(route("10.0.0.5/8", None, 0)).unwrap();
    assert_eq!(table.insert(route("10.0.0.0/8", None, 7)), Err(RouteError::Exists));
    table.insert(Route { interface: IF1, ..route("10.0.0.0/8", None, 7) }).unwrap();
    assert_eq!(table.insert(route("10.0.0.0/9", None, 0)), Err(RouteError::Full));
    assert_eq!(table.remove_interface(IF1), 1);
    assert_eq!(table.len(), 1);
    assert_eq!(table.remove("10.0.0.0/8".parse().unwrap(), None, IF1), None);
}

/// 100,000 prefixes spread like the Internet's: most of 16 to 24 bits, and 32 to 48 in IPv6.
fn big_table(rng: &mut Rng, is_v4: bool) -> RoutingTable {
    let mut table = RoutingTable::new(100_000);
    table.insert(route(if is_v4 { "0.0.0.0/0" } else { "::/0" }, None, 0)).unwrap();
    while table.len() < 100_000 {
        let span = u8::try_from(rng.below(9)).unwrap();
        let prefix = if is_v4 {
            Cidr::new(Ipv4Addr::from_bits(rng.next_u32()).into(), 16 + span)
        } else {
            let bits = (0x2000 << 112) | (u128::from(rng.next_u64()) << 61);
            Cidr::new(Ipv6Addr::from_bits(bits).into(), 32 + 2 * span)
        };
        let _ = table.insert(Route::on_link(prefix.unwrap(), IF0));
    }
    table
}

// What makes a look-up fast is that it touches few nodes; the time itself is measured by the benchmarks.
#[test]
fn a_lookup_among_a_hundred_thousand_routes_touches_few_nodes() {
    for is_v4 in [true, false] {
        let mut rng = Rng::from_number(1);
        let table = big_table(&mut rng, is_v4);
        let (mut most, mut total) = (0, 0);
        for route in table.iter() {
            let visited = match route.prefix.address() {
                IpAddr::V4(it) => table.v4.visited(it.to_bits() | (rng.next_u32() >> 24)),
                IpAddr::V6(it) => table.v6.visited(it.to_bits() | u128::from(rng.next_u64())),
            };
            most = most.max(visited);
            total += visited;
        }
        assert!(most <= 9 && total / table.len() <= 6, "{most} at most, {} on average", total / table.len());
        let [(_, nodes), (_, values)] = if is_v4 { table.v4.usage() } else { table.v6.usage() };
        assert!(nodes < 250_000 && values < 200_000, "{nodes} nodes, {values} values");
    }
}
