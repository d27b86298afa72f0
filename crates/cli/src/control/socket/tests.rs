//! Whose the socket is, and that its files go.

use std::os::unix::net::{UnixListener as StdListener, UnixStream};

use super::*;

/// A folder for a socket, and the socket's path in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netloom.sock");
    (folder, path)
}

fn entries(folder: &tempfile::TempDir) -> usize {
    fs::read_dir(folder.path()).unwrap().count()
}

#[tokio::test]
async fn it_is_its_owners_and_goes_with_it() {
    let (folder, path) = place();
    let socket = ControlSocket::claim(&path).unwrap();
    assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::symlink_metadata(lock_path(&path)).unwrap().mode() & 0o7777, 0o600);
    UnixStream::connect(&path).unwrap();
    drop(socket);
    assert_eq!(entries(&folder), 0);
}

#[tokio::test]
async fn a_living_daemons_is_left_alone() {
    let (_folder, path) = place();
    let first = ControlSocket::claim(&path).unwrap();
    let before = Identity::of_path(&path).unwrap();
    assert!(matches!(ControlSocket::claim(&path), Err(ClaimError::InUse { .. })));
    assert_eq!(Identity::of_path(&path).unwrap(), before);
    assert!(lock_path(&path).exists());
    UnixStream::connect(&path).unwrap();
    drop(first);
    ControlSocket::claim(&path).unwrap();
}

#[tokio::test]
async fn a_dead_daemons_is_replaced() {
    let (folder, path) = place();
    // What SIGKILL leaves: both files, and nobody who listens or has the lock.
    drop(StdListener::bind(&path).unwrap());
    File::create(lock_path(&path)).unwrap();
    let socket = ControlSocket::claim(&path).unwrap();
    UnixStream::connect(&path).unwrap();
    drop(socket);
    assert_eq!(entries(&folder), 0);
}

#[tokio::test]
async fn what_is_not_netlooms_stays() {
    let (folder, path) = place();
    let other = StdListener::bind(&path).unwrap();
    assert!(matches!(ControlSocket::claim(&path), Err(ClaimError::Occupied { .. })));
    UnixStream::connect(&path).unwrap();
    drop(other);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    assert!(matches!(ControlSocket::claim(&path), Err(ClaimError::Occupied { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    // Nor is anything left beside it.
    assert_eq!(entries(&folder), 1);
    // A socket that took our name is not removed at the end.
    fs::remove_file(&path).unwrap();
    let socket = ControlSocket::claim(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(socket);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_lock_is_not_made_through_a_link() {
    let (folder, path) = place();
    let elsewhere = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, lock_path(&path)).unwrap();
    assert!(matches!(ControlSocket::claim(&path), Err(ClaimError::Os { .. })));
    assert!(!elsewhere.exists());
}

#[tokio::test]
async fn a_path_that_is_too_long_or_nowhere_is_refused() {
    let (folder, _) = place();
    for path in [folder.path().join("x".repeat(120)), folder.path().join("absent/netloom.sock")] {
        assert!(matches!(ControlSocket::claim(&path), Err(ClaimError::Os { .. })), "{path:?}");
    }
    assert_eq!(entries(&folder), 0);
}

/// Threads that claim the same path and give it up again: never are two inside at once, however the lock's file comes and
/// goes between them.
#[test]
fn there_is_never_more_than_one() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    const ROUNDS: usize = 200;
    let (folder, path) = place();
    drop(StdListener::bind(&path).unwrap());
    let (inside, claimed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let _context = runtime.enter();
                for _ in 0..ROUNDS {
                    let Ok(socket) = ControlSocket::claim(&path) else { continue };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    claimed.fetch_add(1, Ordering::SeqCst);
                    UnixStream::connect(&path).unwrap();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(socket);
                }
            });
        }
    });
    assert!(claimed.into_inner() > 0);
    assert_eq!(entries(&folder), 0);
}
