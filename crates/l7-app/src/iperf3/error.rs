//! Why a session with an iperf3 client ended before its time.

use std::error::Error;
use std::fmt;
use std::io;

/// The end of a session that was not the protocol's own.
#[derive(Debug)]
pub(crate) enum SessionError {
    /// A connection failed or was closed.
    Io(io::Error),
    /// The client let this step's time pass.
    Overdue(&'static str),
    /// The client sent a state that has no place here.
    UnexpectedState(u8),
    /// Longer JSON than the protocol has use for, in bytes.
    LongJson(u32),
    /// No JSON, or not the fields that are needed.
    BadJson(serde_json::Error),
    /// The test that the client asks for is not one we run.
    Refused(Refusal),
    /// The client was interrupted and said so.
    ClientTerminated,
    /// No byte moved on any stream for too long.
    Silent,
    /// The service is being stopped.
    ShuttingDown,
}

/// A test that is not run, with the number under which iperf3 clients know the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Neither TCP nor UDP.
    Protocol,
    /// Too many streams, or none.
    StreamCount,
    /// A block length that is not served over TCP.
    BlockLen,
    /// A datagram length that is not served, or that has no room for its header.
    DatagramLen,
    /// A longer test than is served.
    Duration,
    /// A longer start to leave out than is served.
    Omit,
}

impl Refusal {
    /// The client's error number, from the public list in iperf3's API.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Duration => 5,
            Self::StreamCount => 6,
            Self::BlockLen => 7,
            Self::Omit => 12,
            Self::Protocol => 18,
            Self::DatagramLen => 20,
        }
    }
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "{error}"),
            Self::Overdue(step) => write!(formatter, "the client took too long: {step}"),
            Self::UnexpectedState(state) => write!(formatter, "the client sent state {state} out of turn"),
            Self::LongJson(len) => write!(formatter, "the client announced {len} bytes of JSON"),
            Self::BadJson(error) => write!(formatter, "the client's JSON: {error}"),
            Self::Refused(refusal) => {
                write!(formatter, "the client asked for what is not served: {refusal:?}")
            }
            Self::ClientTerminated => formatter.write_str("the client was interrupted"),
            Self::Silent => formatter.write_str("no byte moved for too long"),
            Self::ShuttingDown => formatter.write_str("the service stops"),
        }
    }
}

impl Error for SessionError {}
