//! Whether this process may make a TUN or TAP interface, asked before anything is changed.

use std::fs::{File, read_to_string};
use std::io::{self, ErrorKind};

use netloom_device::OpenError;
use nix::errno::Errno;

use crate::settings::InterfaceChoice;

/// The device node through which interfaces are made.
const NODE: &str = "/dev/net/tun";
/// Bit of CAP_NET_ADMIN in a capability mask (capabilities(7)).
const CAP_NET_ADMIN_BIT: u32 = 12;

/// Checks that the device node is there and may be opened. Opening it makes no interface.
pub(crate) fn check_node() -> Result<(), OpenError> {
    match File::options().read(true).write(true).open(NODE) {
        Ok(_) => Ok(()),
        Err(error) => Err(node_problem(error)),
    }
}

fn node_problem(error: io::Error) -> OpenError {
    const NO_DEVICE: i32 = Errno::ENODEV as i32;
    const NO_DEVICE_OR_ADDRESS: i32 = Errno::ENXIO as i32;
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::NotFound, _) => OpenError::NoTunFile,
        (ErrorKind::PermissionDenied, _) => OpenError::FilePermission,
        (_, Some(NO_DEVICE | NO_DEVICE_OR_ADDRESS)) => OpenError::NoDriver,
        (_, _) => OpenError::Os { doing: format!("opening {NODE}"), source: error },
    }
}

/// Checks that this process may create and address the interface.
pub(crate) fn check_privilege(interface: &InterfaceChoice) -> Result<(), OpenError> {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    if effective_capabilities(&status) & (1 << CAP_NET_ADMIN_BIT) != 0 {
        return Ok(());
    }
    Err(OpenError::NotPermitted { name: interface.name.clone(), kind: interface.medium })
}

fn effective_capabilities(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        assert_eq!(effective_capabilities("Name:\tx\nCapPrm:\t0\nCapEff:\t0000000000001000\n"), 1 << 12);
        assert_eq!(effective_capabilities("Name:\tx\n"), 0);
    }

    #[test]
    fn problems_with_the_node_are_told_apart() {
        let problem = |errno: Errno| node_problem(io::Error::from_raw_os_error(errno as i32));
        assert!(matches!(problem(Errno::ENOENT), OpenError::NoTunFile));
        assert!(matches!(problem(Errno::ENODEV), OpenError::NoDriver));
        assert!(matches!(problem(Errno::EACCES), OpenError::FilePermission));
        assert!(matches!(problem(Errno::EPERM), OpenError::FilePermission));
        assert!(matches!(problem(Errno::EMFILE), OpenError::Os { .. }));
    }
}
