//! TCP (RFC 9293), from LISTEN to TIME-WAIT.
//!
//! # Theory of operation
//! [`Tcp`] is sans-IO. Segments come in by [`Tcp::input`], the user's calls by `connect`, `listen`, `send`, `recv` and
//! their like, time by [`Tcp::handle_timeout`]; segments leave by [`Tcp::poll_transmit`], news for users by
//! [`Tcp::poll_event`], hints for the neighbour cache by [`Tcp::poll_advice`].
//!
//! The phases of a connection are different types, because their data differ:
//!
//! | phase | type | states |
//! |---|---|---|
//! | none | nothing: `reset.rs` answers | CLOSED |
//! | listening | `listener.rs` | LISTEN |
//! | half open | `syn_cache.rs`, 96 bytes, or `syn_cookie.rs`, none | SYN-RECEIVED, passive |
//! | live | `connection.rs`, about 800 bytes | SYN-SENT to LAST-ACK, CLOSING |
//! | dying | `time_wait.rs`, 64 bytes | TIME-WAIT |
//!
//! A connection is a record of small parts (`sender` with its `scoreboard`, `receiver`, `rack`,
//! `recovery`, `congestion`, `rtt`, `timers`), and its
//! behaviour is spread over files by topic: `input` (RFC 9293 3.10.7.4 step by step), `syn_sent`, `ack`, `loss`, `text`,
//! `output`, `timeouts`, `icmp`. They change the connection and note what follows; `layer` alone touches the tables and
//! queues afterwards, in `settle`.
//!
//! # Limits
//! Every table and queue has a bound in [`TcpConfig`]. A look-up is one hash; nothing walks all connections but the calls
//! for tools that say so. A timer that moves further away costs nothing, one that comes closer O(log n).
//!
//! # Not here
//! Source routes (RFC 9293 3.9.2.1) and what else is not done: specs/exceptions.tsv says why.

mod ack;
mod ack_policy;
mod answers;
mod arrival;
mod auto_cork;
mod bound;
mod buffering;
mod config;
mod congestion;
mod connection;
mod cookie_handshake;
mod counters;
mod deciding;
mod demux;
mod disorder;
mod ecn;
mod ecn_echo;
mod error;
mod fast_open;
mod fast_open_cache;
mod fast_open_client;
mod fast_open_secret;
mod fast_open_server;
mod icmp;
mod id;
mod info;
mod input;
mod isn;
mod layer;
mod listener;
mod listening;
mod loss;
mod loss_probe;
mod memory;
mod negotiation;
mod output;
mod pacing;
mod passive;
mod path_mtu;
mod path_search;
mod prr;
mod rack;
mod reading;
mod reason;
mod reassembly;
mod receiver;
mod recent;
mod recovery;
mod reporting;
mod reset;
mod rounds;
mod rtt;
mod sack;
mod scoreboard;
mod segment;
mod sender;
mod settings;
mod sockets;
mod spurious;
mod state;
mod statistics;
mod stragglers;
mod syn_cache;
mod syn_cookie;
mod syn_sent;
mod tally;
mod text;
mod time_wait;
mod timeouts;
mod timers;
mod transmit;
mod tuple;
mod window_tuner;

#[cfg(test)]
mod tests;

pub use config::{
    EcnMode, Keepalive, ListenOptions, SocketOptions, SynAnswer, SynCookieMode, TcpBind, TcpConfig,
    TxSegmentation,
};
pub use congestion::{Congestion, UnknownCongestion};
pub use connection::Origin;
pub use counters::TcpCounters;
pub use error::{ConnectError, ListenError, NoSuchSocket, RecvError, SendError, TcpError};
pub use fast_open_secret::FastOpenSecret;
pub use id::{
    Accepted, PathAdvice, PendingState, Recv, TcpEvent, TcpListenerId, TcpPending, TcpPendingId, TcpSocketId,
};
pub use info::{TcpInfo, TcpListenerInfo, TcpUsage};
pub use layer::Tcp;
pub use path_search::PathMtuSearch;
pub use reason::{
    ChallengeCause, EndReason, FastOpenFallback, IcmpIgnored, ProbeCause, ResetCause, RetransmitCause,
    RtoCause, SendBlockedBy,
};
pub use recovery::RecoveryPhase;
pub use segment::{PayloadRef, SegmentPlan};
pub use state::{Input as TcpInput, InvalidTransition, State as TcpState, next as next_state};
pub use tuple::FourTuple;
