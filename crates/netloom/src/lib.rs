//! A TCP/IP stack in user space with sockets for tokio.
#![forbid(unsafe_code)]
