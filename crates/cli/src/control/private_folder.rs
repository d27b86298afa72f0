//! A folder for the control socket of a `netloom shell`: nobody else's, and gone when the shell is.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::place::{SOCKET_NAME, session_folder};
use super::socket::lock_path;
use crate::failure::Failure;

/// The folder; it is removed when this is dropped, after what listens in it.
pub(crate) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes one in the user's directory of the session, or else where temporary files go.
    pub(crate) fn make() -> Result<Self, Failure> {
        // A namespace's root may not be whom the session belongs to.
        if let Some(Ok(path)) = session_folder().map(|parent| make_in(&parent)) {
            return Ok(Self(path));
        }
        let parent = std::env::temp_dir();
        make_in(&parent).map(Self).map_err(|error| {
            Failure::new(format_args!(
                "cannot make a folder in {}: {error}: name one that you may write to: TMPDIR=PATH netloom shell",
                parent.display(),
            ))
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where its control socket is to be.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join(SOCKET_NAME)
    }
}

/// Makes a folder that only its user may enter, and leaves its removal to [`remove`].
fn make_in(parent: &Path) -> io::Result<PathBuf> {
    let owners = Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("netloom-").permissions(owners).tempdir_in(parent).map(TempDir::keep)
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a folder and what `netloom shell` puts in it, but nothing else: if there is anything else, the folder stays.
pub(crate) fn remove(folder: &Path) {
    let socket = folder.join(SOCKET_NAME);
    // What is not there any more need not be removed.
    let _ = fs::remove_file(lock_path(&socket));
    let _ = fs::remove_file(socket);
    if let Err(error) = fs::remove_dir(folder) {
        tracing::debug!(folder = %folder.display(), %error, "folder not removed");
    }
}
