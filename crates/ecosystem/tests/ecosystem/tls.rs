//! rustls at both ends, and OpenSSL at the other.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use netloom::{TcpListener, TcpStream};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::hosts::{Hosts, pattern, run};
use crate::namespace::{self, FAMILIES};

/// Each way, in bytes.
const LEN: usize = 4_000_000;

/// A certificate that signs itself, for every address of the tests.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let names = ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        Self {
            certificate: cert.der().clone(),
            key: PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
            certificate_pem: cert.pem(),
            key_pem: signing_key.serialize_pem(),
        }
    }

    /// The server's side, which speaks the first of these protocols that the client speaks too.
    pub(crate) fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let chain = vec![self.certificate.clone()];
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(chain, self.key.clone_key()).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config).into()
    }

    /// The side of a client that trusts it, and nobody else.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
    }

    fn connector(&self) -> TlsConnector {
        Arc::new(self.client_config()).into()
    }

    /// Writes the certificate and the key where other programs can read them; their paths.
    pub(crate) fn write(&self, directory: &tempfile::TempDir) -> [String; 2] {
        [("certificate.pem", &self.certificate_pem), ("key.pem", &self.key_pem)].map(|(name, text)| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        })
    }
}

/// What axum serves: the connections of a listener, once their handshake is done.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl TlsListener {
    pub(crate) fn new(tcp: TcpListener, acceptor: TlsAcceptor) -> Self {
        Self { tcp, acceptor }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = axum::serve::Listener::accept(&mut self.tcp).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// A connection on which the handshake is done: the client's end and the server's.
async fn pair(hosts: &Hosts, identity: &Identity) -> (client::TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let (listener, address) = hosts.listen().await;
    let outgoing = hosts.client.tcp_connect(address).await.unwrap();
    let (incoming, _) = listener.accept().await.unwrap();
    let connector = identity.connector();
    let acceptor = identity.acceptor(&[]);
    let (ours, theirs) =
        tokio::join!(connector.connect(address.ip().into(), outgoing), acceptor.accept(incoming));
    (ours.unwrap(), theirs.unwrap())
}

#[test]
fn each_way_ends_by_itself() {
    run(|hosts| async move {
        let (mut client, mut server) = pair(&hosts, &Identity::new()).await;
        let (request, answer) = (pattern(LEN, 1), pattern(LEN, 2));
        let at_client = async {
            client.write_all(&request).await.unwrap();
            client.shutdown().await.unwrap();
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            read
        };
        let at_server = async {
            let mut read = Vec::new();
            // It returns only because close_notify has come before FIN.
            server.read_to_end(&mut read).await.unwrap();
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
            read
        };
        let (at_client, at_server) = tokio::join!(at_client, at_server);
        assert!(at_client == answer && at_server == request, "a byte is changed");
    });
}

#[test]
fn a_fin_without_close_notify_is_a_truncated_stream() {
    run(|hosts| async move {
        let (mut client, server) = pair(&hosts, &Identity::new()).await;
        let (mut bare, _) = server.into_inner();
        bare.shutdown().await.unwrap();
        let error = client.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_server_whom_the_client_does_not_trust_is_told() {
    run(|hosts| async move {
        let (listener, address) = hosts.listen().await;
        let outgoing = hosts.client.tcp_connect(address).await.unwrap();
        let (incoming, _) = listener.accept().await.unwrap();
        let connector = Identity::new().connector();
        let acceptor = Identity::new().acceptor(&[]);
        let (ours, theirs) =
            tokio::join!(connector.connect(address.ip().into(), outgoing), acceptor.accept(incoming));
        assert_eq!(ours.unwrap_err().kind(), ErrorKind::InvalidData);
        // The alert, not a reset that overtook it.
        assert_eq!(theirs.unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn openssl_answers_our_client() {
    namespace::run(&["openssl"], |net| async move {
        let identity = Identity::new();
        let directory = tempfile::tempdir().unwrap();
        let [certificate, key] = identity.write(&directory);
        for family in FAMILIES {
            let address = family.kernels(443);
            let listen = address.to_string();
            let arguments =
                ["s_server", "-accept", &listen, "-cert", &certificate, "-key", &key, "-tls1_3", "-rev"];
            let mut server = namespace::program("openssl", &arguments).spawn().unwrap();
            let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
            while said.next_line().await.unwrap().expect("it says when it is ready") != "ACCEPT" {}
            let stream = net.tcp_connect(address).await.unwrap();
            let name = ServerName::from(address.ip());
            let mut stream = BufReader::new(identity.connector().connect(name, stream).await.unwrap());
            let mut line = String::new();
            stream.write_all(b"backwards\n").await.unwrap();
            stream.read_line(&mut line).await.unwrap();
            assert_eq!(line, "sdrawkcab\n");
            stream.shutdown().await.unwrap();
            server.kill().await.unwrap();
        }
    });
}
