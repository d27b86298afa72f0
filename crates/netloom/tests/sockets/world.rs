//! What the suite runs in: two hosts that can reach each other.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::net::{TcpListener, TcpStream};

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// Two hosts.
pub(crate) trait World: Sized + Send + Sync + 'static {
    /// The server's address.
    const SERVER: IpAddr;
    /// Broadcast on the network between them.
    const BROADCAST: Ipv4Addr;

    /// Builds it, on the present runtime.
    fn start() -> Self;
    /// Does `work` on the server.
    async fn server<F: Future>(&self, work: F) -> F::Output;
    /// Does `work` on the client.
    async fn client<F: Future>(&self, work: F) -> F::Output;
    /// Waits until nothing is left of any socket, and ends it.
    async fn end(&self);
}

/// Runs a test, and looks for what it leaves behind.
pub(crate) fn run<W: World, F: Future<Output = ()>>(test: impl FnOnce(Arc<W>) -> F) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = Arc::new(W::start());
        timeout(LIMIT, test(Arc::clone(&world))).await.expect("it ends");
        world.end().await;
    });
}

/// A listener of the server, at a port of its own.
pub(crate) async fn listen<W: World>(world: &W) -> (TcpListener, SocketAddr) {
    let listener = world.server(TcpListener::bind((W::SERVER, 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection: the server's end and the client's.
pub(crate) async fn pair<W: World>(world: &W) -> (TcpStream, TcpStream) {
    let (listener, address) = listen(world).await;
    let outgoing = world.client(TcpStream::connect(address)).await.unwrap();
    (listener.accept().await.unwrap().0, outgoing)
}
