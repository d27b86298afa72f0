//! As much of an iperf3 server as TCP transfers in one direction need, on smoltcp.
//!
//! The first connection that brings a cookie is the control connection, the others are streams. The server leads through
//! the test by single bytes; parameters and results are JSON behind a length of four bytes.

use serde_json::{Value, json};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

use crate::server::ports;

const COOKIE_LEN: usize = 37;
/// iperf3's own length of a TCP read and write.
const BLOCK_LEN: usize = 128 << 10;
/// Writes and reads on one stream before the next has its turn.
const BLOCKS_PER_TURN: usize = 8;

const TEST_START: u8 = 1;
const TEST_RUNNING: u8 = 2;
const TEST_END: u8 = 4;
const PARAM_EXCHANGE: u8 = 9;
const CREATE_STREAMS: u8 = 10;
const EXCHANGE_RESULTS: u8 = 13;
const DISPLAY_RESULTS: u8 = 14;

/// What a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nobody's yet; so many bytes of the cookie have come.
    New(usize),
    /// Where the client talks.
    Control,
    /// A stream, with the bytes that have come or gone.
    Stream(u64),
}

/// What the control connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Params,
    Streams,
    Running,
    Results,
    Done,
}

/// The server.
pub(super) struct Iperf3 {
    connections: Vec<(SocketHandle, Role)>,
    phase: Phase,
    /// What the client has said and was not understood yet.
    said: Vec<u8>,
    stream_count: usize,
    reverse: bool,
    block: Vec<u8>,
}

impl Iperf3 {
    /// A server on these sockets.
    pub(super) fn new(handles: Vec<SocketHandle>) -> Self {
        let connections = handles.into_iter().map(|handle| (handle, Role::New(0))).collect();
        let block = vec![0; BLOCK_LEN];
        Self { connections, phase: Phase::Idle, said: Vec::new(), stream_count: 1, reverse: false, block }
    }

    /// Does what there is to do; whether that was anything.
    pub(super) fn turn(&mut self, sockets: &mut SocketSet<'static>) -> bool {
        let mut worked = false;
        for index in 0..self.connections.len() {
            let Some(&(handle, role)) = self.connections.get(index) else { break };
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            let next = match role {
                _ if !socket.is_open() => {
                    if role == Role::Control {
                        self.phase = Phase::Idle;
                    }
                    let _ = socket.listen(ports::IPERF3);
                    worked = true;
                    Role::New(0)
                }
                Role::New(len) => self.greet(socket, len),
                Role::Control => {
                    let answer = self.converse(socket);
                    worked |= !answer.is_empty();
                    let _ = socket.send_slice(&answer);
                    role
                }
                Role::Stream(bytes) => Role::Stream(bytes + self.transfer(socket)),
            };
            worked |= next != role;
            if let Some(connection) = self.connections.get_mut(index) {
                connection.1 = next;
            }
        }
        worked | self.begin(sockets)
    }

    /// Takes a connection's cookie, of which `len` bytes have come.
    fn greet(&mut self, socket: &mut tcp::Socket<'_>, len: usize) -> Role {
        let mut cookie = [0; COOKIE_LEN];
        let missing = cookie.get_mut(len..).unwrap_or_default();
        let len = len + socket.recv_slice(missing).unwrap_or(0);
        if len < COOKIE_LEN {
            return Role::New(len);
        }
        if self.phase != Phase::Idle {
            return Role::Stream(0);
        }
        self.phase = Phase::Params;
        self.said.clear();
        let _ = socket.send_slice(&[PARAM_EXCHANGE]);
        Role::Control
    }

    /// Starts the test when every stream is there.
    fn begin(&mut self, sockets: &mut SocketSet<'static>) -> bool {
        if self.phase != Phase::Streams || self.streams().count() < self.stream_count {
            return false;
        }
        self.phase = Phase::Running;
        if let Some((handle, _)) = self.connections.iter().find(|(_, role)| *role == Role::Control) {
            let _ = sockets.get_mut::<tcp::Socket<'_>>(*handle).send_slice(&[TEST_START, TEST_RUNNING]);
        }
        true
    }

    /// Bytes of each stream.
    fn streams(&self) -> impl Iterator<Item = u64> {
        self.connections.iter().filter_map(|(_, role)| match role {
            Role::Stream(bytes) => Some(*bytes),
            Role::New(_) | Role::Control => None,
        })
    }

    /// Listens to the client; what to answer.
    fn converse(&mut self, socket: &mut tcp::Socket<'_>) -> Vec<u8> {
        while socket.can_recv() {
            let Ok(len) = socket.recv_slice(&mut self.block) else { break };
            self.said.extend_from_slice(self.block.get(..len).unwrap_or_default());
        }
        if !socket.may_recv() && self.said.is_empty() {
            self.phase = Phase::Idle;
            socket.close();
            return Vec::new();
        }
        match self.phase {
            Phase::Params => match self.take_json() {
                Some(params) => {
                    let parallel = params.get("parallel").and_then(Value::as_u64).unwrap_or(1);
                    self.stream_count = usize::try_from(parallel).unwrap_or(1);
                    self.reverse = params.get("reverse").and_then(Value::as_bool).unwrap_or(false);
                    self.phase = Phase::Streams;
                    vec![CREATE_STREAMS]
                }
                None => Vec::new(),
            },
            Phase::Running if self.said.first() == Some(&TEST_END) => {
                self.said.remove(0);
                self.phase = Phase::Results;
                vec![EXCHANGE_RESULTS]
            }
            Phase::Results => match self.take_json() {
                Some(_) => {
                    self.phase = Phase::Done;
                    let mut answer = self.results();
                    answer.push(DISPLAY_RESULTS);
                    answer
                }
                None => Vec::new(),
            },
            Phase::Done => {
                self.said.clear();
                Vec::new()
            }
            Phase::Idle | Phase::Streams | Phase::Running => Vec::new(),
        }
    }

    /// The next JSON of the client, once it has come as a whole.
    fn take_json(&mut self) -> Option<Value> {
        let (len, rest) = self.said.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
        let value = serde_json::from_slice(rest.get(..len)?).unwrap_or(Value::Null);
        self.said.drain(..len + 4);
        Some(value)
    }

    /// What was counted, behind its length. iperf3 numbers its streams 1, 3, 4 and so on.
    fn results(&self) -> Vec<u8> {
        let stream = |(index, bytes): (usize, u64)| {
            let id = if index == 0 { 1 } else { index + 2 };
            json!({"id": id, "bytes": bytes, "retransmits": -1, "jitter": 0.0, "errors": 0, "packets": 0,
                   "start_time": 0.0, "end_time": 0.0})
        };
        let streams: Vec<Value> = self.streams().enumerate().map(stream).collect();
        let text = json!({"cpu_util_total": 0.0, "cpu_util_user": 0.0, "cpu_util_system": 0.0,
                          "sender_has_retransmits": -1, "streams": streams})
        .to_string();
        let len = u32::try_from(text.len()).unwrap_or(0);
        [&len.to_be_bytes(), text.as_bytes()].concat()
    }

    /// Moves bytes on a stream; how many.
    fn transfer(&mut self, socket: &mut tcp::Socket<'_>) -> u64 {
        let mut bytes = 0;
        for _ in 0..BLOCKS_PER_TURN {
            let len = if !self.reverse && socket.can_recv() {
                socket.recv_slice(&mut self.block).unwrap_or(0)
            } else if self.reverse && self.phase == Phase::Running && socket.can_send() {
                socket.send_slice(&self.block).unwrap_or(0)
            } else {
                0
            };
            if len == 0 {
                break;
            }
            bytes += len as u64;
        }
        if self.reverse && matches!(self.phase, Phase::Results | Phase::Done) {
            // The client reads whole blocks, also of what is left once it has ended the test: only the end of the stream lets
            // it go on when the last block is a part of one.
            socket.close();
        }
        if matches!(socket.state(), tcp::State::CloseWait | tcp::State::TimeWait) && !socket.can_recv() {
            socket.abort();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::iface::{Config, Interface};
    use smoltcp::phy::{Loopback, Medium};
    use smoltcp::time::{Duration, Instant};
    use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

    use super::*;
    use crate::smol::tcp_socket;

    const LOCALHOST: IpAddress = IpAddress::v4(127, 0, 0, 1);
    const COOKIE: &[u8] = &[b'c'; COOKIE_LEN];

    /// A client and the server on one interface, in virtual time.
    struct Talk {
        device: Loopback,
        interface: Interface,
        sockets: SocketSet<'static>,
        server: Iperf3,
        now: Instant,
    }

    impl Talk {
        fn new() -> Self {
            let mut device = Loopback::new(Medium::Ip);
            let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::ZERO);
            interface.update_ip_addrs(|list| list.push(IpCidr::new(LOCALHOST, 8)).unwrap());
            let mut sockets = SocketSet::new(Vec::new());
            let mut server = Iperf3::new((0..3).map(|_| sockets.add(tcp_socket(1 << 10))).collect());
            server.turn(&mut sockets);
            Self { device, interface, sockets, server, now: Instant::ZERO }
        }

        /// Half a second, in which everybody has many turns.
        fn run(&mut self) {
            for _ in 0..50 {
                self.now += Duration::from_millis(10);
                self.interface.poll(self.now, &mut self.device, &mut self.sockets);
                self.server.turn(&mut self.sockets);
            }
        }

        fn connect(&mut self, port: u16) -> SocketHandle {
            let handle = self.sockets.add(tcp_socket(1 << 10));
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            socket.connect(self.interface.context(), (LOCALHOST, ports::IPERF3), port).unwrap();
            self.run();
            self.say(handle, COOKIE);
            handle
        }

        /// Says it; what the server has said by then.
        fn say(&mut self, handle: SocketHandle, text: &[u8]) -> Vec<u8> {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            let heard = socket.recv(|heard| (heard.len(), heard.to_vec())).unwrap();
            socket.send_slice(text).unwrap();
            self.run();
            heard
        }
    }

    #[test]
    fn a_download_ends_with_the_end_of_its_streams() {
        let mut talk = Talk::new();
        let control = talk.connect(1000);
        let params = br#"{"parallel":1,"reverse":true}"#;
        let len = u32::try_from(params.len()).unwrap();
        assert_eq!(talk.say(control, &[&len.to_be_bytes(), &params[..]].concat()), [PARAM_EXCHANGE]);
        let stream = talk.connect(1001);
        assert_eq!(talk.say(control, &[TEST_END]), [CREATE_STREAMS, TEST_START, TEST_RUNNING]);
        assert_eq!(talk.say(control, &[]), [EXCHANGE_RESULTS]);
        for _ in 0..9 {
            if talk.sockets.get::<tcp::Socket<'_>>(stream).may_recv() {
                talk.say(stream, &[]);
            }
        }
        assert_eq!(talk.sockets.get::<tcp::Socket<'_>>(stream).state(), tcp::State::CloseWait);
        talk.sockets.get_mut::<tcp::Socket<'_>>(stream).close();
        talk.run();
        assert_eq!(talk.server.streams().count(), 0, "the socket waits for the next stream");
    }

    #[test]
    fn json_is_taken_when_it_is_whole() {
        let mut server = Iperf3::new(Vec::new());
        let text = br#"{"parallel":8}"#;
        server.said = [&[0, 0, 0, 14], &text[..5]].concat();
        assert_eq!(server.take_json(), None);
        server.said.extend_from_slice(&text[5..]);
        server.said.push(TEST_END);
        assert_eq!(server.take_json(), Some(json!({"parallel": 8})));
        assert_eq!(server.said, [TEST_END]);
    }

    #[test]
    fn results_tell_each_stream_under_the_number_that_the_client_expects() {
        let mut sockets = SocketSet::new(Vec::new());
        let mut server = Iperf3::new((0..4).map(|_| sockets.add(tcp_socket(64))).collect());
        for (connection, role) in server.connections.iter_mut().zip([
            Role::Control,
            Role::Stream(5),
            Role::Stream(6),
            Role::Stream(7),
        ]) {
            connection.1 = role;
        }
        server.said = server.results();
        let results = server.take_json().unwrap();
        let told = |name: &str| -> Vec<u64> {
            results["streams"].as_array().unwrap().iter().map(|it| it[name].as_u64().unwrap()).collect()
        };
        assert_eq!((told("id"), told("bytes")), (vec![1, 3, 4], vec![5, 6, 7]));
    }
}
