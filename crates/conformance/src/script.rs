//! Packet scripts: a subset of the packetdrill language, run against the stack, or several shards of one, in virtual time.
//!
//! # The language
//! A script is a list of steps, each with its time; see packetdrill's own documentation. What is here:
//!
//! | | |
//! |---|---|
//! | times | `0.1`, `+0.1`, `0.1~0.2`, `+0.1~+0.2`, `*`; the last three for `>` only |
//! | packets | `< S 0:0(0) win 1000 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7,FO 0123456789abcdef,nop,nop>`, `>`, flags `FSRPUEW.` or `-`, `urg N`, `<...>` |
//! | ECN bits | `[noecn]`, `[ect0]`, `[ect1]`, `[ce]` in front of the flags |
//! | ICMP | `< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]` |
//! | system calls | socket, bind, listen, accept, connect, fcntl, setsockopt (also `TCP_CONGESTION`, `TCP_FASTOPEN` and `TCP_FASTOPEN_CONNECT`), getsockopt, read, recv, write, send (also `MSG_OOB`), shutdown, close |
//! | blocking calls | `+0...0.2 accept(3, ..., ...) = 4` |
//! | assertions | `%{ assert tcpi_state == TCP_ESTABLISHED }%`; also `tcpi_snd_cwnd`, `tcpi_snd_ssthresh`, `tcpi_unacked`, `tcpi_rto`, `tcpi_rtt`, `tcpi_snd_mss` |
//! | before the first step | `--ip_version`, `--mtu`, `--tolerance_usecs`, `--strict_segments`, `--tcp_ts_ecr_scaled`; `sysctl` commands in backquotes |
//!
//! As packetdrill does it, one `>` may stand for several segments in a row, as long as `--strict_segments` is not set; the
//! flags are the last one's.
//!
//! # Where it is stricter
//! - Time is virtual and exact; the tolerance is 4 ms and has no percentage.
//! - A segment that no `>` asks for is an error, in the middle of a script and at its end.
//! - Text is compared, in both directions.
//! - `ack` stands exactly where the flag `.` stands.
//! - Without `--ip_version` a script runs over both: over IPv6 with `--mtu 1520`, so that full segments are as long, and
//!   with the peer's sequence numbers close to their wrap.
//!
//! # Where packetdrill cannot follow
//! A script with a port in front of its flags (`< 50001 > 8080 S 0:0(0) win 1000`) injects into another connection, and
//! packetdrill does that too; `>` with ports, and a second connection between the same ends, are netloom's own.
//!
//! # With the tool itself
//! `unshare -n packetdrill --tolerance_usecs=10000 --ip_version=ipv4 SCRIPT`, and for IPv6 `--ip_version=ipv6 --mtu=1520`, as
//! root. The `sysctl` commands at the head of a script make Linux behave as it expects; they are not undone, so a fresh
//! network namespace is the place for it. `scripts/README.md` says how far Linux agrees.

mod ast;
mod cursor;
mod error;
mod flow;
mod frame;
mod host;
mod lexer;
mod option;
mod parser;
mod runner;
mod segment;
mod settings;
mod sockets;

pub use error::ScriptError;
pub use settings::Family;

/// A script that was read.
#[derive(Clone, Debug)]
pub struct Script {
    file: String,
    settings: settings::Settings,
    events: Vec<ast::Event>,
}

impl Script {
    /// Reads `text`; `file` is what errors call it.
    ///
    /// # Errors
    /// What is not in the subset, and where it stands.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScriptError> {
        let (settings, events) = parser::parse(file, text)?;
        Ok(Self { file: file.to_owned(), settings, events })
    }

    /// The versions of IP that it is for.
    pub fn families(&self) -> &'static [Family] {
        match self.settings.family {
            None => &[Family::V4, Family::V6],
            Some(Family::V4) => &[Family::V4],
            Some(Family::V6) => &[Family::V6],
        }
    }

    /// Runs it against a new host of so many shards. All that its peer sends comes to a shard that it does not belong to.
    ///
    /// # Errors
    /// The first step at which something else happened than the script says; for a segment both are shown.
    pub fn run(&self, family: Family, shard_count: u16) -> Result<(), ScriptError> {
        runner::run(&self.file, &self.settings, &self.events, family, shard_count)
    }
}
