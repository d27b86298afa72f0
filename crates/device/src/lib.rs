//! TUN/TAP devices and packet capture for netloom.
