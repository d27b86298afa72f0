//! A private network namespace for this process.
//!
//! Root unshares the network alone. Everyone else unshares a user namespace with it, in which the one user that is
//! mapped is root: that is enough to make and address interfaces in the new network, and for nothing outside it.
//! Either call works only while the process has one thread.

use std::fs::{read_to_string, write};
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::failure::Failure;

/// Moves this process into a new, empty network namespace; it goes when its last process does.
pub(crate) fn enter_private_network() -> Result<(), Failure> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) => enter_as_user(),
        Err(error) => Err(refusal(error)),
    }
}

/// The same by way of a user namespace.
fn enter_as_user() -> Result<(), Failure> {
    // Asked before: inside, both read as the overflow ids until the maps are written.
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(refusal)?;
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ];
    for (path, text) in maps {
        write(path, text).map_err(|error| refusal(errno(&error)))?;
    }
    Ok(())
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// What forbids it, and what to type.
fn refusal(error: Errno) -> Failure {
    let setting =
        |name: &str| read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
    let remedy = if setting("kernel/unprivileged_userns_clone") == "0" {
        "type sudo netloom shell, or sudo sysctl kernel.unprivileged_userns_clone=1"
    } else if setting("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "type sudo netloom shell, or sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if setting("user/max_user_namespaces") == "0" {
        "type sudo netloom shell, or sudo sysctl user.max_user_namespaces=10000"
    } else {
        "type sudo netloom shell"
    };
    let is_one_of = |list: &[Errno]| list.contains(&error);
    Failure::new(if is_one_of(&[Errno::EPERM, Errno::EACCES]) {
        format!("this machine does not let users make user namespaces: {remedy}")
    } else if is_one_of(&[Errno::ENOSPC, Errno::EUSERS]) {
        format!("no more namespaces are allowed: {remedy}")
    } else if is_one_of(&[Errno::EINVAL, Errno::ENOSYS]) {
        "this kernel has no network or user namespaces: type sudo netloom up instead".to_owned()
    } else {
        format!("cannot make a private network namespace: {}: {remedy}", error.desc())
    })
}
