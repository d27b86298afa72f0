//! Independent peers for netloom: smoltcp in virtual time, the Linux kernel in a namespace.
#![forbid(unsafe_code)]
