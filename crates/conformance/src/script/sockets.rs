//! The system calls of a script, on the host's sockets, with Linux' results.
//!
//! A listener has a part at each shard of the host; a stream is of the shard that it belongs to.
//!
//! What a socket layer adds to a stack is here and only here: descriptors, blocking or not, and that an error is reported
//! once; after it reads find the end of the stream, and writes a broken pipe.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use netloom_base::Instant;
use netloom_stack::Stack;
use netloom_stack::transport::{
    ConnectError, Keepalive, ListenError, ListenOptions, Recv, RecvError, SendError, SocketOptions, TcpBind,
    TcpError, TcpInfo, TcpListenerId, TcpSocketId,
};

use super::ast::{Call, Errno, Fd, Outcome, Shutdown, SocketOption};
use super::host::{BIND_PORT, Host};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Fresh,
    /// With its parts in [`Socket::listening`].
    Listener,
    Stream(TcpSocketId),
}

#[derive(Debug)]
struct Socket {
    role: Role,
    /// The shard of a stream.
    shard: usize,
    /// A listener's part at each shard.
    listening: Vec<TcpListenerId>,
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
            shard: 0,
            listening: Vec::new(),
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

    const fn stream(&self) -> Result<TcpSocketId, Errno> {
        match self.role {
            Role::Stream(id) => Ok(id),
            Role::Fresh | Role::Listener => Err(Errno::NotConnected),
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
    remote: SocketAddr,
    /// The descriptor that became a connection last: assertions are about it.
    current: Option<Fd>,
}

type Called = Result<Progress, Errno>;

fn done(value: i64) -> Called {
    Ok(Progress::Done(Outcome::Value(value)))
}

impl Sockets {
    /// None yet; `remote` is whom `connect` connects to.
    pub(super) const fn new(remote: SocketAddr) -> Self {
        Self { table: BTreeMap::new(), remote, current: None }
    }

    /// What Linux' `tcp_info` would be about.
    pub(super) fn info(&self, host: &mut Host) -> Option<TcpInfo> {
        let socket = self.table.get(&self.current?)?;
        let id = socket.stream().ok()?;
        host.shards.stacks.get_mut(socket.shard)?.tcp().info(id)
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
    pub(super) fn call(&mut self, host: &mut Host, call: &Call, expected: Outcome) -> Progress {
        let now = host.now;
        let result = match *call {
            Call::Socket => self.create(expected, Socket::new(Role::Fresh, SocketOptions::default())),
            Call::Bind { fd } => self.with(fd, |socket| {
                socket.is_bound = true;
                done(0)
            }),
            Call::Listen { fd, backlog } => self.listen(host, fd, backlog),
            Call::Accept { fd } => self.accept(host, fd, expected),
            Call::Connect { fd } => self.connect(host, fd),
            Call::SetFlags { fd, is_nonblocking } => self.with(fd, |socket| {
                socket.is_nonblocking = is_nonblocking;
                done(0)
            }),
            // O_RDWR, O_NONBLOCK
            Call::GetFlags { fd } => {
                self.with(fd, |socket| done(2 + 2048 * i64::from(socket.is_nonblocking)))
            }
            Call::SetOption { fd, option } => {
                self.with_stack(host, fd, |stack, socket| set_option(stack, now, socket, option))
            }
            Call::GetError { fd, expected } => {
                self.with_stack(host, fd, |stack, socket| get_error(stack, socket, expected))
            }
            Call::GetMaxSegment { fd, expected } => self.with_stack(host, fd, |stack, socket| {
                let info = stack.tcp().info(socket.stream()?).ok_or(Errno::NotConnected)?;
                if info.mss == expected { done(0) } else { done(info.mss.into()) }
            }),
            Call::Read { fd, len } => {
                self.with_stack(host, fd, |stack, socket| read(stack, now, socket, len))
            }
            Call::Write { fd, len, is_urgent } => {
                self.with_stack(host, fd, |stack, socket| write(stack, now, socket, len, is_urgent))
            }
            Call::Shutdown { fd, how } => {
                self.with_stack(host, fd, |stack, socket| shutdown(stack, now, socket, how))
            }
            Call::Close { fd } => self.close(host, fd),
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

    fn with_stack(
        &mut self,
        host: &mut Host,
        fd: Fd,
        work: impl FnOnce(&mut Stack, &mut Socket) -> Called,
    ) -> Called {
        let socket = self.table.get_mut(&fd).ok_or(Errno::BadFd)?;
        work(host.shards.stacks.get_mut(socket.shard).ok_or(Errno::BadFd)?, socket)
    }

    fn create(&mut self, expected: Outcome, socket: Socket) -> Called {
        let Outcome::Value(fd) = expected else { return Err(Errno::BadFd) };
        if self.table.contains_key(&fd) {
            return Err(Errno::BadFd);
        }
        if socket.role != Role::Fresh {
            self.current = Some(fd);
        }
        self.table.insert(fd, socket);
        done(fd)
    }

    fn listen(&mut self, host: &mut Host, fd: Fd, backlog: usize) -> Called {
        self.with(fd, |socket| {
            let mut port = if socket.is_bound { BIND_PORT } else { 0 };
            let Socket { fast_open, options, .. } = *socket;
            let fast_open = usize::try_from(fast_open).unwrap_or(usize::MAX);
            let options = ListenOptions { backlog, fast_open, socket: options, ..ListenOptions::default() };
            for stack in &mut host.shards.stacks {
                let id =
                    stack.tcp().listen(TcpBind { address: None, port }, options).map_err(
                        |error| match error {
                            ListenError::AddressInUse | ListenError::PortsExhausted => Errno::AddressInUse,
                            ListenError::TableFull | _ => Errno::NoBuffers,
                        },
                    )?;
                // The first may have chosen it, for all.
                port = stack.tcp().listener_port(id).unwrap_or(port);
                socket.listening.push(id);
            }
            socket.role = Role::Listener;
            done(0)
        })
    }

    fn accept(&mut self, host: &mut Host, fd: Fd, expected: Outcome) -> Called {
        let socket = self.table.get(&fd).ok_or(Errno::BadFd)?;
        if socket.role != Role::Listener {
            return Err(Errno::Invalid);
        }
        let options = socket.options;
        let parts = host.shards.stacks.iter_mut().zip(&socket.listening).enumerate();
        let mut accepted =
            parts.filter_map(|(shard, (stack, &id))| Some((shard, stack.tcp().accept(id)?.id)));
        match accepted.next() {
            Some((shard, id)) => {
                self.create(expected, Socket { shard, ..Socket::new(Role::Stream(id), options) })
            }
            None => Ok(Progress::Blocked),
        }
    }

    fn connect(&mut self, host: &mut Host, fd: Fd) -> Called {
        let (now, remote) = (host.now, self.remote);
        let socket = self.table.get_mut(&fd).ok_or(Errno::BadFd)?;
        if socket.role == Role::Fresh {
            socket.shard = if socket.is_bound {
                host.owner_of((BIND_PORT, remote.port()))
            } else {
                // Any would do: it takes a port that makes the connection its own.
                host.shards.stacks.len() - 1
            };
        }
        let stack = host.shards.stacks.get_mut(socket.shard).ok_or(Errno::BadFd)?;
        match socket.role {
            Role::Fresh => {
                let local = TcpBind { address: None, port: if socket.is_bound { BIND_PORT } else { 0 } };
                let begun = stack.tcp().connect(now, local, remote, &socket.options);
                let id = begun.map_err(|error| match error {
                    ConnectError::NoRoute => Errno::NetworkUnreachable,
                    ConnectError::AddressInUse => Errno::AddressInUse,
                    ConnectError::PortsExhausted => Errno::AddressNotAvailable,
                    ConnectError::InvalidAddress => Errno::Invalid,
                    ConnectError::TableFull | _ => Errno::NoBuffers,
                })?;
                socket.role = Role::Stream(id);
                self.current = Some(fd);
                if stack.tcp().connected(id) == Ok(true) {
                    // With a cookie nobody waits for the handshake.
                    socket.has_reported_connect = true;
                    return done(0);
                }
                if socket.is_nonblocking { Err(Errno::InProgress) } else { Ok(Progress::Blocked) }
            }
            Role::Stream(id) => match stack.tcp().connected(id) {
                Ok(true) if socket.has_reported_connect => Err(Errno::IsConnected),
                Ok(true) => {
                    socket.has_reported_connect = true;
                    done(0)
                }
                Ok(false) if socket.is_nonblocking => Err(Errno::Already),
                Ok(false) => Ok(Progress::Blocked),
                Err(error) => Err(socket.report_error(error).unwrap_or(Errno::ConnectionAborted)),
            },
            Role::Listener => Err(Errno::IsConnected),
        }
    }

    fn close(&mut self, host: &mut Host, fd: Fd) -> Called {
        let socket = self.table.remove(&fd).ok_or(Errno::BadFd)?;
        let now = host.now;
        for (stack, &id) in host.shards.stacks.iter_mut().zip(&socket.listening) {
            stack.tcp().close_listener(now, id);
        }
        if let Role::Stream(id) = socket.role {
            let mut tcp = host.shards.stacks.get_mut(socket.shard).ok_or(Errno::BadFd)?.tcp();
            if socket.resets_on_close { tcp.abort(now, id) } else { tcp.close(now, id) }
        }
        done(0)
    }
}

fn set_option(stack: &mut Stack, now: Instant, socket: &mut Socket, option: SocketOption) -> Called {
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
    let Role::Stream(id) = socket.role else { return done(0) };
    let mut tcp = stack.tcp();
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
fn get_error(stack: &mut Stack, socket: &mut Socket, expected: Option<Errno>) -> Called {
    let error = stack.tcp().error(socket.stream()?);
    let found = error.and_then(|error| socket.report_error(error));
    match (found, expected) {
        (found, expected) if found == expected => done(0),
        (Some(errno), _) => Err(errno),
        (None, _) => done(-1),
    }
}

fn read(stack: &mut Stack, now: Instant, socket: &mut Socket, len: usize) -> Called {
    let mut buffer = vec![0; len];
    match stack.tcp().recv(now, socket.stream()?, &mut buffer) {
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

fn write(stack: &mut Stack, now: Instant, socket: &mut Socket, len: usize, is_urgent: bool) -> Called {
    let id = socket.stream()?;
    let bytes: Vec<u8> = (socket.written..).take(len).map(pattern).collect();
    let mut tcp = stack.tcp();
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

fn shutdown(stack: &mut Stack, now: Instant, socket: &mut Socket, how: Shutdown) -> Called {
    let id = socket.stream()?;
    let mut tcp = stack.tcp();
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
