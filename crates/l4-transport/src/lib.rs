//! Transport layer of netloom: TCP from LISTEN to TIME-WAIT, UDP, ports.
#![forbid(unsafe_code)]

mod offer;
mod ports;
mod tcp;
mod udp;

pub use offer::TakenText;
pub use ports::{EphemeralPorts, PortRange, PortsExhausted};
pub use tcp::{
    Accepted, ChallengeCause, Congestion, ConnectError, EcnMode, EndReason, FastOpenFallback, FastOpenSecret,
    FourTuple, IcmpIgnored, InvalidTransition, Keepalive, ListenError, ListenOptions, NoSuchSocket, Origin,
    PathAdvice, PathMtuSearch, PayloadRef, PendingState, ProbeCause, RecoveryPhase, Recv, RecvError,
    ResetCause, RetransmitCause, RtoCause, SegmentPlan, SendBlockedBy, SendError, SocketOptions, SynAnswer,
    SynCookieMode, Tcp, TcpBind, TcpConfig, TcpCounters, TcpError, TcpEvent, TcpInfo, TcpInput,
    TcpListenerId, TcpListenerInfo, TcpPending, TcpPendingId, TcpSocketId, TcpState, TcpUsage,
    TxSegmentation, UnknownCongestion, next_state,
};
pub use udp::{
    MAX_TRAIN_LEN, Udp, UdpBind, UdpBindError, UdpConfig, UdpConnectError, UdpCounters, UdpEvent,
    UdpGroupChange, UdpGroupError, UdpIcmpReport, UdpOptions, UdpOutput, UdpReceived, UdpRecvError,
    UdpSendError, UdpSocketError, UdpSocketId, UdpSocketInfo,
};
