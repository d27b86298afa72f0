//! axum as server, hyper as client: HTTP/1.1 and HTTP/2, in the clear and over TLS.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::{Method, Request, StatusCode, Uri, Version};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioIo};
use netloom::{Net, TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tower::service_fn;

use crate::hosts::{pattern, run};
use crate::tls::{Identity, TlsListener};

/// Of a body, in bytes.
const LEN: usize = 4_000_000;

/// Who sent a request, by axum's own way to ask.
#[derive(Clone, Debug)]
pub(crate) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// A server that runs.
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// `/hello` greets, `/peer` tells the client's address, and what is posted to `/echo` comes back as it arrives.
    pub(crate) fn start<L: Listener<Addr = SocketAddr>>(listener: L) -> Self
    where
        Peer: for<'a> Connected<IncomingStream<'a, L>>,
    {
        let router = Router::new()
            .route("/hello", get(|| async { "Hello, world!" }))
            .route("/peer", get(|ConnectInfo(Peer(peer)): ConnectInfo<Peer>| async move { peer.to_string() }))
            .route("/echo", post(|body: Body| async { body }));
        let (stop, stopped) = oneshot::channel();
        let service = router.into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(async {
            stopped.await.expect("who serves also stops");
        });
        Self { stop, task: tokio::spawn(serving.into_future()) }
    }

    /// Stops it gracefully: it returns when the last connection has ended.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// A connection from `net` to the host and port of a URI.
fn connect(net: &Net, uri: &Uri) -> BoxFuture<'static, io::Result<TokioIo<TcpStream>>> {
    let net = net.clone();
    let address = uri.authority().unwrap().to_string();
    Box::pin(async move { net.tcp_connect(address).await.map(TokioIo::new) })
}

/// A client whose connections `net` makes; without TLS it cannot negotiate the version.
fn client(net: &Net, version: Version) -> Client<impl Connect + Clone + Send + Sync + 'static + use<>, Body> {
    let net = net.clone();
    Client::builder(TokioExecutor::new())
        .http2_only(version == Version::HTTP_2)
        .build(service_fn(move |uri: Uri| connect(&net, &uri)))
}

async fn exchange(
    client: &Client<impl Connect + Clone + Send + Sync + 'static, Body>,
    version: Version,
    method: Method,
    uri: String,
    body: impl Into<Body>,
) -> Bytes {
    let request = Request::builder().method(method).uri(uri).body(body.into()).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, version));
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Bodies of megabytes one after the other, then many requests at once; how many connections each took.
async fn converse(
    client: &Client<impl Connect + Clone + Send + Sync + 'static, Body>,
    version: Version,
    base: &str,
) -> [usize; 2] {
    let echo_and_ask = |len, seed| async move {
        let body = pattern(len, seed);
        let echoed = exchange(client, version, Method::POST, format!("{base}/echo"), body.clone()).await;
        assert!(echoed == body, "a body of {len} bytes comes back changed");
        exchange(client, version, Method::GET, format!("{base}/peer"), Body::empty()).await
    };
    let mut one_by_one = BTreeSet::new();
    for seed in 0..3 {
        one_by_one.insert(echo_and_ask(LEN, seed).await);
    }
    let at_once = join_all((0..50).map(|seed| echo_and_ask(100_000, seed))).await;
    [one_by_one.len(), at_once.into_iter().collect::<BTreeSet<_>>().len()]
}

#[test]
fn http_1_opens_connections_for_many_at_once() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let server = Server::start(listener);
        let client = client(&hosts.client, Version::HTTP_11);
        // Whether the next of a row finds the last one's connection depends on when hyper gives it back; curl keeps it.
        let [_, at_once] = converse(&client, Version::HTTP_11, &format!("http://{address}")).await;
        assert!(at_once > 1);
        drop(client);
        server.stop().await;
    });
}

#[test]
fn http_2_carries_all_on_one_connection() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let server = Server::start(listener);
        let client = client(&hosts.client, Version::HTTP_2);
        assert_eq!(converse(&client, Version::HTTP_2, &format!("http://{address}")).await, [1, 1]);
        drop(client);
        server.stop().await;
    });
}

#[test]
fn https_agrees_on_the_version() {
    run(|hosts| async move {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let identity = Identity::new();
            let (listener, address) = hosts.listen().await;
            let protocol: &[u8] = if version == Version::HTTP_2 { b"h2" } else { b"http/1.1" };
            let server = Server::start(TlsListener::new(listener, identity.acceptor(&[protocol])));
            let net = hosts.client.clone();
            let https = HttpsConnectorBuilder::new().with_tls_config(identity.client_config());
            let https = https.https_only().enable_all_versions();
            let connector = https.wrap_connector(service_fn(move |uri: Uri| connect(&net, &uri)));
            let client = Client::builder(TokioExecutor::new()).build(connector);
            let [one_by_one, at_once] = converse(&client, version, &format!("https://{address}")).await;
            match version {
                Version::HTTP_2 => assert_eq!([one_by_one, at_once], [1, 1]),
                _ => assert!(at_once > 1),
            }
            drop(client);
            server.stop().await;
        }
    });
}

#[test]
fn a_server_that_stops_ends_what_it_began_and_takes_no_more() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let server = Server::start(listener);
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let client = client(&hosts.client, version);
            let body =
                exchange(&client, version, Method::GET, format!("http://{address}/hello"), Body::empty());
            assert_eq!(body.await, "Hello, world!");
        }
        let client = client(&hosts.client, Version::HTTP_11);
        let (pieces, body) = mpsc::channel::<io::Result<Bytes>>(1);
        let body = stream::unfold(body, |mut body| async move { Some((body.recv().await?, body)) });
        let request = Request::post(format!("http://{address}/echo")).body(Body::from_stream(body)).unwrap();
        pieces.send(Ok(Bytes::from_static(b"begun "))).await.unwrap();
        let response = client.request(request).await.unwrap();
        let mut echoed = response.into_body().into_data_stream();
        assert_eq!(echoed.next().await.unwrap().unwrap(), "begun ");

        let mut stopping = pin!(server.stop());
        tokio::select! {
            biased;
            () = &mut stopping => panic!("a request is not answered yet"),
            () = yield_now() => {}
        }
        // The server takes note of it in a task of its own; who comes before is accepted, or reset with the listener.
        let is_refused = |result: io::Result<TcpStream>| {
            result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        while !is_refused(hosts.client.tcp_connect(address).await) {
            yield_now().await;
        }
        pieces.send(Ok(Bytes::from_static(b"and ended"))).await.unwrap();
        drop(pieces);
        assert_eq!(echoed.next().await.unwrap().unwrap(), "and ended");
        assert!(echoed.next().await.is_none());
        stopping.await;
    });
}
