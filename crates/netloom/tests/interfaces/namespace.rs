//! Tests with interfaces of the kernel's: each in a network namespace of its own.

use std::future::Future;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// No test takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs `test` in a fresh namespace after these commands of `ip`, or skips it loudly where none can be made.
pub(crate) fn in_namespace<F: Future<Output = ()>>(commands: &[&str], test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        // The namespace is the thread's and its children's, and goes with them.
        let thread = scope.spawn(|| {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                eprintln!("SKIPPED: no network namespace: {error}");
                return;
            }
            if !std::path::Path::new("/dev/net/tun").exists() {
                eprintln!("SKIPPED: no /dev/net/tun");
                return;
            }
            for command in commands {
                let output = std::process::Command::new("ip").args(command.split(' ')).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "ip {command}: {said}");
            }
            run(test());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs `test` on a runtime of its own, which must be done in time.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, test).await }).expect("the test ends");
}
