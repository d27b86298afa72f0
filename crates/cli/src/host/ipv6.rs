//! Whether this network namespace speaks IPv6, and what one interface is told about it.

use std::fs::{OpenOptions, read_to_string, write};
use std::path::{Path, PathBuf};

/// Settings of IPv6, per interface; the network namespace is that of whoever looks.
const SETTINGS: &str = "/proc/sys/net/ipv6/conf";

/// Whether a new interface can have IPv6 addresses: the kernel speaks it, and it is on or can be switched on there.
pub(crate) fn is_available() -> bool {
    let switch = Path::new(SETTINGS).join("default/disable_ipv6");
    match read_to_string(&switch) {
        Ok(value) => value.trim() == "0" || OpenOptions::new().write(true).open(&switch).is_ok(),
        Err(_) => false,
    }
}

/// Switches IPv6 on at one interface, and duplicate address detection off there: the stack at the other end is the
/// only neighbour, and what it has was compared with this host's addresses before. So the kernel's own link-local
/// address is usable at once too. Best effort; adding an address tells if it was not enough.
pub(crate) fn prepare(interface: &str) {
    let folder: PathBuf = Path::new(SETTINGS).join(interface);
    let disabled = folder.join("disable_ipv6");
    if read_to_string(&disabled).is_ok_and(|value| value.trim() != "0") {
        let _ = write(&disabled, "0");
    }
    let _ = write(folder.join("accept_dad"), "0");
    // There is no router to ask for.
    let _ = write(folder.join("router_solicitations"), "0");
}
