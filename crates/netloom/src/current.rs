//! Which stack a task's sockets belong to.
//!
//! `tokio::net` has one kernel under it; here a process may have many stacks. A socket that is made without naming one
//! belongs to the stack of its task, else to the process's. A task that is spawned does not inherit the one of the task
//! that spawns it.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::Host;

tokio::task_local! {
    static OF_TASK: Arc<Host>;
}

static OF_PROCESS: Mutex<Option<Arc<Host>>> = Mutex::new(None);

/// Runs `future` with `host` as its task's.
pub(crate) async fn scope<F: Future>(host: Arc<Host>, future: F) -> F::Output {
    OF_TASK.scope(host, future).await
}

/// Sets the process's, and returns the one before.
pub(crate) fn replace_default(host: Option<Arc<Host>>) -> Option<Arc<Host>> {
    std::mem::replace(&mut *OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner), host)
}

/// The task's, or else the process's; `NetworkDown` if there is neither.
pub(crate) fn current() -> io::Result<Arc<Host>> {
    let of_process = || OF_PROCESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    OF_TASK
        .try_with(Arc::clone)
        .ok()
        .or_else(of_process)
        .ok_or_else(|| io::Error::new(ErrorKind::NetworkDown, "no stack: use Net::scope or Net::set_default"))
}
