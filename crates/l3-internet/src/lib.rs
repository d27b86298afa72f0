//! Internet layer of netloom: IPv4, IPv6, ICMP, NDP, routing, fragments.
#![forbid(unsafe_code)]
