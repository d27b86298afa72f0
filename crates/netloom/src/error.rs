//! The one place where the stack's errors become `io::Error`s: the kinds are those that std's sockets give.

use std::io::{self, ErrorKind};

use netloom_stack::internet::{EchoOpenError, EchoSendError};
use netloom_stack::transport::{
    ConnectError, ListenError, RecvError, SendError, TcpError, UdpBindError, UdpConnectError, UdpGroupError,
    UdpRecvError, UdpSendError, UdpSocketError,
};
use netloom_wire::CidrError;
use nix::errno::Errno;

/// The socket, or the stack under it, does not exist any more.
pub(crate) fn gone() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the stack has ended")
}

/// A name has no address.
pub(crate) fn no_address() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "the name has no address")
}

/// `text` is no address with a prefix.
pub(crate) fn of_cidr(text: &str, error: &CidrError) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{text:?}: {error}"))
}

pub(crate) fn of_tcp(error: TcpError) -> io::Error {
    let kind = match error {
        TcpError::ConnectionRefused => ErrorKind::ConnectionRefused,
        TcpError::ConnectionReset => ErrorKind::ConnectionReset,
        TcpError::ConnectionAborted => ErrorKind::ConnectionAborted,
        TcpError::TimedOut => ErrorKind::TimedOut,
        TcpError::NetworkUnreachable => ErrorKind::NetworkUnreachable,
        TcpError::HostUnreachable => ErrorKind::HostUnreachable,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_connect(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::NoRoute => ErrorKind::NetworkUnreachable,
        ConnectError::InvalidAddress => ErrorKind::InvalidInput,
        ConnectError::AddressInUse | ConnectError::PortsExhausted => ErrorKind::AddrNotAvailable,
        ConnectError::TableFull => ErrorKind::OutOfMemory,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_listen(error: ListenError) -> io::Error {
    let kind = match error {
        ListenError::AddressInUse | ListenError::PortsExhausted => ErrorKind::AddrInUse,
        ListenError::TableFull => ErrorKind::OutOfMemory,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_send(error: SendError) -> io::Error {
    match error {
        SendError::Shutdown => ErrorKind::BrokenPipe.into(),
        SendError::Failed(error) => of_tcp(error),
        SendError::NotFound => gone(),
        _ => io::Error::other(error),
    }
}

pub(crate) fn of_recv(error: RecvError) -> io::Error {
    match error {
        RecvError::Failed(error) => of_tcp(error),
        RecvError::NotFound => gone(),
        _ => io::Error::other(error),
    }
}

pub(crate) fn of_udp_bind(error: UdpBindError) -> io::Error {
    let kind = match error {
        UdpBindError::AddressInUse | UdpBindError::PortsExhausted => ErrorKind::AddrInUse,
        UdpBindError::TooManySockets => ErrorKind::OutOfMemory,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_udp_connect(error: UdpConnectError) -> io::Error {
    let kind = match error {
        UdpConnectError::NoSocket => return gone(),
        UdpConnectError::InvalidRemote | UdpConnectError::FamilyMismatch => ErrorKind::InvalidInput,
        UdpConnectError::AddressInUse => ErrorKind::AddrInUse,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_udp_send(error: UdpSendError) -> io::Error {
    let kind = match error {
        UdpSendError::WouldBlock => ErrorKind::WouldBlock,
        UdpSendError::NotConnected => return Errno::EDESTADDRREQ.into(),
        UdpSendError::MessageTooLong => return Errno::EMSGSIZE.into(),
        UdpSendError::InvalidRemote | UdpSendError::FamilyMismatch | UdpSendError::TrainTooLong => {
            ErrorKind::InvalidInput
        }
        UdpSendError::NoSocket => return gone(),
        UdpSendError::Socket(error) => return of_udp_socket(error),
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_udp_recv(error: UdpRecvError) -> io::Error {
    match error {
        UdpRecvError::WouldBlock => ErrorKind::WouldBlock.into(),
        UdpRecvError::NoSocket => gone(),
        UdpRecvError::Socket(error) => of_udp_socket(error),
        _ => io::Error::other(error),
    }
}

pub(crate) fn of_udp_group(error: UdpGroupError) -> io::Error {
    let kind = match error {
        UdpGroupError::NotMulticast => ErrorKind::InvalidInput,
        UdpGroupError::AlreadyJoined => ErrorKind::AddrInUse,
        UdpGroupError::NotJoined => ErrorKind::AddrNotAvailable,
        UdpGroupError::TooManyGroups => return Errno::ENOBUFS.into(),
        UdpGroupError::NoSocket => return gone(),
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_udp_socket(error: UdpSocketError) -> io::Error {
    let kind = match error {
        UdpSocketError::ConnectionRefused => ErrorKind::ConnectionRefused,
        UdpSocketError::HostUnreachable => ErrorKind::HostUnreachable,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_echo_open(error: EchoOpenError) -> io::Error {
    let kind = match error {
        EchoOpenError::IdentifierInUse => ErrorKind::AddrInUse,
        EchoOpenError::Full => ErrorKind::OutOfMemory,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(crate) fn of_echo_send(error: EchoSendError) -> io::Error {
    let kind = match error {
        EchoSendError::NoSocket => return gone(),
        EchoSendError::InvalidRemote => ErrorKind::InvalidInput,
        EchoSendError::NoRoute => ErrorKind::NetworkUnreachable,
        EchoSendError::TooLong => return Errno::EMSGSIZE.into(),
        EchoSendError::QueueFull => return Errno::ENOBUFS.into(),
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every error beside what std gives for the same mishap.
    #[test]
    fn kinds_are_those_of_std() {
        for (error, kind) in [
            (of_cidr("10.0.0.2", &CidrError::NoPrefixLength), ErrorKind::InvalidInput),
            (of_tcp(TcpError::ConnectionRefused), ErrorKind::ConnectionRefused),
            (of_tcp(TcpError::ConnectionReset), ErrorKind::ConnectionReset),
            (of_tcp(TcpError::ConnectionAborted), ErrorKind::ConnectionAborted),
            (of_tcp(TcpError::TimedOut), ErrorKind::TimedOut),
            (of_tcp(TcpError::NetworkUnreachable), ErrorKind::NetworkUnreachable),
            (of_tcp(TcpError::HostUnreachable), ErrorKind::HostUnreachable),
            (of_connect(ConnectError::NoRoute), ErrorKind::NetworkUnreachable),
            (of_connect(ConnectError::InvalidAddress), ErrorKind::InvalidInput),
            (of_connect(ConnectError::AddressInUse), ErrorKind::AddrNotAvailable),
            (of_connect(ConnectError::PortsExhausted), ErrorKind::AddrNotAvailable),
            (of_connect(ConnectError::TableFull), ErrorKind::OutOfMemory),
            (of_listen(ListenError::AddressInUse), ErrorKind::AddrInUse),
            (of_listen(ListenError::PortsExhausted), ErrorKind::AddrInUse),
            (of_listen(ListenError::TableFull), ErrorKind::OutOfMemory),
            (of_send(SendError::Shutdown), ErrorKind::BrokenPipe),
            (of_send(SendError::Failed(TcpError::ConnectionReset)), ErrorKind::ConnectionReset),
            (of_send(SendError::Failed(TcpError::TimedOut)), ErrorKind::TimedOut),
            (of_send(SendError::NotFound), ErrorKind::NotConnected),
            (of_recv(RecvError::Failed(TcpError::ConnectionReset)), ErrorKind::ConnectionReset),
            (of_recv(RecvError::NotFound), ErrorKind::NotConnected),
            (of_udp_bind(UdpBindError::AddressInUse), ErrorKind::AddrInUse),
            (of_udp_bind(UdpBindError::TooManySockets), ErrorKind::OutOfMemory),
            (of_udp_connect(UdpConnectError::InvalidRemote), ErrorKind::InvalidInput),
            (of_udp_send(UdpSendError::WouldBlock), ErrorKind::WouldBlock),
            (of_udp_group(UdpGroupError::AlreadyJoined), ErrorKind::AddrInUse),
            (of_udp_group(UdpGroupError::NotJoined), ErrorKind::AddrNotAvailable),
            (of_udp_recv(UdpRecvError::WouldBlock), ErrorKind::WouldBlock),
            (
                of_udp_recv(UdpRecvError::Socket(UdpSocketError::ConnectionRefused)),
                ErrorKind::ConnectionRefused,
            ),
            (of_udp_recv(UdpRecvError::Socket(UdpSocketError::HostUnreachable)), ErrorKind::HostUnreachable),
            (of_echo_open(EchoOpenError::IdentifierInUse), ErrorKind::AddrInUse),
            (of_echo_open(EchoOpenError::Full), ErrorKind::OutOfMemory),
            (of_echo_send(EchoSendError::NoSocket), ErrorKind::NotConnected),
            (of_echo_send(EchoSendError::InvalidRemote), ErrorKind::InvalidInput),
            (of_echo_send(EchoSendError::NoRoute), ErrorKind::NetworkUnreachable),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    /// Errors for which std has no kind, by their number.
    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (error, number) in [
            (of_udp_send(UdpSendError::MessageTooLong), Errno::EMSGSIZE),
            (of_udp_send(UdpSendError::NotConnected), Errno::EDESTADDRREQ),
            (of_udp_group(UdpGroupError::TooManyGroups), Errno::ENOBUFS),
            (of_echo_send(EchoSendError::TooLong), Errno::EMSGSIZE),
            (of_echo_send(EchoSendError::QueueFull), Errno::ENOBUFS),
        ] {
            assert_eq!(error.raw_os_error(), Some(number as i32), "{error}");
        }
    }
}
