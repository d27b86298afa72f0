//! Link layer of netloom: Ethernet, ARP, neighbour cache.
#![forbid(unsafe_code)]
