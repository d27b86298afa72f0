//! The sans-IO TCP/IP stack: link, internet and transport layers composed.
#![forbid(unsafe_code)]
