//! What the suite runs in: two hosts that can reach each other.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::JoinHandle;
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

/// The runtime that the tests run on, by which of the test programs this is.
fn runtime() -> Runtime {
    let mut builder = match env!("CARGO_CRATE_NAME") {
        "sockets_on_threads" => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Runs a test, and looks for what it leaves behind.
pub(crate) fn run<W: World, F: Future<Output = ()>>(test: impl FnOnce(Arc<W>) -> F) {
    let runtime = runtime();
    runtime.block_on(async {
        let world = Arc::new(W::start());
        timeout(LIMIT, test(Arc::clone(&world))).await.expect("it ends");
        world.end().await;
    });
}

/// Fails if `other`, which is always ready, has not run while this task found all that it waited for.
pub(crate) async fn assert_has_run(other: JoinHandle<()>) {
    // On several threads it runs when one of the others comes to it.
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        assert!(other.is_finished());
    }
    other.await.unwrap();
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
