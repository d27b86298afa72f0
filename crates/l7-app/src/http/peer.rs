//! Who is at the other end of a request.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::Extensions;

/// The addresses of a connection, found in a request's extensions as `ConnectInfo<Peer>`.
///
/// [`serve`](crate::http::serve) puts it there. Under `axum::serve` the endpoints know their client when the router is
/// served with `into_make_service_with_connect_info::<SocketAddr>()`, which axum offers for tokio's listener, and for
/// any other after `tap_io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's end.
    pub address: SocketAddr,
    /// The address that the listener is bound to, where it is known.
    pub listener: Option<SocketAddr>,
}

impl Peer {
    /// The peer of the request with these extensions, if whoever serves it told.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        let told = extensions.get::<ConnectInfo<Self>>().map(|info| info.0);
        told.or_else(|| {
            let address = extensions.get::<ConnectInfo<SocketAddr>>()?.0;
            Some(Self { address, listener: None })
        })
    }

    /// The client's IP address as text; an IPv4 address mapped into IPv6 is shown as IPv4.
    pub(crate) fn origin(extensions: &Extensions) -> String {
        Self::of(extensions)
            .map_or_else(|| "unknown".to_owned(), |peer| peer.address.ip().to_canonical().to_string())
    }
}
