//! One test from its parameters to its results.
//!
//! ```text
//!   client                                server
//!      |  cookie ----------------------------> |
//!      | <--------------------- PARAM_EXCHANGE |
//!      |  parameters ------------------------> |
//!      | <--------------------- CREATE_STREAMS |
//!      |  streams ===========================> |
//!      | <------------------------- TEST_START |
//!      | <----------------------- TEST_RUNNING |
//!      |               data, either way        |
//!      |  TEST_END --------------------------> |
//!      | <------------------- EXCHANGE_RESULTS |
//!      |  results ---------------------------> |
//!      | <---------------------------- results |
//!      | <-------------------- DISPLAY_RESULTS |
//!      |  IPERF_DONE ------------------------> |
//! ```

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::datagrams::Datagrams;
use crate::iperf3::control::Control;
use crate::iperf3::cpu::CpuClock;
use crate::iperf3::desk::{Opened, Seat};
use crate::iperf3::error::SessionError;
use crate::iperf3::options::Iperf3Options;
use crate::iperf3::params::{Params, Protocol, RawParams};
use crate::iperf3::protocol::State;
use crate::iperf3::results::{ClientResults, Results};
use crate::iperf3::streams::{Sending, receive, send, send_datagrams};
use crate::iperf3::tally::Tally;
use crate::iperf3::udp::{OpenTest, UdpPort};

/// A client that has the seat.
#[derive(Debug)]
pub(crate) struct Session<S, D> {
    pub(crate) control: Control<S>,
    pub(crate) seat: Seat<S>,
    pub(crate) client: SocketAddr,
    pub(crate) udp: Arc<UdpPort<D>>,
    pub(crate) options: Iperf3Options,
    pub(crate) shutdown: CancellationToken,
}

/// The streams of a test before it starts.
enum Streams<'a, S, D> {
    Tcp(Vec<S>),
    Udp { open: OpenTest<'a, D>, peers: Vec<SocketAddr>, wide: bool },
}

/// What a running test waits for.
enum Happening {
    FromClient(State),
    OmittedEnd,
    Overdue,
    Silent,
    ShuttingDown,
}

impl<S, D> Session<S, D>
where
    S: Connection,
    D: Datagrams,
{
    /// Runs the test; returns the number of bytes that its streams moved.
    pub(crate) async fn run(mut self) -> Result<u64, SessionError> {
        let params = within(self.options.step, "parameters", self.exchange_parameters()).await?;
        let stream_count = params.direction.stream_count(params.parallel);
        let tallies: Vec<_> = (0..stream_count)
            .map(|index| {
                let server_sends = params.direction.server_sends_on(index, params.parallel);
                Arc::new(Tally::new(server_sends, !params.omit.is_zero()))
            })
            .collect();
        let udp = Arc::clone(&self.udp);
        let streams =
            within(self.options.step, "streams", self.open_streams(&params, &udp, &tallies)).await?;
        self.control.write_state(State::TestStart).await?;
        let cpu = CpuClock::read();
        self.control.write_state(State::TestRunning).await?;
        let mut tasks = JoinSet::new();
        let _open = self.start_streams(&params, streams, &tallies, &mut tasks);
        let start = self.watch(&params, &tallies).await?;
        let (elapsed, cpu) = (start.elapsed(), CpuClock::read().since(&cpu));
        tasks.shutdown().await;
        let results = Results::new(tallies.iter().map(AsRef::as_ref), elapsed, cpu, params.wants_output);
        within(self.options.step, "results", self.exchange_results(&results)).await?;
        Ok(tallies.iter().map(|tally| tally.total().len).sum())
    }

    async fn exchange_parameters(&mut self) -> Result<Params, SessionError> {
        self.control.write_state(State::ParamExchange).await?;
        let raw: RawParams = self.control.read_json().await?;
        match raw.check() {
            Ok(params) => Ok(params),
            Err(refusal) => {
                self.control.refuse(refusal).await?;
                self.control.finish().await?;
                Err(SessionError::Refused(refusal))
            }
        }
    }

    /// Waits for all streams, or for the client to give up.
    async fn open_streams<'a>(
        &mut self,
        params: &Params,
        udp: &'a UdpPort<D>,
        tallies: &[Arc<Tally>],
    ) -> Result<Streams<'a, S, D>, SessionError> {
        match params.protocol {
            Protocol::Tcp => {
                let mut arrivals = self.seat.expect_streams(tallies.len());
                self.control.write_state(State::CreateStreams).await?;
                tokio::select! {
                    streams = collect(&mut arrivals, tallies.len()) => Ok(Streams::Tcp(streams)),
                    state = self.control.read_state() => Err(out_of_turn(state)),
                }
            }
            Protocol::Udp { wide } => {
                let open = udp.open(self.client.ip(), wide, tallies.to_vec());
                self.control.write_state(State::CreateStreams).await?;
                let peers = tokio::select! {
                    peers = open.all_joined() => peers,
                    state = self.control.read_state() => return Err(out_of_turn(state)),
                };
                Ok(Streams::Udp { open, peers, wide })
            }
        }
    }

    /// Starts a task for each stream that needs one. The test stays open to datagrams as long as what is returned.
    fn start_streams<'a>(
        &self,
        params: &Params,
        streams: Streams<'a, S, D>,
        tallies: &[Arc<Tally>],
        tasks: &mut JoinSet<()>,
    ) -> Option<OpenTest<'a, D>> {
        let sending = Sending {
            block_len: params.block_len,
            rate: params.rate,
            allowance: params.sendable_len().map(|len| Arc::new(AtomicU64::new(len))),
        };
        match streams {
            Streams::Tcp(streams) => {
                for (stream, tally) in streams.into_iter().zip(tallies) {
                    if tally.server_sends {
                        tasks.spawn(send(stream, sending.clone(), Arc::clone(tally)));
                    } else {
                        tasks.spawn(receive(stream, params.block_len, Arc::clone(tally)));
                    }
                }
                None
            }
            Streams::Udp { open, peers, wide } => {
                open.start();
                for (peer, tally) in peers.into_iter().zip(tallies).filter(|(_, tally)| tally.server_sends) {
                    let port = Arc::clone(&self.udp);
                    tasks.spawn(send_datagrams(port, peer, wide, sending.clone(), Arc::clone(tally)));
                }
                Some(open)
            }
        }
    }

    /// Waits for the end of the test; returns when the part of it that counts began.
    async fn watch(&mut self, params: &Params, tallies: &[Arc<Tally>]) -> Result<Instant, SessionError> {
        let mut start = Instant::now();
        let mut deadline = pin!(sleep(params.deadline(&self.options)));
        let mut silence = pin!(silence(tallies, self.options.silence));
        let mut omitted: Option<Pin<Box<Sleep>>> =
            (!params.omit.is_zero()).then(|| Box::pin(sleep(params.omit)));
        loop {
            let happening = tokio::select! {
                state = self.control.read_state() => Happening::FromClient(state?),
                () = passed(omitted.as_mut()) => Happening::OmittedEnd,
                () = deadline.as_mut() => Happening::Overdue,
                () = silence.as_mut() => Happening::Silent,
                () = self.shutdown.cancelled() => Happening::ShuttingDown,
            };
            let error = match happening {
                Happening::FromClient(State::TestEnd) => return Ok(start),
                Happening::FromClient(state) => return Err(out_of_turn(Ok(state))),
                Happening::OmittedEnd => {
                    omitted = None;
                    start = Instant::now();
                    tallies.iter().for_each(|tally| tally.end_omitted());
                    continue;
                }
                Happening::Overdue => SessionError::Overdue("test"),
                Happening::Silent => SessionError::Silent,
                Happening::ShuttingDown => SessionError::ShuttingDown,
            };
            self.control.write_state(State::ServerTerminate).await?;
            self.control.finish().await?;
            return Err(error);
        }
    }

    async fn exchange_results(&mut self, results: &Results) -> Result<(), SessionError> {
        self.control.write_state(State::ExchangeResults).await?;
        let ClientResults {} = self.control.read_json().await?;
        self.control.write_json(results).await?;
        self.control.write_state(State::DisplayResults).await?;
        match self.control.read_state().await {
            // A client that is gone has printed what it wanted.
            Ok(State::IperfDone) | Err(SessionError::Io(_)) => Ok(()),
            other => Err(out_of_turn(other)),
        }
    }
}

/// Bounds a step of the conversation.
async fn within<T>(
    limit: Duration,
    step: &'static str,
    work: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    timeout(limit, work).await.unwrap_or(Err(SessionError::Overdue(step)))
}

/// The first `count` streams in the order in which they were accepted.
///
/// Never ends when the seat's sender goes away first; that happens with the session only.
async fn collect<S>(arrivals: &mut mpsc::Receiver<Opened<S>>, count: usize) -> Vec<S> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        match arrivals.recv().await {
            Some(opened) => streams.push(opened),
            None => std::future::pending().await,
        }
    }
    streams.sort_by_key(|opened| opened.order);
    streams.into_iter().map(|opened| opened.stream).collect()
}

/// Waits for a time that may not come.
async fn passed(time: Option<&mut Pin<Box<Sleep>>>) {
    match time {
        Some(time) => time.await,
        None => std::future::pending().await,
    }
}

/// Ends when no stream moved a byte for a whole period of `limit`.
async fn silence(tallies: &[Arc<Tally>], limit: Duration) {
    let total_len = || tallies.iter().map(|tally| tally.total().len).sum::<u64>();
    let mut seen = total_len();
    loop {
        sleep(limit).await;
        let now = total_len();
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// What a state means that ends the session.
fn out_of_turn(state: Result<State, SessionError>) -> SessionError {
    match state {
        Ok(State::ClientTerminate) => SessionError::ClientTerminated,
        Ok(state) => SessionError::UnexpectedState(state.byte()),
        Err(error) => error,
    }
}
