//! Tests only, in `tests/`: servers and clients that were written for tokio's sockets, unmodified over netloom's.
#![forbid(unsafe_code)]
