//! Conversations between netloom and a peer: both ends send, close their half, read to the end, and compare.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use netloom::device::TunTap;
use netloom::{Net, TcpStream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpSocket;
use tokio::sync::{Barrier, oneshot, watch};

use crate::ground::Namespace;
use crate::smoltcp_peer::{Conversation, Role, Site, SmoltcpPeer};
use crate::transfer::{pattern, write_and_finish};

/// What each end sends to the other, in each role.
pub(crate) const LEN: usize = 10_000_000;

/// smoltcp's ports begin here: those that it listens on, and those that it connects from.
const SMOLTCP_PORTS: u16 = 50_000;

/// Which end is the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Listening {
    Ours,
    Peer,
}

/// A conversation to be had.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// netloom's address.
    ours: &'static str,
    /// The peer's.
    peer: &'static str,
    listening: Listening,
}

/// Between the addresses of each pair, netloom's and the peer's, one conversation with netloom as server and one as client.
pub(crate) fn both_roles(pairs: &[[&'static str; 2]]) -> Vec<Plan> {
    let roles = |&[ours, peer]: &[&'static str; 2]| {
        [Listening::Ours, Listening::Peer].map(|listening| Plan { ours, peer, listening })
    };
    pairs.iter().flat_map(roles).collect()
}

/// How many bytes have come in each conversation, at netloom's end and at the peer's.
pub(crate) type Progress = watch::Sender<Vec<[usize; 2]>>;

/// Nothing has come yet.
pub(crate) fn progress(plan: &[Plan]) -> Progress {
    watch::Sender::new(vec![[0; 2]; plan.len()])
}

/// Waits until a third has come at the fastest end, and something at each. No end has all then: so whatever happens next happens in the
/// middle of every conversation.
pub(crate) async fn a_third_has_come(progress: &Progress) {
    let mut arrived = progress.subscribe();
    let is_time = |arrived: &Vec<[usize; 2]>| {
        let ends = || arrived.iter().flatten();
        ends().any(|&len| len >= LEN / 3) && ends().all(|&len| len > 0)
    };
    let arrived = arrived.wait_for(is_time).await.expect("the other end is here");
    assert!(arrived.iter().flatten().all(|&len| len < LEN), "one was much faster than another: {arrived:?}");
}

fn socket_address(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// The patterns that netloom and the peer send in a conversation.
fn seeds(conversation: usize) -> [u64; 2] {
    [0, 1].map(|side| 2 * conversation as u64 + side)
}

/// netloom's end, once all have `begun`. `peer` is what the peer does, and gives what it has got.
async fn converse(
    ours: TcpStream,
    peer: impl Future<Output = Vec<u8>>,
    conversation: usize,
    len: usize,
    begun: &Barrier,
    progress: Option<&Progress>,
) {
    begun.wait().await;
    let [from_us, from_peer] = seeds(conversation).map(|seed| pattern(len, seed));
    let (read, write) = tokio::io::split(ours);
    let ((), at_us, at_peer) = tokio::join!(
        write_and_finish(write, &from_us),
        read_telling(read, [conversation, 0], progress),
        peer
    );
    assert!(at_peer == from_us, "the peer got {} bytes, and not those that we sent", at_peer.len());
    assert!(at_us == from_peer, "we got {} bytes, and not those that the peer sent", at_us.len());
}

/// Reads up to the end of the stream, and tells how far it is.
async fn read_telling(
    mut stream: impl AsyncRead + Unpin,
    [conversation, end]: [usize; 2],
    progress: Option<&Progress>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(1 << 16);
        let len = stream.read_buf(&mut bytes).await.expect("read");
        if len == 0 {
            return bytes;
        }
        if let Some(progress) = progress {
            progress.send_modify(|arrived| arrived[conversation][end] += len);
        }
    }
}

/// With the kernel in `far`, all at the same time.
pub(crate) async fn with_kernel(net: &Net, far: &Namespace, plan: &[Plan], progress: Option<&Progress>) {
    let begun = Barrier::new(plan.len());
    let numbered = plan.iter().enumerate();
    let conversations =
        numbered.map(|(number, &plan)| with_kernel_once(net, far, plan, number, &begun, progress));
    join_all(conversations).await;
}

async fn with_kernel_once(
    net: &Net,
    far: &Namespace,
    plan: Plan,
    conversation: usize,
    begun: &Barrier,
    progress: Option<&Progress>,
) {
    let Plan { ours, peer: theirs, listening } = plan;
    let socket = far
        .enter(|| if theirs.contains(':') { TcpSocket::new_v6() } else { TcpSocket::new_v4() })
        .expect("a socket");
    let (ours, theirs) = match listening {
        Listening::Ours => {
            let listener = net.tcp_listen(socket_address(ours, 0)).await.expect("a listener");
            let address = listener.local_addr().expect("an address");
            let (theirs, ours) = tokio::join!(socket.connect(address), listener.accept());
            (ours.expect("we accept").0, theirs.expect("the kernel connects"))
        }
        Listening::Peer => {
            socket.bind(socket_address(theirs, 0)).expect("an address");
            let listener = socket.listen(1).expect("a listener");
            let address = listener.local_addr().expect("an address");
            let (theirs, ours) = tokio::join!(listener.accept(), net.tcp_connect(address));
            (ours.expect("we connect"), theirs.expect("the kernel accepts").0)
        }
    };
    let from_peer = pattern(LEN, seeds(conversation)[1]);
    let (read, write) = theirs.into_split();
    let peer = async {
        let ((), got) = tokio::join!(
            write_and_finish(write, &from_peer),
            read_telling(read, [conversation, 1], progress)
        );
        got
    };
    converse(ours, peer, conversation, LEN, begun, progress).await;
}

/// How smoltcp gets the 10 MB of a conversation to the other end.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Over how many connections.
    pub(crate) streams: usize,
    /// What each of its sockets buffers each way, in bytes.
    pub(crate) buffer_len: usize,
}

impl Effort {
    /// One connection without window scaling. Of a larger window more is lost at a time than smoltcp repairs without its timer.
    pub(crate) const USUAL: Self = Self { streams: 1, buffer_len: 65_535 };
}

/// With smoltcp behind `tap`, all at the same time, Gives smoltcp, which must go on for as long as
/// our end is not over.
pub(crate) async fn with_smoltcp(
    net: &Net,
    (tap, site): (TunTap, Site),
    plan: &[Plan],
    Effort { streams, buffer_len }: Effort,
    progress: Option<&Progress>,
) -> SmoltcpPeer {
    let len = LEN / streams;
    let begun = &Barrier::new(plan.len() * streams);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let plan = plan.iter().flat_map(|plan| std::iter::repeat_n(plan, streams));
    for (conversation, (port, &Plan { ours: our_address, peer: address, listening })) in
        (SMOLTCP_PORTS..).zip(plan).enumerate()
    {
        let (role, listener) = match listening {
            Listening::Ours => {
                let listener = net.tcp_listen(socket_address(our_address, 0)).await.expect("a listener");
                (Role::Client(listener.local_addr().expect("an address"), port), Some(listener))
            }
            Listening::Peer => (Role::Server(port), None),
        };
        let (received, got) = oneshot::channel();
        theirs.push(Conversation {
            role,
            len,
            seed: seeds(conversation)[1],
            buffer_len,
            progress: progress.map(|progress| (progress.clone(), conversation)),
            received,
        });
        ours.push(async move {
            let stream = match listener {
                Some(listener) => listener.accept().await.expect("we accept").0,
                None => net.tcp_connect(socket_address(address, port)).await.expect("we connect"),
            };
            let peer = async { got.await.expect("smoltcp lives") };
            converse(stream, peer, conversation, len, begun, progress).await;
        });
    }
    let peer = SmoltcpPeer::start(tap, site, theirs);
    join_all(ours).await;
    peer
}

/// Nothing may be left in the stack but connections in TIME-WAIT.
pub(crate) async fn end(net: Net) {
    const PATIENCE: Duration = Duration::from_secs(20);
    let started = Instant::now();
    net.shutdown(PATIENCE).await;
    assert!(started.elapsed() < PATIENCE, "connections were left over");
}
