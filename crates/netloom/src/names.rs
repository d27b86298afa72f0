//! Names of hosts, where a socket takes the first of their addresses that will do.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{ToSocketAddrs, lookup_host};

use crate::error;

/// What `attempt` makes of the first address that it can make something of; the last error if there is none.
pub(crate) async fn first_of<R, F: Future<Output = io::Result<R>>>(
    addresses: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<R> {
    let mut last = None;
    for address in lookup_host(addresses).await? {
        match attempt(address).await {
            Ok(result) => return Ok(result),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(error::no_address))
}
