//! What a run must not show.

use core::fmt;
use core::time::Duration;

use netloom_base::{DropReason, Instant};
use netloom_stack::transport::{ConnectError, ListenError, RetransmitCause, TcpError, TcpUsage};

use crate::conversation::Side;
use crate::conversation::end::{Outcome, Untruth};
use crate::frame_check::FrameFault;
use crate::shards::MailTally;

/// A broken promise, and when it was noticed in virtual time.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: FailureKind,
}

/// What was broken.
#[derive(Clone, Debug)]
pub enum FailureKind {
    /// The scenario itself makes no sense.
    BadScenario(String),
    /// A listener could not be opened.
    NoListener(ListenError),
    /// A connection could not be begun.
    NoConnection(ConnectError),
    /// An application was told what cannot be true.
    Untruth {
        /// Which conversation.
        conversation: usize,
        /// Which end was told.
        side: Side,
        /// What.
        untruth: Untruth,
    },
    /// A connection broke, and nothing that happened explains it.
    Unexplained {
        /// Which conversation.
        conversation: usize,
        /// Which end.
        side: Side,
        /// How it ended there.
        outcome: Outcome,
        /// How it ended, or stands, at the other end.
        peer: Option<Outcome>,
    },
    /// A connection to a port without listener was not refused.
    NotRefused {
        /// Which conversation.
        conversation: usize,
        /// How it ended.
        outcome: Option<Outcome>,
    },
    /// Nothing moves any more, and there was more to do.
    Stuck {
        /// Which conversation.
        conversation: usize,
        /// Which end.
        side: Side,
        /// Bytes sent of those it means to send.
        sent: (u64, u64),
        /// Bytes received.
        received: u64,
        /// What TCP says of it.
        info: String,
    },
    /// The virtual time for the whole run is over.
    TooLong {
        /// Conversations that are not over.
        open_count: usize,
    },
    /// A listener handed out a connection that no client has begun, or the same twice.
    UnknownPeer {
        /// The host.
        host: usize,
        /// What it was said to come from.
        remote: core::net::SocketAddr,
    },
    /// A datagram came back that was not sent so.
    WrongDatagram {
        /// Of which flow.
        flow: usize,
    },
    /// A datagram did not come back, or more than once, though nothing was lost or copied.
    DatagramCount {
        /// Of which flow.
        flow: usize,
        /// How many came back other than once.
        count: usize,
    },
    /// A transfer took much longer than its cable and windows explain.
    Slow {
        /// Which conversation.
        conversation: usize,
        /// How long it took.
        took: Duration,
        /// How long it may take.
        explained: Duration,
    },
    /// Text was sent beyond all windows that its sender had heard of.
    BeyondWindow {
        /// Which conversation.
        conversation: usize,
        /// Who has sent it.
        side: Side,
        /// By how many bytes.
        excess: u32,
    },
    /// A window or a buffer has become larger than it may.
    Overgrown {
        /// Which conversation.
        conversation: usize,
        /// Whose.
        side: Side,
        /// What.
        what: &'static str,
        /// Bytes that it had.
        reached: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// A window or a buffer has not become larger though the path could have used it.
    Stunted {
        /// Which conversation.
        conversation: usize,
        /// Whose.
        side: Side,
        /// What.
        what: &'static str,
        /// Bytes that it had at most.
        reached: u64,
        /// Bytes that it should have had.
        expected: u64,
    },
    /// More was sent again than what was lost, late or out of order explains.
    TooManyRetransmissions {
        /// Segments that were sent again.
        count: u64,
        /// How many would be explained.
        explained: u64,
        /// Why they were sent again.
        causes: Vec<(RetransmitCause, u64)>,
    },
    /// Time does not go on: hosts keep each other, or themselves, busy at one instant.
    Livelock {
        /// The host that was last to want something.
        host: usize,
    },
    /// Something is left of connections that are all over.
    Leak {
        /// The host.
        host: usize,
        /// What it holds.
        usage: TcpUsage,
    },
    /// A shard kept what is another's, handed on its own, or lost what it should hand on.
    Astray {
        /// The host.
        host: usize,
        /// Which of its shards.
        shard: usize,
    },
    /// What one shard handed over did not come to another, and nobody has counted that.
    LostHandover {
        /// The host.
        host: usize,
        /// Handed over, as the shards have counted.
        handed_over: u64,
        /// Taken over, as the shards have counted.
        taken_over: u64,
        /// What became of it between them.
        tally: MailTally,
    },
    /// A connection lives in two shards, or in one that it does not belong to.
    Misplaced {
        /// The host.
        host: usize,
        /// The shard.
        shard: usize,
        /// Its ends.
        ends: (core::net::SocketAddr, core::net::SocketAddr),
    },
    /// A stack emitted a frame that etherparse does not accept.
    BadFrame {
        /// The host.
        host: usize,
        /// What is wrong with it.
        fault: FrameFault,
        /// The frame.
        frame: Vec<u8>,
    },
    /// A stack called what another stack sent malformed, without a bit having been flipped on the way.
    Nonsense {
        /// The host that dropped it.
        host: usize,
        /// Why.
        reason: DropReason,
    },
    /// Something was sent again though nothing was lost, late or out of order.
    NeedlessRetransmission {
        /// The host.
        host: usize,
        /// Why it was sent again.
        cause: RetransmitCause,
        /// How often.
        count: u64,
    },
    /// Nothing moved for longer than any round trip takes, though nothing was lost and everybody reads at once: only a
    /// timer got it going again.
    Stall {
        /// For how long.
        pause: Duration,
        /// What the round trips and held-back acknowledgments explain.
        explained: Duration,
    },
    /// The code panicked.
    Panic(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.kind)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadScenario(why) => write!(f, "the scenario makes no sense: {why}"),
            Self::NoListener(error) => write!(f, "no listener: {error}"),
            Self::NoConnection(error) => write!(f, "no connection: {error}"),
            Self::Untruth { conversation, side, untruth } => {
                write!(f, "conversation {conversation}, {side}: {untruth}")
            }
            Self::Unexplained { conversation, side, outcome, peer } => {
                let outcome = describe(Some(*outcome));
                let peer = describe(*peer);
                write!(
                    f,
                    "conversation {conversation}, {side}: {outcome}, and nothing explains it (peer: {peer})"
                )
            }
            Self::NotRefused { conversation, outcome } => {
                let outcome = describe(*outcome);
                write!(f, "conversation {conversation}: nobody listens, and the client {outcome}")
            }
            Self::Stuck { conversation, side, sent: (sent, outgoing), received, info } => write!(
                f,
                "conversation {conversation}, {side}: stuck with {sent} of {outgoing} bytes sent and {received} \
                 received; {info}"
            ),
            Self::TooLong { open_count } => write!(f, "{open_count} conversations are not over in time"),
            Self::UnknownPeer { host, remote } => {
                write!(f, "host {host} accepted a connection from {remote}, which nobody has begun")
            }
            Self::WrongDatagram { flow } => {
                write!(f, "flow {flow}: a datagram came back that was not sent so")
            }
            Self::DatagramCount { flow, count } => {
                write!(f, "flow {flow}: {count} datagrams came back not just once, and nothing was lost")
            }
            Self::Slow { conversation, took, explained } => {
                write!(
                    f,
                    "conversation {conversation} took {took:?}, and no more than {explained:?} is explained"
                )
            }
            Self::BeyondWindow { conversation, side, excess } => {
                write!(
                    f,
                    "conversation {conversation}, {side}: text goes {excess} bytes beyond what was offered"
                )
            }
            Self::Overgrown { conversation, side, what, reached, limit } => {
                write!(
                    f,
                    "conversation {conversation}, {side}: its {what} of {reached} bytes may have {limit}"
                )
            }
            Self::Stunted { conversation, side, what, reached, expected } => write!(
                f,
                "conversation {conversation}, {side}: its {what} of {reached} bytes has not grown to {expected}"
            ),
            Self::TooManyRetransmissions { count, explained, causes } => {
                write!(f, "{count} segments were sent again, and no more than {explained} are explained:")?;
                causes.iter().try_for_each(|(cause, count)| write!(f, " {cause} {count}"))
            }
            Self::Livelock { host } => write!(f, "time stands still: host {host} always has more to do"),
            Self::Leak { host, usage } => write!(f, "host {host} still holds {usage:?}"),
            Self::Astray { host, shard } => {
                write!(f, "shard {shard} of host {host} did not do with a frame what its owner is known for")
            }
            Self::LostHandover { host, handed_over, taken_over, tally } => write!(
                f,
                "the shards of host {host} handed over {handed_over} frames and took over {taken_over}, and that is not \
                 {tally:?}"
            ),
            Self::Misplaced { host, shard, ends: (local, remote) } => {
                write!(f, "shard {shard} of host {host} has a connection of another: {local} with {remote}")
            }
            Self::BadFrame { host, fault, frame } => {
                write!(f, "host {host} emitted a bad frame: {fault}: {frame:02x?}")
            }
            Self::Nonsense { host, reason } => {
                write!(f, "host {host} dropped something as {reason}, and no bit was flipped")
            }
            Self::NeedlessRetransmission { host, cause, count } => {
                write!(f, "host {host} retransmitted {count} segments ({cause}), and nothing was lost")
            }
            Self::Stall { pause, explained } => {
                write!(f, "nothing moved for {pause:?}, and no more than {explained:?} is explained")
            }
            Self::Panic(message) => write!(f, "panic: {message}"),
        }
    }
}

fn describe(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Closed { has_read_all: true }) => "closed".to_owned(),
        Some(Outcome::Closed { has_read_all: false }) => "closed with more to come".to_owned(),
        Some(Outcome::Aborted) => "aborted".to_owned(),
        Some(Outcome::Failed(error)) => describe_error(error),
        Some(Outcome::Absent) => "has no connection".to_owned(),
        Some(Outcome::Forgotten) => "was forgotten by its host".to_owned(),
        Some(Outcome::Abandoned) => "waited in vain".to_owned(),
        None => "is not done".to_owned(),
    }
}

fn describe_error(error: TcpError) -> String {
    format!("failed with \"{error}\"")
}
