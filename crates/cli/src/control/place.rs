//! Where the control socket is: the same rules for whoever listens and whoever asks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Names the socket; `shell` sets it for what runs inside.
pub(crate) const SOCKET_VARIABLE: &str = "NETLOOM_SOCKET";
/// The user's own directory of the session (XDG Base Directory Specification); an absolute path.
const RUNTIME_FOLDER_VARIABLE: &str = "XDG_RUNTIME_DIR";
/// The system's, for daemons that root runs.
const SYSTEM_FOLDER: &str = "/run";
/// The socket's name in a directory.
pub(crate) const SOCKET_NAME: &str = "netloom.sock";

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The socket's path.
    pub(crate) path: PathBuf,
    /// Whether it was named, rather than found by default.
    pub(crate) is_chosen: bool,
}

/// Where `up` listens in this environment.
pub(crate) fn to_listen() -> Place {
    listening_place(|name| std::env::var_os(name))
}

/// Where a client looks for a daemon in this environment, first things first: a daemon that root runs has no session.
pub(crate) fn to_ask() -> Vec<PathBuf> {
    asked_places(|name| std::env::var_os(name))
}

/// The user's own directory of the session, if there is one.
pub(crate) fn session_folder() -> Option<PathBuf> {
    session_folder_in(&|name| std::env::var_os(name))
}

fn listening_place(variable: impl Fn(&str) -> Option<OsString>) -> Place {
    match chosen(&variable) {
        Some(path) => Place { path, is_chosen: true },
        None => {
            let folder = session_folder_in(&variable).unwrap_or_else(|| SYSTEM_FOLDER.into());
            Place { path: folder.join(SOCKET_NAME), is_chosen: false }
        }
    }
}

fn asked_places(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    match chosen(&variable) {
        Some(path) => vec![path],
        None => {
            let folders = session_folder_in(&variable).into_iter().chain([SYSTEM_FOLDER.into()]);
            folders.map(|folder| folder.join(SOCKET_NAME)).collect()
        }
    }
}

fn chosen(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    variable(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn session_folder_in(variable: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    variable(RUNTIME_FOLDER_VARIABLE).map(PathBuf::from).filter(|path| Path::is_absolute(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_session_and_that_over_the_system() {
        let check = |set: &[(&str, &str)], listened: (&str, bool), asked: &[&str]| {
            let variable = |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let (path, is_chosen) = listened;
            assert_eq!(listening_place(variable), Place { path: path.into(), is_chosen }, "{set:?}");
            let asked: Vec<PathBuf> = asked.iter().map(PathBuf::from).collect();
            assert_eq!(asked_places(variable), asked, "{set:?}");
        };
        let session = ("XDG_RUNTIME_DIR", "/run/user/7");
        check(&[], ("/run/netloom.sock", false), &["/run/netloom.sock"]);
        check(
            &[session],
            ("/run/user/7/netloom.sock", false),
            &["/run/user/7/netloom.sock", "/run/netloom.sock"],
        );
        check(&[session, ("NETLOOM_SOCKET", "x.sock")], ("x.sock", true), &["x.sock"]);
        // What is empty, or no absolute path where it must be one, does not count.
        check(&[("NETLOOM_SOCKET", "")], ("/run/netloom.sock", false), &["/run/netloom.sock"]);
        check(&[("XDG_RUNTIME_DIR", "run")], ("/run/netloom.sock", false), &["/run/netloom.sock"]);
    }
}
