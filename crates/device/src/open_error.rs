//! Why a TUN or TAP interface could not be opened, in a line that says what to type.

use std::{error, fmt, io};

use netloom_base::Medium;

use crate::NameError;

/// Why a TUN or TAP interface could not be opened. Its `Display` is one line for a person.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// No interface can have this name.
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// There is no file `/dev/net/tun`.
    NoTunFile,
    /// `/dev/net/tun` is there, and no driver behind it.
    NoDriver,
    /// This user may not open `/dev/net/tun`, or a container's device rules forbid it.
    FilePermission,
    /// Creating the interface needs `CAP_NET_ADMIN` in this network namespace.
    NotPermitted {
        /// The interface.
        name: String,
        /// What was to be created.
        kind: Medium,
    },
    /// The interface exists, persistent and idle, for another user or group.
    NotOwner {
        /// The interface.
        name: String,
        /// What it is.
        kind: Medium,
    },
    /// The name belongs to an interface that is neither TUN nor TAP.
    NotTunTap {
        /// The interface.
        name: String,
    },
    /// The interface is a TAP where a TUN was asked for, or the other way round.
    OtherKind {
        /// The interface.
        name: String,
        /// What it is.
        found: Medium,
    },
    /// The interface was made for several queues, and this backend opens one.
    MultiQueue {
        /// The interface.
        name: String,
        /// What it is.
        kind: Medium,
    },
    /// The interface was made for one queue, and several were asked for.
    SingleQueue {
        /// The interface.
        name: String,
        /// What it is.
        kind: Medium,
    },
    /// A process holds the interface.
    Busy {
        /// The interface.
        name: String,
    },
    /// The kernel said something else.
    Os {
        /// What was being done: "creating netloom0".
        doing: String,
        /// The kernel's words.
        source: io::Error,
    },
}

/// `tun` or `tap`, as `ip tuntap` says it.
pub(crate) const fn mode_word(kind: Medium) -> &'static str {
    match kind {
        Medium::Ethernet => "tap",
        Medium::Ip => "tun",
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName { name, reason } => write!(
                f,
                "{name:?} cannot be an interface's name: {reason}; choose 1 to {max} plain characters, such as \
                 netloom0",
                max = crate::NAME_MAX_LEN
            ),
            Self::NoTunFile => write!(
                f,
                "/dev/net/tun does not exist; as root: modprobe tun, and if it is still missing: mkdir -p /dev/net \
                 && mknod -m 666 /dev/net/tun c 10 200"
            ),
            Self::NoDriver => {
                write!(f, "the kernel has no driver behind /dev/net/tun; as root: modprobe tun")
            }
            Self::FilePermission => write!(
                f,
                "no permission to open /dev/net/tun; run as root, or as root: chmod 666 /dev/net/tun (in a \
                 container: give it the device with --device /dev/net/tun)"
            ),
            Self::NotPermitted { name, kind } => write!(
                f,
                "creating {name} needs root or CAP_NET_ADMIN; or have it made for you, as root: ip tuntap add dev \
                 {name} mode {mode} user YOUR-NAME",
                mode = mode_word(*kind)
            ),
            Self::NotOwner { name, kind } => write!(
                f,
                "{name} belongs to another user; choose another name, or as root: ip tuntap del dev {name} mode \
                 {mode} && ip tuntap add dev {name} mode {mode} user YOUR-NAME",
                mode = mode_word(*kind)
            ),
            Self::NotTunTap { name } => write!(
                f,
                "{name} exists and is no TUN or TAP interface; choose another name (ip link shows those in use)"
            ),
            Self::OtherKind { name, found } => write!(
                f,
                "{name} exists and is a {found} interface; ask for --{mode} {name} or choose another name",
                found = mode_word(*found).to_ascii_uppercase(),
                mode = mode_word(*found)
            ),
            Self::MultiQueue { name, kind } => write!(
                f,
                "{name} was made for several queues; choose another name, or as root: ip tuntap del dev {name} mode \
                 {mode} multi_queue && ip tuntap add dev {name} mode {mode}",
                mode = mode_word(*kind)
            ),
            Self::SingleQueue { name, kind } => write!(
                f,
                "{name} was made for one queue; type --queues 1, or as root: ip tuntap del dev {name} mode {mode} \
                 && ip tuntap add dev {name} mode {mode} multi_queue",
                mode = mode_word(*kind)
            ),
            Self::Busy { name } => {
                write!(f, "{name} is in use by another process; choose another name, or end that process")
            }
            Self::Os { doing, source } => write!(f, "{doing} failed: {source}"),
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::BadName { reason, .. } => Some(reason),
            Self::Os { source, .. } => Some(source),
            Self::NoTunFile
            | Self::NoDriver
            | Self::FilePermission
            | Self::NotPermitted { .. }
            | Self::NotOwner { .. }
            | Self::NotTunTap { .. }
            | Self::OtherKind { .. }
            | Self::MultiQueue { .. }
            | Self::SingleQueue { .. }
            | Self::Busy { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_one_line_that_says_what_to_do() {
        let name = || "tap7".to_owned();
        let table = [
            (OpenError::BadName { name: "a\nb".to_owned(), reason: NameError::Character('\n') }, "\"a\\nb\""),
            (OpenError::NoTunFile, "modprobe tun"),
            (OpenError::NoDriver, "modprobe tun"),
            (OpenError::FilePermission, "chmod 666 /dev/net/tun"),
            (OpenError::NotPermitted { name: name(), kind: Medium::Ethernet }, "mode tap user"),
            (OpenError::NotOwner { name: name(), kind: Medium::Ip }, "mode tun user"),
            (OpenError::NotTunTap { name: name() }, "ip link"),
            (OpenError::OtherKind { name: name(), found: Medium::Ip }, "--tun tap7"),
            (OpenError::MultiQueue { name: name(), kind: Medium::Ethernet }, "mode tap multi_queue"),
            (OpenError::SingleQueue { name: name(), kind: Medium::Ip }, "mode tun multi_queue"),
            (OpenError::Busy { name: name() }, "end that process"),
            (OpenError::Os { doing: "creating tap7".to_owned(), source: io::Error::other("odd") }, "odd"),
        ];
        for (error, expected) in table {
            let line = error.to_string();
            assert!(line.contains(expected) && !line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
