//! Internet layer of netloom: IPv4, IPv6, ICMP, NDP, routing, fragments.
#![forbid(unsafe_code)]

mod rate_limit;
mod reassembly;
mod routing_table;
mod source_selection;

pub use rate_limit::TokenBucket;
pub use reassembly::{
    ExpiredDatagram, Fragment, FragmentError, FragmentHeader, FragmentKey, Reassembler, ReassemblyConfig,
    ReassemblyCounters,
};
pub use routing_table::{Route, RouteError, RoutingTable, Verdict};
pub use source_selection::{CandidateState, SourceCandidate, SourceQuery, select_source};
