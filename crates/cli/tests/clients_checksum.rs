//! The tests of `clients` with `--offload checksum`.

#[path = "clients/main.rs"]
mod clients;
