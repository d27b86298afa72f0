//! The system calls of a script, on the host's sockets, with Linux' results.
//!
//! What a socket layer adds to a stack is here and only here: descriptors, blocking or not, and that an error is reported
//! once; after it reads find the end of the stream, and writes a broken pipe.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use netloom_base::Instant;
use netloom_sim::Shards;
use netloom_stack::transport::{
    ConnectError, Keepalive, ListenError, ListenOptions, Recv, RecvError, SendError, SocketOptions, TcpBind,
    TcpError, TcpInfo, TcpListenerId, TcpSocketId,
};
use netloom_stack::{Stack, TcpSockets};

use super::ast::{Call, Errno, Fd, Outcome, Shutdown, SocketOption};

/// The port that `bind(3, ..., ...)` binds, as packetdrill's `--bind_port`.
pub(super) const BIND_PORT: u16 = 8080;
/// The peer's port for `connect(3, ..., ...)`, as packetdrill's `--connect_port`.
pub(super) const CONNECT_PORT: u16 = 8080;

/// The byte at `place` of a stream, in both directions.
pub(super) fn pattern(place: u64) -> u8 {
    u8::try_from(place % 251).unwrap_or_default()
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Done(Outcome),
    /// It waits: ask again.
    Blocked,
}

/// What a descriptor stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Fresh,
    /// One at each shard.
    Listener(Vec<TcpListenerId>),
    Stream(Stream),
}

/// A connection, and which shard's it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stream {
    shard: usize,
    id: TcpSocketId,
}

impl Stream {
    /// The sockets among which it is.
    fn tcp(self, shards: &mut Shards) -> Result<TcpSockets<'_>, Errno> {
        Ok(shards.stacks.get_mut(self.shard).ok_or(Errno::NotConnected)?.tcp())
    }
}

#[derive(Debug)]
struct Socket {
    role: Role,
    is_bound: bool,
    is_nonblocking: bool,
    resets_on_close: bool,
    fast_open: u32,
    has_reported_connect: bool,
    has_reported_error: bool,
    options: SocketOptions,
    /// What keep-alive does if it is on, which `options` says.
    keepalive: Keepalive,
    /// Bytes read and written so far.
    read: u64,
    written: u64,
}

impl Socket {
    fn new(role: Role, options: SocketOptions) -> Self {
        Self {
            role,
            is_bound: false,
            is_nonblocking: false,
            resets_on_close: false,
            fast_open: 0,
            has_reported_connect: false,
            has_reported_error: false,
            options,
            keepalive: options.keepalive.unwrap_or_default(),
            read: 0,
            written: 0,
        }
    }

    const fn stream(&self) -> Result<Stream, Errno> {
        match self.role {
            Role::Stream(stream) => Ok(stream),
            Role::Fresh | Role::Listener(_) => Err(Errno::NotConnected),
        }
    }

    /// The error, the first time.
    fn report_error(&mut self, error: TcpError) -> Option<Errno> {
        let is_news = !self.has_reported_error;
        self.has_reported_error = true;
        is_news.then(|| errno_of(error))
    }
}

/// The descriptors of a script.
#[derive(Debug)]
pub(super) struct Sockets {
    table: BTreeMap<Fd, Socket>,
    local: IpAddr,
    remote: SocketAddr,
    /// The descriptor that became a connection last: assertions are about it.
    current: Option<Fd>,
}

type Called = Result<Progress, Errno>;

fn done(value: i64) -> Called {
    Ok(Progress::Done(Outcome::Value(value)))
}

impl Sockets {
    /// None yet; `local` is the host's address, `remote` whom `connect` connects to.
    pub(super) const fn new(local: IpAddr, remote: SocketAddr) -> Self {
        Self { table: BTreeMap::new(), local, remote, current: None }
    }

    /// What Linux' `tcp_info` would be about.
    pub(super) fn info(&self, shards: &mut Shards) -> Option<TcpInfo> {
        let stream = self.table.get(&self.current?)?.stream().ok()?;
        stream.tcp(shards).ok()?.info(stream.id)
    }

    /// Whether a call that cannot be done now waits.
    pub(super) fn blocks(&self, call: &Call) -> bool {
        let fd = match *call {
            Call::Accept { fd } | Call::Connect { fd } | Call::Read { fd, .. } | Call::Write { fd, .. } => fd,
            Call::Socket
            | Call::Bind { .. }
            | Call::Listen { .. }
            | Call::SetFlags { .. }
            | Call::GetFlags { .. }
            | Call::SetOption { .. }
            | Call::GetError { .. }
            | Call::GetMaxSegment { .. }
            | Call::Shutdown { .. }
            | Call::Close { .. } => return false,
        };
        self.table.get(&fd).is_some_and(|socket| !socket.is_nonblocking)
    }

    /// Makes a call, or goes on with one that was blocked. `expected` names the descriptor that a new socket gets.
    pub(super) fn call(
        &mut self,
        shards: &mut Shards,
        now: Instant,
        call: &Call,
        expected: Outcome,
    ) -> Progress {
        let result = match *call {
            Call::Socket => self.create(expected, Role::Fresh, SocketOptions::default()),
            Call::Bind { fd } => self.with(fd, |socket| {
                socket.is_bound = true;
                done(0)
            }),
            Call::Listen { fd, backlog } => self.listen(shards, fd, backlog),
            Call::Accept { fd } => self.accept(shards, fd, expected),
            Call::Connect { fd } => self.connect(shards, now, fd),
            Call::SetFlags { fd, is_nonblocking } => self.with(fd, |socket| {
                socket.is_nonblocking = is_nonblocking;
                done(0)
            }),
            // O_RDWR, O_NONBLOCK
            Call::GetFlags { fd } => {
                self.with(fd, |socket| done(2 + 2048 * i64::from(socket.is_nonblocking)))
            }
            Call::SetOption { fd, option } => self.with(fd, |socket| set_option(shards, now, socket, option)),
            Call::GetError { fd, expected } => self.with(fd, |socket| get_error(shards, socket, expected)),
            Call::GetMaxSegment { fd, expected } => self.with(fd, |socket| {
                let stream = socket.stream()?;
                let info = stream.tcp(shards)?.info(stream.id).ok_or(Errno::NotConnected)?;
                if info.mss == expected { done(0) } else { done(info.mss.into()) }
            }),
            Call::Read { fd, len } => self.with(fd, |socket| read(shards, now, socket, len)),
            Call::Write { fd, len, is_urgent } => {
                self.with(fd, |socket| write(shards, now, socket, len, is_urgent))
            }
            Call::Shutdown { fd, how } => self.with(fd, |socket| shutdown(shards, now, socket, how)),
            Call::Close { fd } => self.close(shards, now, fd),
        };
        match result {
            Ok(Progress::Blocked) if !self.blocks(call) => Progress::Done(Outcome::Errno(Errno::Again)),
            Ok(progress) => progress,
            Err(errno) => Progress::Done(Outcome::Errno(errno)),
        }
    }

    fn with(&mut self, fd: Fd, work: impl FnOnce(&mut Socket) -> Called) -> Called {
        work(self.table.get_mut(&fd).ok_or(Errno::BadFd)?)
    }

    fn create(&mut self, expected: Outcome, role: Role, options: SocketOptions) -> Called {
        let Outcome::Value(fd) = expected else { return Err(Errno::BadFd) };
        if self.table.contains_key(&fd) {
            return Err(Errno::BadFd);
        }
        if role != Role::Fresh {
            self.current = Some(fd);
        }
        self.table.insert(fd, Socket::new(role, options));
        done(fd)
    }

    fn listen(&mut self, shards: &mut Shards, fd: Fd, backlog: usize) -> Called {
        self.with(fd, |socket| {
            let port = if socket.is_bound { BIND_PORT } else { 0 };
            let Socket { fast_open, options, .. } = *socket;
            let fast_open = usize::try_from(fast_open).unwrap_or(usize::MAX);
            let options = ListenOptions { backlog, fast_open, socket: options, ..ListenOptions::default() };
            let listen = |stack: &mut Stack| {
                stack.tcp().listen(TcpBind { address: None, port }, options).map_err(|error| match error {
                    ListenError::AddressInUse | ListenError::PortsExhausted => Errno::AddressInUse,
                    ListenError::TableFull | _ => Errno::NoBuffers,
                })
            };
            let ids = shards.stacks.iter_mut().map(listen).collect::<Result<_, _>>()?;
            socket.role = Role::Listener(ids);
            done(0)
        })
    }

    fn accept(&mut self, shards: &mut Shards, fd: Fd, expected: Outcome) -> Called {
        let socket = self.table.get(&fd).ok_or(Errno::BadFd)?;
        let Role::Listener(ids) = &socket.role else { return Err(Errno::Invalid) };
        let options = socket.options;
        let mut listeners = shards.stacks.iter_mut().zip(ids).enumerate();
        let accepted = listeners.find_map(|(shard, (stack, &id))| {
            let id = stack.tcp().accept(id)?.id;
            Some(Stream { shard, id })
        });
        match accepted {
            Some(stream) => self.create(expected, Role::Stream(stream), options),
            None => Ok(Progress::Blocked),
        }
    }

    fn connect(&mut self, shards: &mut Shards, now: Instant, fd: Fd) -> Called {
        let (local, remote) = (self.local, self.remote);
        let socket = self.table.get_mut(&fd).ok_or(Errno::BadFd)?;
        match socket.role {
            Role::Fresh => {
                let port = if socket.is_bound { BIND_PORT } else { 0 };
                // Any shard has ports of its own; one that is told belongs to somebody.
                let shard = match port {
                    0 => shards.stacks.len() - 1,
                    port => shards.owner_of_flow(SocketAddr::new(local, port), remote),
                };
                let mut tcp = shards.stacks.get_mut(shard).ok_or(Errno::Invalid)?.tcp();
                let begun = tcp.connect(now, TcpBind { address: None, port }, remote, &socket.options);
                let id = begun.map_err(|error| match error {
                    ConnectError::NoRoute => Errno::NetworkUnreachable,
                    ConnectError::AddressInUse => Errno::AddressInUse,
                    ConnectError::PortsExhausted => Errno::AddressNotAvailable,
                    ConnectError::InvalidAddress => Errno::Invalid,
                    ConnectError::TableFull | _ => Errno::NoBuffers,
                })?;
                let is_connected = tcp.connected(id) == Ok(true);
                socket.role = Role::Stream(Stream { shard, id });
                self.current = Some(fd);
                if is_connected {
                    // With a cookie nobody waits for the handshake.
                    socket.has_reported_connect = true;
                    return done(0);
                }
                if socket.is_nonblocking { Err(Errno::InProgress) } else { Ok(Progress::Blocked) }
            }
            Role::Stream(stream) => match stream.tcp(shards)?.connected(stream.id) {
                Ok(true) if socket.has_reported_connect => Err(Errno::IsConnected),
                Ok(true) => {
                    socket.has_reported_connect = true;
                    done(0)
                }
                Ok(false) if socket.is_nonblocking => Err(Errno::Already),
                Ok(false) => Ok(Progress::Blocked),
                Err(error) => Err(socket.report_error(error).unwrap_or(Errno::ConnectionAborted)),
            },
            Role::Listener(_) => Err(Errno::IsConnected),
        }
    }

    fn close(&mut self, shards: &mut Shards, now: Instant, fd: Fd) -> Called {
        let socket = self.table.remove(&fd).ok_or(Errno::BadFd)?;
        match socket.role {
            Role::Fresh => {}
            Role::Listener(ids) => {
                for (stack, id) in shards.stacks.iter_mut().zip(ids) {
                    stack.tcp().close_listener(now, id);
                }
            }
            Role::Stream(stream) if socket.resets_on_close => stream.tcp(shards)?.abort(now, stream.id),
            Role::Stream(stream) => stream.tcp(shards)?.close(now, stream.id),
        }
        done(0)
    }
}

fn set_option(shards: &mut Shards, now: Instant, socket: &mut Socket, option: SocketOption) -> Called {
    let Socket { options, keepalive, fast_open, resets_on_close, .. } = socket;
    match option {
        SocketOption::ReuseAddress | SocketOption::UrgentInline => {}
        SocketOption::NoDelay(nodelay) => options.nodelay = nodelay,
        SocketOption::Keepalive(is_on) => options.keepalive = is_on.then_some(*keepalive),
        SocketOption::KeepaliveIdle(idle) => keepalive.idle = idle,
        SocketOption::KeepaliveInterval(interval) => keepalive.interval = interval,
        SocketOption::KeepaliveProbes(probes) => keepalive.probes = probes,
        SocketOption::UserTimeout(patience) => {
            options.user_timeout = Some(patience).filter(|it| !it.is_zero());
        }
        SocketOption::Congestion(congestion) => options.congestion = Some(congestion),
        SocketOption::SendBuffer(len) => options.send_buffer = Some(len),
        SocketOption::ReceiveBuffer(len) => options.receive_buffer = Some(len),
        SocketOption::FastOpen(queue) => *fast_open = queue,
        SocketOption::FastOpenConnect(is_on) => options.fast_open = is_on,
        SocketOption::LingerZero => *resets_on_close = true,
    }
    options.keepalive = options.keepalive.map(|_| *keepalive);
    let options = socket.options;
    let Role::Stream(stream) = socket.role else { return done(0) };
    let (mut tcp, id) = (stream.tcp(shards)?, stream.id);
    let set = match option {
        SocketOption::NoDelay(nodelay) => tcp.set_nodelay(now, id, nodelay),
        SocketOption::Keepalive(_)
        | SocketOption::KeepaliveIdle(_)
        | SocketOption::KeepaliveInterval(_)
        | SocketOption::KeepaliveProbes(_) => tcp.set_keepalive(now, id, options.keepalive),
        SocketOption::UserTimeout(_) => tcp.set_user_timeout(now, id, options.user_timeout),
        SocketOption::Congestion(congestion) => tcp.set_congestion(now, id, congestion),
        SocketOption::ReuseAddress
        | SocketOption::UrgentInline
        | SocketOption::LingerZero
        | SocketOption::FastOpen(_)
        | SocketOption::FastOpenConnect(_) => Ok(()),
        // netloom's buffers are as large as they were when the connection began.
        SocketOption::SendBuffer(_) | SocketOption::ReceiveBuffer(_) => return Err(Errno::Invalid),
    };
    set.map_err(|_| Errno::NotConnected)?;
    done(0)
}

/// `SO_ERROR`: succeeds with the expected value; returns what it found otherwise.
fn get_error(shards: &mut Shards, socket: &mut Socket, expected: Option<Errno>) -> Called {
    let stream = socket.stream()?;
    let error = stream.tcp(shards)?.error(stream.id);
    let found = error.and_then(|error| socket.report_error(error));
    match (found, expected) {
        (found, expected) if found == expected => done(0),
        (Some(errno), _) => Err(errno),
        (None, _) => done(-1),
    }
}

fn read(shards: &mut Shards, now: Instant, socket: &mut Socket, len: usize) -> Called {
    let mut buffer = vec![0; len];
    let stream = socket.stream()?;
    match stream.tcp(shards)?.recv(now, stream.id, &mut buffer) {
        Ok(Recv::Data(count)) => {
            let bytes = buffer.get(..count).unwrap_or_default();
            let agrees = bytes.iter().zip(socket.read..).all(|(byte, place)| *byte == pattern(place));
            if !agrees {
                // Bytes that the peer did not send.
                return Err(Errno::Invalid);
            }
            socket.read += count as u64;
            done(i64::try_from(count).unwrap_or(i64::MAX))
        }
        Ok(Recv::EndOfStream) => done(0),
        Ok(Recv::WouldBlock) => Ok(Progress::Blocked),
        Err(RecvError::Failed(error)) => socket.report_error(error).map_or_else(|| done(0), Err),
        Err(RecvError::NotFound | _) => Err(Errno::NotConnected),
    }
}

fn write(shards: &mut Shards, now: Instant, socket: &mut Socket, len: usize, is_urgent: bool) -> Called {
    let stream = socket.stream()?;
    let bytes: Vec<u8> = (socket.written..).take(len).map(pattern).collect();
    let (mut tcp, id) = (stream.tcp(shards)?, stream.id);
    let sent = if is_urgent { tcp.send_urgent(now, id, &bytes) } else { tcp.send(now, id, &bytes) };
    match sent {
        Ok(0) if len > 0 => Ok(Progress::Blocked),
        Ok(count) => {
            socket.written += count as u64;
            done(i64::try_from(count).unwrap_or(i64::MAX))
        }
        Err(SendError::Failed(error)) => Err(socket.report_error(error).unwrap_or(Errno::BrokenPipe)),
        Err(SendError::Shutdown) => Err(Errno::BrokenPipe),
        Err(SendError::NotFound | _) => Err(Errno::NotConnected),
    }
}

fn shutdown(shards: &mut Shards, now: Instant, socket: &mut Socket, how: Shutdown) -> Called {
    let stream = socket.stream()?;
    let (mut tcp, id) = (stream.tcp(shards)?, stream.id);
    if matches!(how, Shutdown::Read | Shutdown::Both) {
        tcp.shutdown_read(now, id).map_err(|_| Errno::NotConnected)?;
    }
    if matches!(how, Shutdown::Write | Shutdown::Both) {
        tcp.shutdown_write(now, id).map_err(|_| Errno::NotConnected)?;
    }
    done(0)
}

fn errno_of(error: TcpError) -> Errno {
    match error {
        TcpError::ConnectionRefused => Errno::ConnectionRefused,
        TcpError::ConnectionReset => Errno::ConnectionReset,
        TcpError::ConnectionAborted => Errno::ConnectionAborted,
        TcpError::TimedOut => Errno::TimedOut,
        TcpError::NetworkUnreachable => Errno::NetworkUnreachable,
        TcpError::HostUnreachable | _ => Errno::HostUnreachable,
    }
}
