//! Where events go: one subscriber, compact lines on stderr.

use std::io::{IsTerminal, stderr};

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Installs the subscriber; `RUST_LOG` wins over `verbosity`, which wins over `default`.
pub(crate) fn init(default: Level, verbosity: u8) {
    let level = match verbosity {
        0 => default,
        1 => Level::DEBUG,
        2.. => Level::TRACE,
    };
    let filter = std::env::var("RUST_LOG")
        .ok()
        .filter(|directives| !directives.trim().is_empty())
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new(level.as_str()));
    tracing_subscriber::fmt()
        .compact()
        .with_target(false)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .with_env_filter(filter)
        .init();
}
