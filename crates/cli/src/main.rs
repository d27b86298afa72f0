//! The netloom command.
#![forbid(unsafe_code)]

fn main() {}
