//! A connection's part in Fast Open (RFC 7413): data that goes with a SYN, on either side.
//!
//! # Theory of operation
//! Only connections that take part have a [`FastOpen`]. A client's says what goes into its SYN, and after the answer what is to
//! be remembered of it; a server's, that a good cookie has opened the connection before its handshake was done. `layer.rs` takes
//! the outcome when the handshake ends, one way or the other.
//!
//! ```text
//! client                                        server
//! SYN-SENT     -- SYN, cookie, data -->         SYN-RECEIVED: data is readable, and answers may leave
//! ESTABLISHED  <-- SYN, ACK of SYN and data --
//!              <-- data --
//!              -- ACK -->                       ESTABLISHED
//! ```
//!
//! # Not here
//! Cookies (`fast_open_secret.rs`, `fast_open_cache.rs`), what a client does (`fast_open_client.rs`) and a server
//! (`fast_open_server.rs`).

use netloom_base::SlabId;
use netloom_wire::{FastOpenCookie, SeqNumber};

use super::reason::FastOpenFallback;

/// What a connection that takes part remembers.
#[derive(Clone, Debug)]
pub(super) struct FastOpen {
    pub(super) role: Role,
    /// Whether data of the SYN was acknowledged by the SYN-ACK.
    pub(super) has_carried_data: bool,
    /// Why it went on as usual, if it did.
    pub(super) fallback: Option<FastOpenFallback>,
}

/// Which side it is.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// It sends the SYN.
    Client(Attempt),
    /// A good cookie came. `pending`: the listener among whose unfinished ones it counts; `offer`: a newer cookie for the
    /// SYN-ACK.
    Server { pending: Option<SlabId>, offer: Option<FastOpenCookie> },
    /// It has had its chance, and is like any other.
    Bystander,
}

/// What a client tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// What its SYN shows; empty: it asks for a cookie.
    pub(super) cookie: FastOpenCookie,
    /// The most that the server takes in a segment, as it is remembered.
    pub(super) mss: u16,
    /// Whether the SYN waits for the user to write something.
    pub(super) is_held: bool,
    /// Where the SYN's data ends, once it was sent.
    pub(super) data_end: Option<SeqNumber>,
    /// The cookie that the SYN-ACK brought.
    pub(super) learned: Option<FastOpenCookie>,
    /// Whether what came of it has not been remembered yet.
    pub(super) is_open: bool,
}

impl FastOpen {
    pub(super) const fn new(role: Role) -> Self {
        Self { role, has_carried_data: false, fallback: None }
    }
}
