//! Transport layer of netloom: TCP from LISTEN to TIME-WAIT, UDP, ports.
#![forbid(unsafe_code)]

mod ports;
mod udp;

pub use ports::{EphemeralPorts, PortRange, PortsExhausted};
pub use udp::{
    Udp, UdpBind, UdpBindError, UdpConfig, UdpConnectError, UdpCounters, UdpEvent, UdpGroupChange,
    UdpGroupError, UdpIcmpReport, UdpOptions, UdpOutput, UdpReceived, UdpRecvError, UdpSendError, UdpSocketError,
    UdpSocketId, UdpSocketInfo,
};
