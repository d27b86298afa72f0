//! Load generators, and the servers that they measure: netloom's stack, the kernel's, and smoltcp.
//!
//! # Theory of operation
//! `netloom-bench serve netloom|kernel|smoltcp` runs the same small services on each stack, `serve mirror` answers without one;
//! the other subcommands put a
//! load on one of them over the kernel's own sockets, and print one line `NAME VALUE` a figure. They know nothing of
//! namespaces: `scripts/bench-lab` arranges these, and `cargo xtask bench` says what is measured, how often and beside
//! what. Every load ends by itself.
//!
//! # Not here
//! HTTP, bulk and ping loads are those that everybody has: wrk, iperf3 and ping are started and their output is read. Only the
//! requests on some of a crowd's connections are made here, as wrk opens its own.
#![forbid(unsafe_code)]

mod figures;
mod interfaces;
mod load;
mod mirror;
mod process;
mod program;
mod server;
mod smol;
mod sockets;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use load::bulk::Direction;
use server::ports;

/// Load generators and servers of `cargo xtask bench`.
#[derive(Parser)]
#[command(name = "netloom-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until killed: echo, HTTP, iperf3 and silence on the stack that is named
    #[command(subcommand)]
    Serve(Serve),
    /// Round trips over one connection: rate, p50, p99
    Rr {
        #[command(flatten)]
        target: Target,
        /// Bytes each way
        #[arg(long, default_value_t = 1)]
        size: usize,
    },
    /// New connections a second, each with one byte there and back
    Connect {
        #[command(flatten)]
        target: Target,
        /// Connections that are under way at the same time
        #[arg(long, default_value_t = 8)]
        parallel: usize,
    },
    /// Datagrams echoed a second
    UdpEcho {
        #[command(flatten)]
        target: Target,
        /// Bytes in each
        #[arg(long, default_value_t = 64)]
        size: usize,
        /// Datagrams that are under way at the same time
        #[arg(long, default_value_t = 64)]
        window: usize,
    },
    /// What an idle connection costs the server, and round trips alone and beside them all
    Idle {
        #[command(flatten)]
        target: Target,
        /// Connections
        #[arg(long, default_value_t = 10_000)]
        count: usize,
        /// The server's process
        #[arg(long)]
        server_pid: u32,
        /// The server's connections are the kernel's: half of what its memory grows by counts, as both ends are in it
        #[arg(long)]
        in_kernel: bool,
    },
    /// Requests a second on 64 connections, alone and as some of a crowd whose others are idle
    Crowd {
        #[command(flatten)]
        target: Target,
        /// Connections, the 64 included
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// The server's process
        #[arg(long)]
        server_pid: u32,
    },
    /// Open connections and keep them until the standard input ends: a part of a crowd
    Hold {
        /// The server's address
        #[arg(long)]
        address: IpAddr,
        /// The server's port
        #[arg(long)]
        port: u16,
        /// Connections
        #[arg(long)]
        count: usize,
    },
    /// Bytes a second through iperf3: the sum, Jain's index, processor time
    Bulk {
        #[command(flatten)]
        target: Target,
        /// Streams
        #[arg(long, default_value_t = 1)]
        streams: usize,
        /// To the server or from it
        #[arg(long, value_enum)]
        direction: Direction,
        /// The server's process
        #[arg(long)]
        server_pid: u32,
    },
    /// Requests a second through wrk with 64 connections
    Http {
        #[command(flatten)]
        target: Target,
        /// The bare responder instead of the axum application
        #[arg(long)]
        bare: bool,
    },
    /// Bytes a second from the mirror, which knows no iperf3
    Drain {
        #[command(flatten)]
        target: Target,
        /// The server's process
        #[arg(long)]
        server_pid: u32,
    },
    /// Round trips of ping
    Ping {
        #[command(flatten)]
        target: Target,
    },
}

/// Which server, and how long.
#[derive(Args, Clone, Copy)]
struct Target {
    /// The server's address
    #[arg(long)]
    address: IpAddr,
    /// Seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

impl Target {
    fn port(self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    fn span(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[derive(Subcommand)]
enum Serve {
    /// On netloom, behind a TAP of this name with every offload that the kernel has
    Netloom {
        /// The TAP
        #[arg(long)]
        tap: String,
        /// The stack's address and network, such as 10.0.0.2/24
        #[arg(long)]
        address: netloom::Cidr,
        /// Microseconds that it looks for the next frame before it sleeps, if not what it does by itself
        #[arg(long)]
        spin_us: Option<u64>,
    },
    /// On the kernel's sockets
    Kernel {
        /// The address
        #[arg(long)]
        address: IpAddr,
        /// Threads of the runtime
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// On smoltcp, behind a TAP of this name with the offloads that it knows; only the sockets of one service, as it looks at
    /// each for every frame
    Smoltcp {
        /// The TAP
        #[arg(long)]
        tap: String,
        /// The stack's address and network, such as 10.0.0.2/24
        #[arg(long)]
        address: netloom::Cidr,
        /// What to serve
        #[arg(long, value_enum)]
        service: smol::Service,
    },
    /// On no stack: every frame is answered from what stands in it
    Mirror {
        /// The TAP
        #[arg(long)]
        tap: String,
        /// The address to answer for
        #[arg(long)]
        address: Ipv4Addr,
        /// Microseconds that it looks for the next frame before it sleeps, if not as many as netloom
        #[arg(long)]
        spin_us: Option<u64>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netloom-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(Serve::Netloom { tap, address, spin_us }) => {
            server::on_netloom(&tap, address, spin_us.map(Duration::from_micros))
        }
        Command::Serve(Serve::Kernel { address, threads }) => server::on_kernel(address, threads),
        Command::Serve(Serve::Smoltcp { tap, address, service }) => smol::serve(&tap, address, service),
        Command::Serve(Serve::Mirror { tap, address, spin_us }) => {
            mirror::serve(&tap, address, spin_us.map(Duration::from_micros))
        }
        Command::Rr { target, size } => {
            load::rr::measure(target.port(ports::ECHO), size, target.span())?.print();
            Ok(())
        }
        Command::Connect { target, parallel } => {
            load::connect::run(target.port(ports::ECHO), parallel, target.span())
        }
        Command::UdpEcho { target, size, window } => {
            load::udp_echo::run(target.port(ports::ECHO), size, window, target.span())
        }
        Command::Idle { target, count, server_pid, in_kernel } => {
            let memory = process::Memory { pid: server_pid, in_kernel };
            load::idle::run(target.address, count, memory, target.span())
        }
        Command::Crowd { target, count, server_pid } => {
            let memory = process::Memory { pid: server_pid, in_kernel: false };
            load::crowd::run(target.address, count, memory, target.span())
        }
        Command::Hold { address, port, count } => load::crowd::hold(address, port, count),
        Command::Bulk { target, streams, direction, server_pid } => {
            load::bulk::run(target.address, streams, direction, server_pid, target.seconds)
        }
        Command::Http { target, bare } => {
            let port = if bare { ports::BARE_HTTP } else { ports::HTTP };
            load::http::run(target.port(port), target.seconds)
        }
        Command::Drain { target, server_pid } => {
            load::drain::run(target.port(ports::SOURCE), server_pid, target.span())
        }
        Command::Ping { target } => load::ping::run(target.address),
    }
}
