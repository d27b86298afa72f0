//! What crates that are built on tokio ask of a connection by traits of their own: each behind the feature that has the
//! crate's name. `axum`'s trait is the listener's, and stands with it.

#[cfg(any(feature = "hyper-util", feature = "tonic"))]
use crate::TcpStream;

/// `hyper_util::rt::TokioIo<TcpStream>` is what a connector of its client may return.
#[cfg(feature = "hyper-util")]
impl hyper_util::client::legacy::connect::Connection for TcpStream {
    fn connected(&self) -> hyper_util::client::legacy::connect::Connected {
        hyper_util::client::legacy::connect::Connected::new()
    }
}

/// A stream of connections is what its server serves, and a request knows the addresses of its own.
#[cfg(feature = "tonic")]
impl tonic::transport::server::Connected for TcpStream {
    type ConnectInfo = tonic::transport::server::TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        Self::ConnectInfo { local_addr: self.local_addr().ok(), remote_addr: self.peer_addr().ok() }
    }
}
