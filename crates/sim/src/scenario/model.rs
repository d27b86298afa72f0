//! Hosts, cables, listeners, conversations and faults: data only.

use core::time::Duration;

use netloom_base::Medium;
use netloom_stack::transport::{SocketOptions, TcpConfig};

use crate::conversation::Side;
use crate::conversation::plan::Plan;
use crate::shards::MailPlan;
use netloom_impair::LinkConfig;

/// How bad the links are, and with that, what may go wrong without being anyone's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing is lost but by full queues: no connection may fail.
    Clear,
    /// Rare faults of every kind: no connection may fail, either.
    Mild,
    /// Heavy faults: connections may time out.
    Rough,
    /// Cables are pulled, some for good.
    Cut,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seed of everything random that is not written here: the hosts' secrets and the links' dice.
    pub seed: u64,
    /// What the faults below add up to.
    pub weather: Weather,
    /// The hosts. Cables and conversations name them by their place here.
    pub hosts: Vec<HostPlan>,
    /// The cables. Each is a subnet of its own: `10.0.N.0/24` and `fd00:0:0:N::/64`.
    pub cables: Vec<CablePlan>,
    /// Whether there is IPv6; it needs cables of an MTU of 1280 or more.
    pub has_ipv6: bool,
    /// Who listens.
    pub listeners: Vec<ListenerPlan>,
    /// Who talks to whom.
    pub conversations: Vec<ConversationPlan>,
    /// What happens to cables on the way.
    pub changes: Vec<Change>,
    /// Who sends datagrams to whom, and has them sent back.
    pub datagrams: Vec<DatagramPlan>,
    /// Which hosts lose all their memory on the way.
    pub restarts: Vec<Restart>,
}

/// One host.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its TCP.
    pub tcp: TcpConfig,
    /// Whether it is a router. A host that is none sends everything beyond its cable to the router there.
    pub is_router: bool,
    /// What its devices do.
    pub offload: OffloadPlan,
    /// How many stacks it consists of.
    pub shards: ShardPlan,
}

/// How many shards a host consists of, and what they get and give each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardPlan {
    /// How many: at least one.
    pub count: u16,
    /// Which of them a frame comes to.
    pub steering: SteeringPlan,
    /// How what belongs to another gets there.
    pub mail: MailPlan,
}

impl Default for ShardPlan {
    /// One, which is the whole host.
    fn default() -> Self {
        Self { count: 1, steering: SteeringPlan::InTurn, mail: MailPlan::default() }
    }
}

impl ShardPlan {
    /// Whether some of what comes gets to its owner late, behind what came after it.
    pub(crate) const fn is_late(&self) -> bool {
        self.count > 1 && !self.mail.delay.is_zero()
    }
}

/// How a device with several queues chooses one for a frame. None of them knows whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteeringPlan {
    /// To each in turn.
    InTurn,
    /// By a hash of its own over sender and receiver.
    ByHash,
    /// As Linux does it: to the queue that was the last to send to the sender, else by a hash.
    LastWriter,
}

/// What the devices of a host take off its stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffloadPlan {
    /// The largest super-segment that they cut, in bytes of IP packet; they finish checksums then, too. `None`: neither.
    pub segmentation: Option<u32>,
    /// How long they collect frames before they hand them over, those that follow on each other joined. `None`: each
    /// frame by itself, when it comes.
    pub moderation: Option<Duration>,
}

/// Datagrams that are sent back: a flow of UDP beside the conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramPlan {
    /// Who sends them.
    pub client: usize,
    /// Who sends them back.
    pub server: usize,
    /// Over which family.
    pub is_ipv6: bool,
    /// When the first is sent, after the beginning.
    pub at: Duration,
    /// Between two.
    pub every: Duration,
    /// How many.
    pub count: u32,
    /// Bytes in each; at least eight.
    pub len: usize,
}

/// One cable between two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CablePlan {
    /// What its frames begin with.
    pub medium: Medium,
    /// The MTU that its ends know of.
    pub mtu: u16,
    /// The hosts.
    pub ends: [usize; 2],
    /// From the first to the second, and back.
    pub ways: [LinkConfig; 2],
}

/// One listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerPlan {
    /// Where.
    pub host: usize,
    /// Its port, over both families.
    pub port: u16,
    /// Connections that may wait.
    pub backlog: usize,
    /// Connections that a cookie may open before their handshake is done; 0: none.
    pub fast_open: usize,
    /// What its connections begin with.
    pub options: SocketOptions,
    /// Time between two calls of accept; zero: as soon as there is a connection.
    pub accept_every: Duration,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct ConversationPlan {
    /// Who connects.
    pub client: usize,
    /// To whom.
    pub server: usize,
    /// To which port. If nobody listens there, the connection must be refused.
    pub port: u16,
    /// How it begins.
    pub opening: Opening,
    /// Over which family.
    pub is_ipv6: bool,
    /// When, after the beginning.
    pub at: Duration,
    /// What the client's socket is told.
    pub options: SocketOptions,
    /// What the client does.
    pub client_plan: Plan,
    /// What the server does.
    pub server_plan: Plan,
}

/// How a conversation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The client connects to a listener.
    Listener,
    /// Both ends connect to each other at the same instant (RFC 9293 3.5, figure 7).
    Simultaneous,
}

/// A host that loses its memory: its connections are gone without a word, and it listens again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When, after the beginning.
    pub at: Duration,
    /// Which host.
    pub host: usize,
}

/// Something that happens to a cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, after the beginning.
    pub at: Duration,
    /// Which cable.
    pub cable: usize,
    /// What its two directions do from then on.
    pub ways: [LinkConfig; 2],
}

impl Scenario {
    /// What the socket at one end of a conversation was told; `None`: there never is one.
    pub(crate) fn options(&self, conversation: usize, side: Side) -> Option<&SocketOptions> {
        let plan = self.conversations.get(conversation)?;
        if side == Side::Client || plan.opening == Opening::Simultaneous {
            return Some(&plan.options);
        }
        let is_meant = |it: &&ListenerPlan| it.host == plan.server && it.port == plan.port;
        self.listeners.iter().find(is_meant).map(|listener| &listener.options)
    }

    /// The smallest: two hosts, a cable that does the same both ways, and one conversation over IPv4.
    pub fn pair(seed: u64, weather: Weather, way: LinkConfig, client_plan: Plan, server_plan: Plan) -> Self {
        let host = || HostPlan {
            tcp: TcpConfig::default(),
            is_router: false,
            offload: OffloadPlan::default(),
            shards: ShardPlan::default(),
        };
        let (port, options) = (80, SocketOptions::default());
        Self {
            seed,
            weather,
            hosts: vec![host(), host()],
            cables: vec![CablePlan {
                medium: Medium::Ethernet,
                mtu: 1500,
                ends: [0, 1],
                ways: [way.clone(), way],
            }],
            has_ipv6: false,
            listeners: vec![ListenerPlan {
                host: 1,
                port,
                backlog: 16,
                fast_open: 0,
                options,
                accept_every: Duration::ZERO,
            }],
            conversations: vec![ConversationPlan {
                client: 0,
                server: 1,
                port,
                opening: Opening::Listener,
                is_ipv6: false,
                at: Duration::ZERO,
                options,
                client_plan,
                server_plan,
            }],
            changes: Vec::new(),
            datagrams: Vec::new(),
            restarts: Vec::new(),
        }
    }
}
