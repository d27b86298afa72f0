//! The values of iperf3's control protocol.

/// The length of a cookie: 36 characters and a zero.
pub(crate) const COOKIE_LEN: usize = 37;
/// What names a test on each of its connections.
pub(crate) type Cookie = [u8; COOKIE_LEN];
/// The most parallel streams a client asks for in one direction.
pub(crate) const MAX_PARALLEL: usize = 128;

/// A state of the conversation, sent as one signed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// To the client: streams exist, prepare.
    TestStart,
    /// To the client: go.
    TestRunning,
    /// From the client: enough.
    TestEnd,
    /// To the client: send the parameters.
    ParamExchange,
    /// To the client: open the streams.
    CreateStreams,
    /// To the client: the service ends the test.
    ServerTerminate,
    /// From the client: its user ended the test.
    ClientTerminate,
    /// To the client: send your results and take mine.
    ExchangeResults,
    /// To the client: print.
    DisplayResults,
    /// From the client: goodbye.
    IperfDone,
    /// To the client: another test is running.
    AccessDenied,
    /// To the client: an error follows, as two big-endian numbers of 32 bits.
    ServerError,
}

impl State {
    const ALL: [Self; 12] = [
        Self::TestStart,
        Self::TestRunning,
        Self::TestEnd,
        Self::ParamExchange,
        Self::CreateStreams,
        Self::ServerTerminate,
        Self::ClientTerminate,
        Self::ExchangeResults,
        Self::DisplayResults,
        Self::IperfDone,
        Self::AccessDenied,
        Self::ServerError,
    ];

    /// The state as it is sent.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::TestStart => 1,
            Self::TestRunning => 2,
            Self::TestEnd => 4,
            Self::ParamExchange => 9,
            Self::CreateStreams => 10,
            Self::ServerTerminate => 11,
            Self::ClientTerminate => 12,
            Self::ExchangeResults => 13,
            Self::DisplayResults => 14,
            Self::IperfDone => 16,
            Self::AccessDenied => 0xff,
            Self::ServerError => 0xfe,
        }
    }

    /// The state that is sent as `byte`.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.byte() == byte)
    }
}

/// Which way a test's data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    FromServer,
    Both,
}

impl Direction {
    /// Whether the server sends on the stream that was opened as number `index`, counted from 0, of a test with
    /// `parallel` streams a direction: where both directions are used, the client opens those that it sends on first.
    pub(crate) fn server_sends_on(self, index: usize, parallel: usize) -> bool {
        match self {
            Self::ToServer => false,
            Self::FromServer => true,
            Self::Both => index >= parallel,
        }
    }

    /// How many streams the client opens.
    pub(crate) fn stream_count(self, parallel: usize) -> usize {
        match self {
            Self::ToServer | Self::FromServer => parallel,
            Self::Both => 2 * parallel,
        }
    }
}

/// The number under which both sides report the stream that was opened as number `index`, counted from 0: the first is
/// 1, and for historical reasons the next is 3.
pub(crate) fn stream_id(index: usize) -> u64 {
    if index == 0 { 1 } else { index as u64 + 2 }
}

#[cfg(test)]
mod tests {
    use super::{State, stream_id};

    #[test]
    fn states_survive_the_wire() {
        for state in State::ALL {
            assert_eq!(State::from_byte(state.byte()), Some(state));
        }
        assert_eq!(State::from_byte(3), None);
    }

    #[test]
    fn stream_numbers_skip_two() {
        assert_eq!([0, 1, 2, 3].map(stream_id), [1, 3, 4, 5]);
    }
}
