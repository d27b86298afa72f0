//! The tests of `clients` with `--offload off`.

#[path = "clients/main.rs"]
mod clients;

// Where its tests look for it.
use clients::support;
