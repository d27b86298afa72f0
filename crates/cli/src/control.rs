//! The control socket: how `netloom addr` asks the running daemon.
//!
//! *Theory of operation.* `up` and `shell` [claim](socket) a Unix stream socket at a [path](place) that both sides find by
//! the same rules, and [serve](server) it by tasks of the daemon's own runtime. A client sends one JSON object a line and gets
//! one back for each ([`protocol`]); `netloom addr` is such a [client], and `nc -U` is another:
//!
//! ```console
//! $ echo '{"version":1,"request":"addr"}' | nc -U /run/netloom.sock
//! ```
//!
//! *Who may ask.* Whoever may open the socket: its mode is 0600 from the moment it exists, so the daemon's own user, and root.
//!
//! *Limits.* 16 clients at a time, requests of 4096 bytes, and 5 seconds for a client to say what it wants or to take what it
//! is told ([`server`]). Beyond each a client is told why and let go; the stack's traffic does not wait for any.

pub(crate) mod client;
pub(crate) mod place;
pub(crate) mod private_folder;
pub(crate) mod protocol;
pub(crate) mod server;
pub(crate) mod socket;
