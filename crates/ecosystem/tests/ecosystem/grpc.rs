//! tonic at both ends, and over the kernel's sockets at one: a service of bytes, so that no protocol is to be compiled.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::http;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use bytes::{Buf, BufMut, Bytes};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, BoxStream};
use hyper_util::rt::TokioIo;
use netloom::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{self, Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Service, service_fn};

use crate::hosts::{pattern, run};
use crate::namespace::{self, FAMILIES};

/// Sends the message back.
pub(crate) const ECHO: &str = "/test.Bytes/Echo";
/// Tells the address that the request comes from.
const PEER: &str = "/test.Bytes/Peer";
/// Answers with every prefix of the message, the shortest first.
const PREFIXES: &str = "/test.Bytes/Prefixes";
/// Sends each message back as it comes.
const CONVERSE: &str = "/test.Bytes/Converse";

/// A message is its bytes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        target.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}

async fn echo(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    if request.get_ref().is_empty() {
        Err(Status::not_found("no bytes"))
    } else {
        Ok(Response::new(request.into_inner()))
    }
}

async fn peer(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let address = request.remote_addr().ok_or_else(|| Status::internal("no address"))?;
    Ok(Response::new(address.to_string().into()))
}

type Messages = BoxStream<'static, Result<Bytes, Status>>;

async fn prefixes(request: Request<Bytes>) -> Result<Response<Messages>, Status> {
    let bytes = request.into_inner();
    let prefixes = (1..=bytes.len()).map(move |len| Ok(bytes.slice(..len)));
    Ok(Response::new(stream::iter(prefixes).boxed()))
}

async fn converse(request: Request<Streaming<Bytes>>) -> Result<Response<Messages>, Status> {
    Ok(Response::new(request.into_inner().boxed()))
}

/// All of them, as what tonic generates from a protocol does it.
#[derive(Clone, Copy)]
struct BytesService;

impl Service<http::Request<Body>> for BytesService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(match request.uri().path() {
                ECHO => grpc.unary(service_fn(echo), request).await,
                PEER => grpc.unary(service_fn(peer), request).await,
                PREFIXES => grpc.server_streaming(service_fn(prefixes), request).await,
                CONVERSE => grpc.streaming(service_fn(converse), request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// A server that runs.
pub(crate) struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), transport::Error>>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener) -> Self {
        let (stop, stopped) = oneshot::channel();
        let incoming = stream::unfold(listener, |listener| async move {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let serving =
            transport::Server::builder().serve_with_incoming_shutdown(BytesService, incoming, async {
                stopped.await.expect("who serves also stops");
            });
        Self { stop, task: tokio::spawn(serving) }
    }

    /// Stops it gracefully: it returns when the last connection has ended.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

async fn unary(channel: &Channel, path: &'static str, message: Bytes) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    grpc.unary(Request::new(message), path, Raw).await.map(Response::into_inner)
}

/// All kinds of calls.
async fn call(channel: Channel) {
    let large = Bytes::from(pattern(3_000_000, 1));
    assert!(
        unary(&channel, ECHO, large.clone()).await.unwrap() == large,
        "a large message comes back changed"
    );
    let at_once = (1..100).map(|seed| {
        let channel = channel.clone();
        async move {
            let message = Bytes::from(pattern(10_000, seed));
            assert!(unary(&channel, ECHO, message.clone()).await.unwrap() == message, "one of many, {seed}");
        }
    });
    join_all(at_once).await;
    for (path, code) in [(ECHO, Code::NotFound), ("/test.Bytes/Other", Code::Unimplemented)] {
        assert_eq!(unary(&channel, path, Bytes::new()).await.unwrap_err().code(), code);
    }

    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let message = Bytes::from(pattern(2_000, 2));
    let path = PathAndQuery::from_static(PREFIXES);
    let answers = grpc.server_streaming(Request::new(message.clone()), path, Raw).await.unwrap().into_inner();
    let answers: Vec<Bytes> = answers.map(Result::unwrap).collect().await;
    let prefixes: Vec<Bytes> = (1..=message.len()).map(|len| message.slice(..len)).collect();
    assert!(answers == prefixes, "{} answers", answers.len());

    grpc.ready().await.unwrap();
    let (messages, queue) = mpsc::channel::<Bytes>(1);
    let queue = stream::unfold(queue, |mut queue| async move { Some((queue.recv().await?, queue)) });
    let path = PathAndQuery::from_static(CONVERSE);
    let mut answers = grpc.streaming(Request::new(queue), path, Raw).await.unwrap().into_inner();
    for seed in 0..200 {
        // The next is sent only when this one has come back.
        let message = Bytes::from(pattern(1_000, seed));
        messages.send(message.clone()).await.unwrap();
        assert_eq!(answers.message().await.unwrap(), Some(message));
    }
    drop(messages);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[test]
fn calls_of_all_kinds_are_answered() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let server = Server::start(listener);
        let net = hosts.client.clone();
        let connector = service_fn(move |_: Uri| {
            let net = net.clone();
            async move { net.tcp_connect(address).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect_with_connector(connector).await.unwrap();
        let peer = unary(&channel, PEER, Bytes::new()).await.unwrap();
        let client_address = hosts.client.addresses()[0].address();
        let peer: std::net::SocketAddr = std::str::from_utf8(&peer).unwrap().parse().unwrap();
        assert_eq!(peer.ip(), client_address);
        call(channel).await;
        server.stop().await;
    });
}

#[test]
fn the_kernels_sockets_understand_us() {
    namespace::run(&[], |net| async move {
        for family in FAMILIES {
            let address = family.ours(50051);
            let server = Server::start(net.tcp_listen(address).await.unwrap());
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            let connector = service_fn(move |_: Uri| async move {
                tokio::net::TcpStream::connect(address).await.map(TokioIo::new)
            });
            call(endpoint.connect_with_connector(connector).await.unwrap()).await;
            server.stop().await;
        }
    });
}
