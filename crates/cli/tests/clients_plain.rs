//! The tests of `clients` with `--offload off`.

#[path = "clients/main.rs"]
mod clients;
