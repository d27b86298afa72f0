//! A control socket that is this daemon's alone, and whose file goes with it.
//!
//! *Theory of operation.* A Unix socket's file outlives its process: what is found at the path may be a living daemon's, or
//! left by one that was killed. To connect and see does not tell safely: of two daemons that find a dead file both may
//! remove it, and the second then removes what the first has made. So a daemon first takes a lock (flock(2)) on a file
//! beside the socket, `netloom.sock.lock`, and holds it while it lives. The kernel lets go of it when the process ends,
//! however it ends. Whoever has the lock is alone, and may replace what is there.
//!
//! The lock file is removed at the end, while it is locked. One that was opened just before may then be locked by somebody
//! although it has no name any more: that is seen by looking whether the name still means it, and tried again.
//!
//! A socket without a lock may be another program's. Only one that nobody answers at is replaced, and nothing that is no
//! socket.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::{Mode, fchmod};
use tokio::net::{UnixListener, UnixSocket};

/// Clients that may wait to be accepted; the kernel lets a further one wait before that.
const BACKLOG: u32 = 16;
/// How often the lock is tried again because its file was removed meanwhile: each time a daemon must have ended just then.
const LOCK_ATTEMPTS: usize = 16;

/// A socket that listens, and that nobody is served at yet.
pub(crate) struct ControlSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The socket's file, which is removed when this is dropped.
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
    /// Let go of, and removed, after the socket's file.
    _lock: Lock,
}

/// Why there is no socket of ours.
#[derive(Debug)]
pub(crate) enum ClaimError {
    /// A daemon lives there.
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// There is something that is not ours to remove.
    Occupied {
        /// Where.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The operating system refused.
    Os {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => write!(f, "a netloom runs already, and listens at {}", path.display()),
            Self::Occupied { path, what } => write!(f, "{} is {what}", path.display()),
            Self::Os { path, source } => {
                write!(f, "cannot make the control socket {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for ClaimError {}

impl ControlSocket {
    /// Makes the socket and listens. Needs a runtime.
    pub(crate) fn claim(path: &Path) -> Result<Self, ClaimError> {
        let refused = |source| ClaimError::Os { path: path.to_owned(), source };
        let lock = Lock::take(path)?;
        clear(path)?;
        let socket = UnixSocket::new_stream().map_err(refused)?;
        // Linux gives the file the socket's own mode (less the umask), so that nobody else can open it even for a moment.
        fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR).map_err(|error| refused(error.into()))?;
        socket.bind(path).map_err(refused)?;
        let identity = Identity::of_path(path).map_err(refused)?;
        let file = SocketFile { path: path.to_owned(), identity, _lock: lock };
        Ok(Self { listener: socket.listen(BACKLOG).map_err(refused)?, file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it by hand, and put something else there.
        if Identity::of_path(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "control socket not removed");
        }
    }
}

/// Removes a socket that nobody answers at. The lock is ours.
fn clear(path: &Path) -> Result<(), ClaimError> {
    let occupied = |what| Err(ClaimError::Occupied { path: path.to_owned(), what });
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ClaimError::Os { path: path.to_owned(), source }),
        Ok(found) if !found.file_type().is_socket() => occupied("no socket"),
        Ok(_) if !is_dead(path) => occupied("the socket of another program"),
        Ok(_) => {
            tracing::debug!(path = %path.display(), "a socket that was left behind is removed");
            fs::remove_file(path).map_err(|source| ClaimError::Os { path: path.to_owned(), source })
        }
    }
}

/// Whether nobody listens at a socket. Someone who is only busy has a queue that is full, which is another error.
fn is_dead(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let answer = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|probe| connect(probe.as_raw_fd(), &UnixAddr::new(path)?));
    answer == Err(Errno::ECONNREFUSED)
}

/// The lock beside a socket. Its file is removed when this is dropped, then it is let go of.
struct Lock {
    path: PathBuf,
    _file: File,
}

/// Where the lock of the socket at `path` is.
pub(crate) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Lock {
    fn take(socket: &Path) -> Result<Self, ClaimError> {
        let in_use = || ClaimError::InUse { path: socket.to_owned() };
        let refused = |source| ClaimError::Os { path: socket.to_owned(), source };
        let path = lock_path(socket);
        for _ in 0..LOCK_ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(&path)
                .map_err(refused)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(in_use()),
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            }
            let locked = file.metadata().map(|found| Identity::of(&found)).map_err(refused)?;
            if Identity::of_path(&path).is_ok_and(|named| named == locked) {
                return Ok(Self { path, _file: file });
            }
        }
        Err(in_use())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "lock not removed");
        }
    }
}

/// What tells a file from every other that exists: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    fn of(found: &fs::Metadata) -> Self {
        Self(found.dev(), found.ino())
    }

    fn of_path(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|found| Self::of(&found))
    }
}

#[cfg(test)]
mod tests;
