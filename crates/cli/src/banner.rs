//! What a person reads when the stack is up: both ends' addresses, and what to type next.

use std::fmt;
use std::net::IpAddr;

use netloom_wire::Cidr;

use crate::interface_report::InterfaceReport;
use crate::settings::addressing::is_on_link;

/// The port that a URL need not name.
const HTTP_PORT: u16 = 80;

/// The text, ending in a line break.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    /// The interface.
    pub(crate) interfaces: Vec<InterfaceReport>,
    /// `tap` or `tun`.
    pub(crate) kind: &'static str,
    /// The kernel's addresses.
    pub(crate) host: &'a [Cidr],
    /// The stack's addresses.
    pub(crate) own: &'a [Cidr],
    /// Where the HTTP service listens, if it does.
    pub(crate) http_port: Option<u16>,
    /// Where to type: `, in another terminal`, or nothing.
    pub(crate) place: &'static str,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interfaces, kind, host, own, http_port, place } = self;
        for interface in interfaces {
            let InterfaceReport { name, mtu_bytes, .. } = interface;
            writeln!(f, "{name} ({kind}, MTU {mtu_bytes}, {})", interface.choice())?;
        }
        writeln!(f, "  kernel   {}", join(host))?;
        writeln!(f, "  netloom  {}", join(own))?;
        // The others are reached by a route, if there is one.
        let reached: Vec<&Cidr> = own.iter().filter(|&&cidr| is_on_link(cidr, host)).collect();
        if reached.is_empty() {
            return Ok(());
        }
        writeln!(f, "Type next{place}:")?;
        for cidr in &reached {
            writeln!(f, "  ping {}", cidr.address())?;
        }
        if let Some(port) = *http_port {
            for cidr in &reached {
                writeln!(f, "  curl {}", url(cidr.address(), port))?;
            }
        }
        Ok(())
    }
}

/// The address's front page, as a shell takes it.
fn url(address: IpAddr, port: u16) -> String {
    let port = if port == HTTP_PORT { String::new() } else { format!(":{port}") };
    match address {
        IpAddr::V4(four) => format!("http://{four}{port}/"),
        // Quoted: brackets are patterns to a shell.
        IpAddr::V6(six) => format!("'http://[{six}]{port}/'"),
    }
}

fn join(list: &[Cidr]) -> String {
    if list.is_empty() {
        return "no address".to_owned();
    }
    list.iter().map(Cidr::to_string).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface_report::samples;

    #[test]
    fn it_says_what_to_type() {
        assert_eq!(
            banner(&["10.0.0.1/24", "fd00::1/64"]),
            "netloom0 (tap, MTU 1500, 2 queues, offload full: checksums, TCP segments over IPv4 and IPv6, UDP segments)\n  \
             kernel   10.0.0.1/24  fd00::1/64\n  netloom  10.0.0.2/24  fd00::2/64\nType next:\n  \
             ping 10.0.0.2\n  ping fd00::2\n  curl http://10.0.0.2:8080/\n  curl 'http://[fd00::2]:8080/'\n"
        );
    }

    #[test]
    fn what_the_kernel_does_not_find_is_not_to_be_typed() {
        let text = banner(&["10.0.0.1/24"]);
        let typed =
            "  netloom  10.0.0.2/24  fd00::2/64\nType next:\n  ping 10.0.0.2\n  curl http://10.0.0.2:8080/\n";
        assert!(text.ends_with(typed), "{text}");
        let text = banner(&[]);
        assert!(text.ends_with("  kernel   no address\n  netloom  10.0.0.2/24  fd00::2/64\n"), "{text}");
    }

    /// The text of a stack with an address of either family, where the kernel has these.
    fn banner(host: &[&str]) -> String {
        let cidr = |text: &&str| text.parse::<Cidr>().unwrap();
        let host: Vec<_> = host.iter().map(cidr).collect();
        let banner = Banner {
            interfaces: vec![samples::tap()],
            kind: "tap",
            host: &host,
            own: &["10.0.0.2/24", "fd00::2/64"].map(|text| cidr(&text)),
            http_port: Some(8080),
            place: "",
        };
        banner.to_string()
    }
}
