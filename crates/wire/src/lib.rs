//! Bytes to typed protocol headers and back.
#![forbid(unsafe_code)]
