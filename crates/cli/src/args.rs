//! What can be typed: the command line as clap reads it, before any value is judged.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use netloom_device::Offload;
use serde::Deserialize;

/// The name an interface gets when none is given.
pub(crate) const DEFAULT_INTERFACE_NAME: &str = "netloom0";

const UP_EXAMPLE: &str = "\
Examples:
  sudo netloom up
      then, in another terminal: ping 10.0.0.2
  sudo netloom up --address 10.7.0.2/24 --host-address 10.7.0.1/24 --service http=8080
  netloom up --tap tap0
      without root, if an administrator typed: ip tuntap add tap0 mode tap user $USER
      and gave tap0 its addresses

Ctrl-C ends it and takes the interface away, as SIGTERM does, and SIGHUP without --config. With it SIGHUP makes it read the
file's key `impair` again, if that was there at the start (`none` is enough) and --impair is not given. RUST_LOG (for
example netloom=trace) overrides -v. `netloom addr` shows what runs: it asks over a control socket, which is at
$NETLOOM_SOCKET, else $XDG_RUNTIME_DIR/netloom.sock or /run/netloom.sock.";

const SHELL_EXAMPLE: &str = "\
Examples:
  netloom shell
      then: ping 10.0.0.2
  netloom shell -- curl -s http://10.0.0.2/hello

The command sees NETLOOM_SHELL=1, NETLOOM_ADDRESS (the stack's first address) and NETLOOM_ADDRESS6 (its first
IPv6 address), and NETLOOM_SOCKET, so that `netloom addr` in it shows this stack. Its exit status is netloom's, 128 plus the signal's number if one killed it. What it left running
is ended with it. Ctrl-C goes to the command alone; a SIGTERM, SIGHUP or SIGINT sent to netloom by kill is passed
on to it (to an interactive shell as SIGHUP), and a second SIGINT kills it.";

/// The language of faults, for `--help`.
const FAULTS_HELP: &str = "\
Faults (SPEC is key=value, separated by commas, or `none`):
  delay=10ms jitter=1ms       time under way, and how far it swings
  loss=1% burst=4             share of frames lost, and the mean length of a run of losses
  reorder=0.5% reorder-by=2ms share of frames that come late, and how late
  dup=0.1% corrupt=0.01%      share of frames that come twice, or with one bit wrong
  rate=1gbit queue=1000       bits a second, and how many frames wait for their turn
  mark=100                    how many frames wait when the next is marked instead (ECN)
  mtu=1400                    largest IP packet; bigger ones vanish
  seed=7                      the same seed gives the same faults to the same traffic
  in: or out: before a key holds for it and all that follow; without, both ways";

const LINK_EXAMPLE: &str = "\
Examples:
  sudo netloom link --tap a0 --tap b0 --impair delay=10ms,loss=1%
      then give a0 and b0 to two namespaces:
      sudo ip link set a0 netns left; sudo ip -n left address add 10.1.0.1/24 dev a0; sudo ip -n left link set a0 up
  sudo netloom link --tap a0 --tap b0 --impair rate=100mbit,queue=100,in:loss=1%

A TAP that is moved to another namespace goes down there and must be raised again; the cable stays plugged in.
`in:` is what goes in at the first TAP and comes out at the second, `out:` the way back. Ctrl-C ends it, prints
what was counted and takes away the TAPs that it made.";

const ADDR_EXAMPLE: &str = "\
Examples:
  netloom addr
      1: netloom0: <TAP> mtu 1500
          link/ether 02:35:d4:a1:0b:7c
          1 queue, offload full: checksums, TCP segments over IPv4 and IPv6, UDP segments
          inet 10.0.0.2/24 preferred
          inet6 fd00::2/64 preferred
  netloom addr --json | jq -r '.[].addresses[].address'

An address is `tentative` while it is tried out, `optimistic` if it is used meanwhile, then `preferred`, or `duplicate` if
another host has it. The daemon is asked over its control socket: $NETLOOM_SOCKET, else $XDG_RUNTIME_DIR/netloom.sock or
/run/netloom.sock.";

/// A TCP/IP stack in user space behind a Linux TUN or TAP interface.
#[derive(Debug, Parser)]
#[command(name = "netloom", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the stack behind an interface of this network namespace until SIGINT or SIGTERM
    ///
    /// Creates the interface, gives the kernel's end its addresses and raises it (which takes root or
    /// CAP_NET_ADMIN), serves, and undoes everything at the end. Prints what to type next, then one line `ready`.
    #[command(after_help = UP_EXAMPLE)]
    Up(Options),
    /// Run a shell, or COMMAND, in a private network namespace with the stack beside it
    ///
    /// The machine's own network is not touched. Needs no root where unprivileged user namespaces are allowed.
    #[command(after_help = SHELL_EXAMPLE)]
    Shell(ShellOptions),
    /// Join two TAPs by a cable with faults: delay, loss, reordering, a rate
    ///
    /// What netem does, for kernels without it, with the model that the simulator and --impair use. TAPs that do not
    /// exist are made and raised (which takes root or CAP_NET_ADMIN), and go away at the end. Prints one line `ready`.
    #[command(after_help = format!("{FAULTS_HELP}\n\n{LINK_EXAMPLE}"))]
    Link(LinkOptions),
    /// Show the interfaces of the running stack and its addresses, as `ip addr` shows the kernel's
    ///
    /// Those of the stack that `netloom up` runs, or the `netloom shell` that this is typed in.
    #[command(after_help = ADDR_EXAMPLE)]
    Addr(ShowOptions),
    /// Run a command, and end what it leaves behind.
    #[command(name = "__supervise", hide = true)]
    Supervise(SuperviseOptions),
    /// Become a command that dies with its parent.
    #[command(name = "__exec", hide = true)]
    Exec(ExecOptions),
}

/// The options that `up` and `shell` share; each is also a key of the file given by `--config`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Use a TAP interface (Ethernet frames); one that exists already is attached to and left as it was set
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = DEFAULT_INTERFACE_NAME,
          conflicts_with = "tun", help_heading = "Interface")]
    pub(crate) tap: Option<String>,
    /// Use a TUN interface (IP packets) [default: --tap netloom0]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = DEFAULT_INTERFACE_NAME,
          help_heading = "Interface")]
    pub(crate) tun: Option<String>,
    /// An address of the stack's, again and again [default: 10.0.0.2/24 fd00::2/64]
    #[arg(long, value_name = "CIDR", help_heading = "Interface")]
    pub(crate) address: Vec<String>,
    /// An address of the kernel's end, again and again [default: 10.0.0.1/24 fd00::1/64]
    #[arg(long, value_name = "CIDR", help_heading = "Interface")]
    pub(crate) host_address: Vec<String>,
    /// Largest IP packet in bytes: 576..65521 on a TAP, 576..65535 on a TUN, at least 1280 with IPv6 [default: 1500]
    #[arg(long, value_name = "N", help_heading = "Interface")]
    pub(crate) mtu: Option<u32>,
    /// Congestion control of the stack's connections: cubic or newreno [default: cubic]
    #[arg(long, value_name = "NAME", help_heading = "Interface")]
    pub(crate) congestion: Option<String>,
    /// Queues of the interface, each with a stack and a thread of its own: 1..64 [default: 1]
    #[arg(long, value_name = "N", help_heading = "Interface")]
    pub(crate) queues: Option<u16>,
    /// How long the stack looks for the next frame before it sleeps, while they come as close together: 0..1s, such as 20us;
    /// it spares waking up, and keeps a processor busy; with 0 it does not wake up before frames of a steady pace either
    /// [default: 50us, or 0 if there is but one]
    #[arg(long, value_name = "DURATION", help_heading = "Interface")]
    pub(crate) spin: Option<String>,
    /// What the kernel and the stack leave to each other, as far as the kernel allows: `on` cutting segments and
    /// checksums, `checksum` only these, `off` nothing, as always with --impair [default: on]
    #[arg(long, value_name = "on|checksum|off", help_heading = "Interface")]
    pub(crate) offload: Option<OffloadChoice>,
    /// Serve this and only what else is named, again and again
    /// [default: http=80 echo=7 discard=9 chargen=19 daytime=13 iperf3=5201]
    #[arg(long, value_name = "NAME[=PORT]", help_heading = "Services")]
    pub(crate) service: Vec<String>,
    /// Serve nothing
    #[arg(long, conflicts_with = "service", help_heading = "Services")]
    pub(crate) no_services: bool,
    /// Serve the files of this directory below /files/
    #[arg(long, value_name = "DIR", help_heading = "Services")]
    pub(crate) root: Option<PathBuf>,
    /// Write every frame that crosses the interface to a pcapng file; with offloads the checksums in it are not finished, and
    /// tcpdump calls them incorrect: --offload off finishes them
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// Put faults on the interface, such as delay=10ms,loss=1%; `netloom link --help` lists them
    ///
    /// Both ways, or after `in:` towards the stack, after `out:` from it.
    #[arg(long, value_name = "SPEC")]
    pub(crate) impair: Option<String>,
    /// Read options from a TOML file; flags win
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log more: -v debug, -vv trace
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What `--offload` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OffloadChoice {
    /// Segments and checksums.
    #[default]
    On,
    /// Checksums.
    Checksum,
    /// The plain device.
    Off,
}

impl OffloadChoice {
    /// The most that is asked of the kernel.
    pub(crate) const fn most(self) -> Offload {
        match self {
            Self::On => Offload::Full,
            Self::Checksum => Offload::Checksum,
            Self::Off => Offload::Plain,
        }
    }
}

/// Options of `shell`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShellOptions {
    #[command(flatten)]
    pub(crate) options: Options,
    /// What to run instead of $SHELL
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Options of `link`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LinkOptions {
    /// One end of the cable; to be given twice
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) tap: Vec<String>,
    /// The faults, such as delay=10ms,loss=1%,rate=100mbit
    #[arg(long, value_name = "SPEC", default_value = "none")]
    pub(crate) impair: String,
    /// Largest IP packet of TAPs that it makes, in bytes: 576..65521 [default: 1500]
    #[arg(long, value_name = "N")]
    pub(crate) mtu: Option<u32>,
    /// Print what was counted every second, and log more: -v debug, -vv trace
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Options of what shows something of the running stack.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShowOptions {
    /// Print JSON: an array of objects, sizes in bytes
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of the hidden command that stands between `shell` and what it runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct SuperviseOptions {
    /// The process whose death ends everything.
    #[arg(long)]
    pub(crate) parent: i32,
    /// A private folder with the control socket, removed if the parent dies before it does so itself.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

/// Options of the hidden command that becomes another.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExecOptions {
    /// The process whose death kills the command.
    #[arg(long)]
    pub(crate) parent: i32,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_interface_without_a_name_gets_the_default() {
        let Command::Up(options) = Cli::parse_from(["netloom", "up", "--tun", "--mtu", "1400"]).command
        else {
            panic!("not up");
        };
        assert_eq!((options.tun.as_deref(), options.tap, options.mtu), (Some("netloom0"), None, Some(1400)));
    }

    #[test]
    fn a_command_begins_after_two_dashes() {
        let Command::Shell(shell) =
            Cli::parse_from(["netloom", "shell", "--tap", "--", "ping", "-c1"]).command
        else {
            panic!("not shell");
        };
        assert_eq!(shell.command, ["ping", "-c1"]);
        assert!(Cli::try_parse_from(["netloom", "up", "--tap", "a", "--tun", "b"]).is_err());
        assert!(Cli::try_parse_from(["netloom", "up", "--service", "http", "--no-services"]).is_err());
    }
}
