//! What every test of stacks ends with: nothing is left.

use std::time::Duration;

use netloom::{Net, Usage};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::timeout;

/// How long something may be left.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits until the stacks hold nothing for any socket any more, ends them, and waits for the last task of the runtime: the
/// test's own have to end too.
pub(crate) async fn end<const N: usize>(nets: [Net; N]) {
    let usage = || nets.iter().flat_map(Net::usage).collect::<Vec<_>>();
    // All of them before any ends: one may wait for another's last segment.
    if timeout(LIMIT, until(|| usage().iter().all(Usage::is_clear))).await.is_err() {
        panic!("something is left: {:?}", usage());
    }
    for net in nets {
        net.shutdown(Duration::ZERO).await;
    }
    let has_no_task = || Handle::current().metrics().num_alive_tasks() == 0;
    timeout(LIMIT, until(has_no_task)).await.expect("no task is left");
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}
