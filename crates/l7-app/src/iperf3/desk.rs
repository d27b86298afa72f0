//! Where connections are received: one client at a time has the seat, its streams are passed on to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::iperf3::protocol::Cookie;
use crate::iperf3::tally::lock;

/// How long a client waits for the seat before it is refused, so that one that comes right after another finds the
/// other's end noticed.
const PATIENCE: Duration = Duration::from_millis(250);

/// The desk of one service.
#[derive(Debug)]
pub(crate) struct Desk<S> {
    seat: Arc<Semaphore>,
    guest: Mutex<Option<Guest<S>>>,
}

/// Who has the seat, and where its streams go while it waits for them.
#[derive(Debug)]
struct Guest<S> {
    cookie: Cookie,
    streams: Option<mpsc::Sender<Opened<S>>>,
}

/// A stream of the test.
#[derive(Debug)]
pub(crate) struct Opened<S> {
    /// Its place in the order in which connections were accepted.
    pub(crate) order: u64,
    pub(crate) stream: S,
}

/// What became of a connection with its cookie.
#[derive(Debug)]
pub(crate) enum Visit<S> {
    /// It is the control connection of a new test.
    Seated(Seat<S>, S),
    /// It was passed on to the test it belongs to.
    PassedOn,
    /// Another test is running.
    Refused(S),
}

/// The right to run a test; dropped, it is the next client's.
#[derive(Debug)]
pub(crate) struct Seat<S> {
    desk: Arc<Desk<S>>,
    _permit: OwnedSemaphorePermit,
}

impl<S> Desk<S> {
    pub(crate) fn new() -> Self {
        Self { seat: Arc::new(Semaphore::new(1)), guest: Mutex::new(None) }
    }

    /// Receives a connection that began with `cookie`.
    pub(crate) async fn receive(self: &Arc<Self>, cookie: Cookie, opened: Opened<S>) -> Visit<S> {
        let opened = match self.pass_on(&cookie, opened) {
            Ok(()) => return Visit::PassedOn,
            Err(opened) => opened,
        };
        match timeout(PATIENCE, Arc::clone(&self.seat).acquire_owned()).await {
            Ok(Ok(permit)) => {
                *lock(&self.guest) = Some(Guest { cookie, streams: None });
                Visit::Seated(Seat { desk: Arc::clone(self), _permit: permit }, opened.stream)
            }
            Ok(Err(_)) | Err(_) => Visit::Refused(opened.stream),
        }
    }

    /// Hands a stream to the guest that waits for it, or back.
    fn pass_on(&self, cookie: &Cookie, opened: Opened<S>) -> Result<(), Opened<S>> {
        let guest = lock(&self.guest);
        let streams =
            guest.as_ref().filter(|guest| guest.cookie == *cookie).and_then(|guest| guest.streams.as_ref());
        match streams {
            Some(streams) => streams.try_send(opened).map_err(mpsc::error::TrySendError::into_inner),
            None => Err(opened),
        }
    }
}

impl<S> Seat<S> {
    /// From now on up to `count` streams of the guest are passed on, until the receiver is dropped.
    pub(crate) fn expect_streams(&self, count: usize) -> mpsc::Receiver<Opened<S>> {
        let (sender, receiver) = mpsc::channel(count.max(1));
        if let Some(guest) = lock(&self.desk.guest).as_mut() {
            guest.streams = Some(sender);
        }
        receiver
    }
}

impl<S> Drop for Seat<S> {
    fn drop(&mut self) {
        *lock(&self.desk.guest) = None;
    }
}
