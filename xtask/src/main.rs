//! netloom's own build, test and check commands.
#![forbid(unsafe_code)]

fn main() {}
