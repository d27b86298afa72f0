//! Internet layer of netloom: IPv4, IPv6, ICMP, NDP, routing, fragments.
//!
//! # Theory of operation
//! [`Internet`] is one host's internet layer, sans-IO, for any number of interfaces and both families. Links hand in
//! packets ([`Internet::input`]); what is for a transport comes straight back as a [`Datagram`](netloom_wire::Datagram)
//! that borrows the packet, never the layer. Transports ask for a [path](Internet::path) and then either put their own
//! header in front of a segment ([`Internet::emit_header`]) or hand in a datagram to be sent whole or in fragments
//! ([`Internet::send`]). The layer's own packets wait in [`Internet::poll_transmit`], and what other layers must know in
//! [`Internet::poll_event`].
//!
//! # Limits
//! Every table and queue has its bound in [`InternetConfig`].
//!
//! # Not here
//! IGMP, router discovery and address configuration by routers, source routing, IPv4 options chosen by transports, jumbograms
//! (RFC 2675), IPsec. ARP is the link layer's, as is the neighbour cache.
#![forbid(unsafe_code)]

mod address_table;
mod addressee;
mod addressing;
mod any_destination;
mod config;
mod counters;
mod culprit;
mod destination_cache;
mod echo_socket;
mod echo_table;
mod event;
mod forwarding;
mod group_table;
mod icmp_error;
mod icmp_input;
mod identification;
mod input;
mod input_v4;
mod input_v6;
mod internet;
mod listener;
mod neighbor_discovery;
mod outbox;
mod output;
mod overheard;
mod packet;
mod path_cache;
mod rate_limit;
mod reassembly;
mod routing_table;
mod segmentation;
mod source_selection;

pub use address_table::{AddressError, AddressState, LocalAddress};
pub use config::{InterfaceConfig, InternetConfig};
pub use counters::InternetCounters;
pub use echo_table::{EchoId, EchoMessage, EchoOpenError, EchoSendError};
pub use event::{InternetEvent, OwnedIcmpError};
pub use internet::Internet;
pub use neighbor_discovery::SolicitOutcome;
pub use packet::{Arrival, Forward, Input, InternetOutput, IpSend, NoRoute, SendError};
pub use rate_limit::TokenBucket;
pub use reassembly::{
    ExpiredDatagram, Fragment, FragmentError, FragmentHeader, FragmentKey, Reassembler, ReassemblyConfig,
    ReassemblyCounters,
};
pub use routing_table::{Route, RouteError, RoutingTable, Verdict};
pub use source_selection::{CandidateState, SourceCandidate, SourceQuery, select_source};
