//! Transport layer of netloom: TCP from LISTEN to TIME-WAIT, UDP, ports.
#![forbid(unsafe_code)]
