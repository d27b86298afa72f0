//! Who asks for echoes: the sockets, found by their identifiers, and what waits in them (RFC 792, RFC 4443 4).
//!
//! # Theory of operation
//! Each socket has an identifier of its own, which its requests carry and by which answers and quoted requests find it
//! [1122-I069] [4443-20]: the kernel's ping sockets do the same. Answers and errors wait in one queue, in the order in which
//! they came.
//!
//! # Limits
//! [`MAX_SOCKETS`] sockets; in each [`MAX_MESSAGES`] messages and [`MAX_BYTES`] bytes wait, and what comes beyond that is
//! dropped and counted.
//!
//! # Not here
//! The calls on them (`echo_socket.rs`), and answers to requests from outside (`icmp_input.rs`), which need no socket.

use core::fmt;
use core::net::IpAddr;
use std::collections::VecDeque;

use netloom_base::{HashKey, KeyedMap, Rng, Slab, SlabId};
use netloom_wire::IcmpErrorKind;

/// Sockets at once; each costs about 200 bytes without its queue.
const MAX_SOCKETS: usize = 256;
/// Messages that wait in one socket.
const MAX_MESSAGES: usize = 256;
/// Bytes of data that wait in one socket.
const MAX_BYTES: usize = 256 << 10;

/// An echo socket. Never mistaken for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EchoId(pub(crate) SlabId);

impl EchoId {
    /// The id as one number, for keys of tables outside.
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

/// What came for an echo socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EchoMessage {
    /// Somebody answered.
    Reply {
        /// Who.
        from: IpAddr,
        /// Which request.
        sequence: u16,
        /// TTL or hop limit of the answer.
        hop_limit: u8,
        /// What it carried: as asked, if the answerer is honest.
        data: Vec<u8>,
    },
    /// Somebody reports that a request came no further.
    Error {
        /// Who reports.
        from: IpAddr,
        /// Which request.
        sequence: u16,
        /// Whom that was for.
        remote: IpAddr,
        /// What is wrong.
        kind: IcmpErrorKind,
    },
}

impl EchoMessage {
    fn len(&self) -> usize {
        match self {
            Self::Reply { data, .. } => data.len(),
            Self::Error { .. } => 0,
        }
    }
}

/// Why there is no echo socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EchoOpenError {
    /// Another socket has the identifier.
    IdentifierInUse,
    /// As many sockets as there may be.
    Full,
}

impl fmt::Display for EchoOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdentifierInUse => "another socket has this identifier",
            Self::Full => "as many echo sockets as there may be",
        })
    }
}

impl core::error::Error for EchoOpenError {}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EchoSendError {
    /// There is no such socket.
    NoSocket,
    /// The socket is bound to an address of the other version of IP, or the destination is none.
    InvalidRemote,
    /// There is no way there.
    NoRoute,
    /// More data than a packet holds.
    TooLong,
    /// Too many packets wait already.
    QueueFull,
}

impl fmt::Display for EchoSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSocket => "there is no such socket",
            Self::InvalidRemote => "no request can be sent there",
            Self::NoRoute => "no route to host",
            Self::TooLong => "the message is too long",
            Self::QueueFull => "too many packets wait to be sent",
        })
    }
}

impl core::error::Error for EchoSendError {}

/// One echo socket.
#[derive(Debug)]
pub(crate) struct EchoSocket {
    /// Where it is bound; the unspecified address of a version of IP is every address of that.
    pub(crate) local: IpAddr,
    pub(crate) identifier: u16,
    pub(crate) hop_limit: Option<u8>,
    messages: VecDeque<EchoMessage>,
    bytes: usize,
    is_announced: bool,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It waits in its socket.
    Done,
    /// It is for no socket.
    NoSocket,
    /// Its socket is full.
    NoRoom,
}

/// All echo sockets.
#[derive(Debug)]
pub(crate) struct EchoSockets {
    pub(crate) sockets: Slab<EchoSocket>,
    /// By version of IP (whether it is 4) and identifier.
    by_identifier: KeyedMap<(bool, u16), SlabId>,
    announced: VecDeque<EchoId>,
}

impl EchoSockets {
    pub(crate) fn new(key: HashKey) -> Self {
        Self {
            sockets: Slab::new(MAX_SOCKETS),
            by_identifier: KeyedMap::with_hasher(key),
            announced: VecDeque::new(),
        }
    }

    /// An identifier that no socket of that version of IP has.
    pub(crate) fn free_identifier(&self, is_v4: bool, rng: &mut Rng) -> u16 {
        // There are far fewer sockets than identifiers: this ends.
        loop {
            let identifier = rng.next_u16();
            if !self.by_identifier.contains_key(&(is_v4, identifier)) {
                return identifier;
            }
        }
    }

    /// Queues a message for the socket that it is for.
    pub(crate) fn deliver(&mut self, local: IpAddr, identifier: u16, message: EchoMessage) -> Delivery {
        let id = self.by_identifier.get(&(local.is_ipv4(), identifier)).copied();
        let Some((id, socket)) = id.and_then(|id| self.sockets.get_mut(id).map(|socket| (id, socket))) else {
            return Delivery::NoSocket;
        };
        if !socket.local.is_unspecified() && socket.local != local {
            return Delivery::NoSocket;
        }
        if socket.messages.len() >= MAX_MESSAGES || socket.bytes.saturating_add(message.len()) > MAX_BYTES {
            return Delivery::NoRoom;
        }
        socket.bytes += message.len();
        socket.messages.push_back(message);
        if !core::mem::replace(&mut socket.is_announced, true) {
            self.announced.push_back(EchoId(id));
        }
        Delivery::Done
    }

    /// Adds a socket.
    pub(crate) fn open(&mut self, local: IpAddr, identifier: u16) -> Result<EchoId, EchoOpenError> {
        if self.by_identifier.contains_key(&(local.is_ipv4(), identifier)) {
            return Err(EchoOpenError::IdentifierInUse);
        }
        let socket = EchoSocket {
            local,
            identifier,
            hop_limit: None,
            messages: VecDeque::new(),
            bytes: 0,
            is_announced: false,
        };
        let id = self.sockets.insert(socket).map_err(|_| EchoOpenError::Full)?;
        self.by_identifier.insert((local.is_ipv4(), identifier), id);
        Ok(EchoId(id))
    }

    /// Takes a socket away, with what waits in it.
    pub(crate) fn close(&mut self, id: EchoId) {
        if let Some(socket) = self.sockets.remove(id.0) {
            self.by_identifier.remove(&(socket.local.is_ipv4(), socket.identifier));
            // It may still stand in `announced`, where it is passed over.
        }
    }

    /// The oldest message of a socket.
    pub(crate) fn pop(&mut self, id: EchoId) -> Option<EchoMessage> {
        let socket = self.sockets.get_mut(id.0)?;
        let message = socket.messages.pop_front()?;
        socket.bytes = socket.bytes.saturating_sub(message.len());
        Some(message)
    }

    /// Whether a socket has a message.
    pub(crate) fn has_message(&self, id: EchoId) -> bool {
        self.sockets.get(id.0).is_some_and(|socket| !socket.messages.is_empty())
    }

    /// The next socket with something new.
    pub(crate) fn poll_event(&mut self) -> Option<EchoId> {
        loop {
            let id = self.announced.pop_front()?;
            if let Some(socket) = self.sockets.get_mut(id.0) {
                socket.is_announced = false;
                return Some(id);
            }
        }
    }
}
