//! What the HTTP service may be told.

use std::path::PathBuf;

/// Options of [`router`](crate::http::router()).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The directory whose files stand below `/files/`. Symbolic links in it are followed. Without one, everything
    /// below `/files/` is 404.
    pub root: Option<PathBuf>,
    /// The longest body that `/post`, `/anything` and the like take in order to send it back, in bytes; a longer one
    /// gets 413. Each such request costs up to this much memory, several times over for the JSON.
    pub max_echo_len: usize,
}

impl Default for HttpOptions {
    /// No files, and 4 MiB of echoed body.
    fn default() -> Self {
        Self { root: None, max_echo_len: 4 << 20 }
    }
}
