//! Stacks that begin in a line: behind the kernel's interfaces, joined in memory, behind a tunnel; and what they are called by.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::Command;

use netloom::stack::Medium;
use netloom::{AddressDetection, Cidr, InterfaceConfig, IntoInterface, Net, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[path = "sockets/leaks.rs"]
mod leaks;
#[path = "interfaces/namespace.rs"]
mod namespace;

use namespace::{in_namespace, run};

/// What `ip` says to these arguments in the thread's namespace, if it is content.
fn ip(arguments: &str) -> Option<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The kernel's sockets talk to those of a stack behind the interface of this kind that `start` makes.
fn talks_to_the_kernel(kind: &str, start: fn() -> io::Result<Net>) {
    let commands = ["addr add 10.0.0.1/24 dev nl0", "addr add fd00::1/64 dev nl0 nodad", "link set nl0 up"];
    in_namespace(&[], || async move {
        let net = start().unwrap();
        assert!(ip("link show nl0").unwrap().contains(kind));
        for command in commands {
            ip(command).expect(command);
        }
        let listener = net.tcp_listen("[::]:7").await.unwrap();
        for server in ["10.0.0.2:7", "[fd00::2]:7"] {
            let (outgoing, accepted) = tokio::join!(TcpStream::connect(server), listener.accept());
            let (mut outgoing, (mut incoming, peer)) = (outgoing.unwrap(), accepted.unwrap());
            assert_eq!(peer, outgoing.local_addr().unwrap());
            outgoing.write_all(b"hello").await.unwrap();
            outgoing.shutdown().await.unwrap();
            let mut text = String::new();
            incoming.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
        }
        drop(listener);
        leaks::end([net]).await;
        assert_eq!(ip("link show nl0"), None, "it goes with the stack");
    });
}

#[test]
fn a_tap_in_a_line_talks_to_the_kernel() {
    talks_to_the_kernel("link/ether", || Net::tap("nl0", ["10.0.0.2/24", "fd00::2/64"]));
}

#[test]
fn a_tun_in_a_line_talks_to_the_kernel() {
    talks_to_the_kernel("link/none", || Net::tun("nl0", ["10.0.0.2/24", "fd00::2/64"]));
}

#[test]
fn two_stacks_in_a_line_talk_over_both_versions_of_ip() {
    run(async {
        let (server, client) =
            Net::pair(["10.0.0.1/24", "fd00::1/64"], ["10.0.0.2/24", "fd00::2/64"]).unwrap();
        let listener = server.tcp_listen(("::", 80)).await.unwrap();
        for address in ["10.0.0.1:80", "[fd00::1]:80"] {
            let outgoing = client.tcp_connect(address).await.unwrap();
            assert_eq!(listener.accept().await.unwrap().1, outgoing.local_addr().unwrap());
        }
        drop(listener);
        leaks::end([server, client]).await;
    });
}

#[test]
fn of_several_addresses_the_first_that_will_do_is_taken() {
    run(async {
        let (server, client) = Net::pair("10.0.0.1/24", "10.0.0.2/24").unwrap();
        let addresses: [SocketAddr; 3] =
            ["10.0.0.1:81", "10.0.0.1:80", "10.0.0.1:82"].map(|address| address.parse().unwrap());
        let nobodys: [SocketAddr; 2] = ["10.0.0.9:80", "10.0.0.1:80"].map(|address| address.parse().unwrap());
        let listener = server.tcp_listen(&nobodys[..]).await.unwrap();
        assert_eq!(listener.local_addr().unwrap(), nobodys[1]);
        let outgoing = client.tcp_connect(&addresses[..]).await.unwrap();
        assert_eq!(outgoing.peer_addr().unwrap(), addresses[1]);
        let socket = server.udp_bind(&nobodys[..]).await.unwrap();
        assert_eq!(socket.local_addr().unwrap(), nobodys[1]);
        let incoming = server.tcp_incoming(&addresses[1..]).await.unwrap();
        assert_eq!(incoming.local_addr().unwrap(), addresses[2], "the first is listened on");
        // The last one's error, and none for none.
        let refused = client.tcp_connect(&addresses[..1]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let none = client.tcp_connect(&addresses[..0]).await.unwrap_err();
        assert_eq!(none.kind(), ErrorKind::InvalidInput);
        drop((listener, outgoing, socket, incoming));
        leaks::end([server, client]).await;
    });
}

#[test]
fn an_interface_is_what_its_addresses_say() {
    let cidr: Cidr = "10.0.0.2/24".parse().unwrap();
    for config in [cidr.into_interface(), "10.0.0.2/24".into_interface(), ["10.0.0.2/24"].into_interface()] {
        let InterfaceConfig { addresses, gateways, link_address, detection, accept_any } = config.unwrap();
        assert_eq!((addresses, detection), (vec![cidr], AddressDetection::Optimistic));
        assert!(gateways.is_empty() && link_address.is_none() && !accept_any);
    }
}

#[test]
fn what_is_no_address_is_told_when_the_stack_starts() {
    run(async {
        for (text, why) in
            [("10.0.0.2", "prefix length"), ("10.0.0.2/33", "32"), ("ten/8", "address"), ("", "prefix")]
        {
            let (device, _tunnel) = Tunnel::pair(Medium::Ip, 1400).unwrap();
            for error in [
                Net::builder().interface(device, text).start().unwrap_err(),
                Net::pair("10.0.0.1/24", text).unwrap_err(),
                Net::tunnel(1400, text).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                let said = error.to_string();
                assert!(said.contains(&format!("{text:?}")) && said.contains(why), "{said}");
            }
        }
    });
}
