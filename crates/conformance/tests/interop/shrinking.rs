//! A path that gets narrower while 10 MB are on their way in each direction and each role: by a wire between two routers, which say
//! so with ICMP, or by a black hole, where nobody says anything.
//!
//! smoltcp hears nothing of a path's MTU: of ICMP's errors it passes on what an ICMP socket asks for, and drops the rest
//! (`process_icmpv4` and `process_icmpv6` in its `iface/interface`), and its TCP sends segments of the MSS of the handshake for as long as a
//! connection lives, also after a timeout. No TCP of its own could get through a path that narrows. So with smoltcp only the
//! way from us narrows; what it sends comes by the way that it knows.

use std::process::Command;

use netloom::Net;
use netloom::device::{Offload, TunTap, TunTapConfig};
use netloom::stack::Medium;
use smoltcp::wire::IpCidr;
use tokio::task::spawn_blocking;

use crate::conversation::{self, Effort, Progress, a_third_has_come, both_roles, with_kernel, with_smoltcp};
use crate::ground::{self, Device, FAMILIES, Ground, Link, Namespace, beside_us, family_count, ip, nodad};
use crate::smoltcp_peer::Site;
use crate::{Named, block_on};

/// The MTU before.
const WIDE: u16 = 1500;
/// And after: as narrow as IPv6 allows, and more than the 1024 bytes at which the kernel begins to search, with the headers.
const NARROW: u16 = 1280;

/// Between the routers, and behind the second: `(network, the first host, the second)`.
const BETWEEN: [[&str; 3]; 2] =
    [["10.1.0.0/24", "10.1.0.1", "10.1.0.2"], ["fd01::/64", "fd01::1", "fd01::2"]];
const BEHIND: [[&str; 3]; 2] = [["10.2.0.0/24", "10.2.0.1", "10.2.0.2"], ["fd02::/64", "fd02::1", "fd02::2"]];

pub(crate) fn cases(offload: Offload) -> Vec<Named> {
    let named = |number: usize, name: &str, run: fn(Device)| -> Named {
        let device = Device::of_case(number, offload);
        (format!("{name}, {device}"), Box::new(move || run(device)))
    };
    vec![
        named(1, "kernel mtu shrinks to 1280 in a black hole", kernel_in_black_hole),
        named(0, "smoltcp mtu shrinks to 1280 in a black hole", smoltcp_in_black_hole),
        named(3, "kernel mtu shrinks to 1280 behind a router", |device| {
            kernel_behind_routers(NARROW, device);
        }),
        named(2, "kernel mtu shrinks to 576 behind a router", |device| {
            kernel_behind_routers(576, device);
        }),
        named(4, "smoltcp mtu shrinks to 1280 behind a router", smoltcp_behind_a_router),
    ]
}

/// Writes into the calling thread's `/proc/sys/net`.
fn set(file: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{file}"), value).expect("a setting");
}

fn forward() {
    set("ipv4/ip_forward", "1");
    set("ipv6/conf/all/forwarding", "1");
}

/// A wire from `near` to `far`, with an interface of the name at each end and both addresses of each network.
fn wire(near: &Namespace, far: &Namespace, names: [&str; 2], networks: &[[&str; 3]; 2]) {
    let [near_name, far_name] = names;
    near.enter(|| ip(&format!("link add {near_name} type veth peer name {far_name} netns {}", far.path())));
    for (place, namespace, name) in [(1, near, near_name), (2, far, far_name)] {
        namespace.enter(|| {
            for (network, family) in networks.iter().zip(&FAMILIES) {
                let address = network[place];
                ip(&format!("address add {address}/{} dev {name}{}", family.prefix_len, nodad(address)));
            }
            ip(&format!("link set {name} up"));
        });
    }
}

/// netloom's address and the peer's behind the routers, in each family.
fn behind_routers() -> [[&'static str; 2]; 2] {
    [0, 1].map(|index| [FAMILIES[index].ours, BEHIND[index][2]])
}

/// What our stack knows of the way to `address`.
fn known_mtu(net: &Net, address: &str) -> u16 {
    let address = address.parse().expect("an address");
    let known = net.inspect(|stack| stack.internet().path(None, address).expect("a route").mtu);
    known.into_iter().min().expect("a shard")
}

/// What the kernel of the calling thread's namespace says of the way to `address`.
fn kernels_route(address: &str) -> String {
    let output = Command::new("ip").args(["route", "get", address]).output().expect("iproute2 is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `netloom == the cable == router -- wire that gets narrower -- router -- the kernel`
fn kernel_behind_routers(narrow: u16, device: Device) {
    let Some(ground) = Ground::new(WIDE, device) else { return };
    let link = Link::start("delay=1ms");
    // IPv6 leaves a wire that is too narrow for it.
    let pairs: Vec<_> = behind_routers().into_iter().take(family_count(narrow)).collect();
    let plan = both_roles(&pairs);
    block_on(async {
        let (one, other, far) = (ground.far_namespace(), Namespace::new(), Namespace::new());
        wire(&one, &other, ["w0", "w1"], &BETWEEN);
        wire(&other, &far, ["x0", "x1"], &BEHIND);
        one.enter(forward);
        other.enter(forward);
        for (family, (between, behind)) in FAMILIES.iter().zip(BETWEEN.iter().zip(&BEHIND)) {
            one.enter(|| ip(&format!("route add {} via {}", behind[0], between[2])));
            other.enter(|| ip(&format!("route add {} via {}", family.network, between[1])));
            far.enter(|| ip(&format!("route add {} via {}", family.all, behind[1])));
        }
        let net = ground.start().expect("a stack");
        for [_, theirs] in &pairs {
            assert_eq!(known_mtu(&net, theirs), WIDE, "nothing is known before");
        }
        let progress = conversation::progress(&plan);
        let shrink = async {
            a_third_has_come(&progress).await;
            one.enter(|| ip(&format!("link set w0 mtu {narrow}")));
            other.enter(|| ip(&format!("link set w1 mtu {narrow}")));
        };
        tokio::join!(with_kernel(&net, &far, &plan, Some(&progress)), shrink);
        for [ours, theirs] in pairs {
            assert_eq!(known_mtu(&net, theirs), narrow, "we have been told");
            let route = far.enter(|| kernels_route(ours));
            assert!(route.contains(&format!(" mtu {narrow} ")), "the kernel has been told: {route}");
        }
        conversation::end(net).await;
    });
    link.stop();
}

/// When a third has come, another cable is taken, through which less fits.
async fn change_cable(progress: &Progress) {
    a_third_has_come(progress).await;
    // Beside our stack, which must go on: if it answered late, the kernel's timer would stand at many times what that took.
    spawn_blocking(ground::change_cable).await.expect("it is changed");
}

/// How many black holes our TCP has found.
fn black_holes(net: &Net) -> u64 {
    net.inspect(|stack| stack.tcp().counters().black_holes.get()).into_iter().sum()
}

fn kernel_in_black_hole(device: Device) {
    let Some(ground) = Ground::new(WIDE, device) else { return };
    let wide = Link::start("delay=1ms");
    let narrow = ground.spare_link(&format!("delay=1ms,mtu={NARROW}"));
    let plan = both_roles(&beside_us(WIDE));
    block_on(async {
        let far = ground.far_namespace();
        far.enter(|| set("ipv4/tcp_mtu_probing", "1"));
        let net = ground.start().expect("a stack");
        let progress = conversation::progress(&plan);
        tokio::join!(with_kernel(&net, &far, &plan, Some(&progress)), change_cable(&progress),);
        assert!(black_holes(&net) > 0, "we have found it");
        conversation::end(net).await;
    });
    wide.stop();
    let counted = narrow.stop();
    assert!(counted.iter().all(|way| way["too-big"] > 0), "something has vanished: {counted:?}");
}

fn smoltcp_in_black_hole(device: Device) {
    let Some(ground) = Ground::new(WIDE, device) else { return };
    let wide = Link::start("delay=1ms");
    let narrow = ground.spare_link(&format!("delay=1ms,in:mtu={NARROW}"));
    let plan = both_roles(&beside_us(WIDE));
    block_on(async {
        let smoltcp = (ground.far_tap(), Site::near());
        let net = ground.start().expect("a stack");
        let progress = conversation::progress(&plan);
        let (smoltcp, ()) = tokio::join!(
            with_smoltcp(&net, smoltcp, &plan, Effort::USUAL, Some(&progress)),
            change_cable(&progress),
        );
        assert!(black_holes(&net) > 0, "we have found it");
        conversation::end(net).await;
        drop(smoltcp);
    });
    wide.stop();
    let [there, back] = narrow.stop();
    assert!(there["too-big"] > 0 && back["too-big"] == 0, "what vanished was ours: {there:?} {back:?}");
}

/// `netloom == the cable == router -- a TAP that gets narrower -- smoltcp`
fn smoltcp_behind_a_router(device: Device) {
    let Some(ground) = Ground::new(WIDE, device) else { return };
    let link = Link::start("delay=1ms");
    let pairs = behind_routers();
    let plan = both_roles(&pairs);
    block_on(async {
        let router = ground.far_namespace();
        let tap = router.enter(|| {
            forward();
            let config = TunTapConfig { kind: Medium::Ethernet, name: "s0".to_owned(), mtu: WIDE };
            let tap = TunTap::open(&config).expect("a TAP");
            ip("link set s0 txqueuelen 5000");
            for (network, family) in BEHIND.iter().zip(&FAMILIES) {
                ip(&format!("address add {}/{} dev s0{}", network[1], family.prefix_len, nodad(network[1])));
            }
            ip("link set s0 up");
            tap
        });
        let addresses = BEHIND.iter().zip(&FAMILIES);
        let addresses = addresses
            .map(|(network, family)| IpCidr::new(network[2].parse().expect("an address"), family.prefix_len));
        let gateways = BEHIND.map(|network| network[1].parse().expect("an address")).to_vec();
        let smoltcp = (tap, Site { addresses: addresses.collect(), gateways });
        let net = ground.start().expect("a stack");
        let progress = conversation::progress(&plan);
        let shrink = async {
            a_third_has_come(&progress).await;
            // A route, as the interface would narrow the way back too.
            for [_, theirs] in &pairs {
                router.enter(|| ip(&format!("route add {theirs} dev s0 mtu lock {NARROW}")));
            }
        };
        let (smoltcp, ()) =
            tokio::join!(with_smoltcp(&net, smoltcp, &plan, Effort::USUAL, Some(&progress)), shrink);
        for [_, theirs] in &pairs {
            assert_eq!(known_mtu(&net, theirs), NARROW, "we have been told");
        }
        conversation::end(net).await;
        drop(smoltcp);
    });
    link.stop();
}
