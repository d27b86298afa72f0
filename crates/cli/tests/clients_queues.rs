//! The tests of `clients` with `--queues 2`.

#[path = "clients/main.rs"]
mod clients;

// Where its tests look for it.
use clients::support;
