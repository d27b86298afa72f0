//! Services on netloom sockets: HTTP/1.1, echo, discard, chargen, daytime, iperf3.
#![forbid(unsafe_code)]
