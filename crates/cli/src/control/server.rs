//! Serves the control socket: tasks of the daemon's runtime, beside the stack's driver and the services.
//!
//! *Theory of operation.* One task accepts, and one a client reads a line, answers it, and reads the next. They share the
//! first shard's thread with its driver: each waits where it must and gives way in between, so that a client that sends
//! nothing, or without end, or takes nothing, holds up itself.
//!
//! *Limits.* [`CLIENTS_MAX`] clients at a time; one more is told so and let go. A request is at most [`REQUEST_LEN_MAX`] bytes
//! long. A client has [`PATIENCE`] to complete its next request, and as long to take an answer. It costs a buffer of a
//! request's size, and an answer's while it is sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::protocol::{Answer, REQUEST_LEN_MAX, Refusal, RefusalKind, Request, emit_answer, parse_request};
use super::socket::{ControlSocket, SocketFile};

/// Clients at a time.
const CLIENTS_MAX: usize = 16;
/// How long a client may take to say what it wants, and to take what it is told.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after the process ran out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A control socket that is served until this is dropped; its file goes first.
pub(crate) struct ControlServer {
    _file: SocketFile,
    _tasks: JoinSet<()>,
}

impl ControlSocket {
    /// Begins to serve: `answer` says what each request is answered with, and must not take long.
    pub(crate) fn serve(self, answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> ControlServer {
        let Self { listener, file } = self;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(answer)));
        ControlServer { _file: file, _tasks: tasks }
    }
}

async fn accept(listener: UnixListener, answer: Arc<impl Fn(Request) -> Answer + Send + Sync + 'static>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < CLIENTS_MAX => {
                    clients.spawn(attend(stream, Arc::clone(&answer)));
                }
                Ok((stream, _)) => turn_away(&stream),
                Err(error) => {
                    tracing::debug!(%error, "control socket");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
}

/// Tells a client that there are too many, as far as it takes that at once.
fn turn_away(stream: &UnixStream) {
    let text = format_args!("{CLIENTS_MAX} clients are being served: try again");
    let refused = Answer::Refused(Refusal::new(RefusalKind::TooManyClients, text));
    if let Ok(line) = emit_answer(&refused) {
        // A socket that was just made has room for a line; a client that has gone needs none.
        let _ = stream.try_write(&line);
    }
}

/// Why a client's requests end.
enum End {
    /// It has no more.
    Closed,
    /// It does not keep to the limits.
    Refused(Refusal),
}

/// Serves one client to its end.
async fn attend(stream: UnixStream, answer: Arc<impl Fn(Request) -> Answer>) {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::with_capacity(REQUEST_LEN_MAX, reading);
    let end = loop {
        let line = match timeout(PATIENCE, read_line(&mut reading)).await {
            Ok(Ok(line)) => line,
            Ok(Err(end)) => break end,
            Err(_) => {
                let text = format_args!("no request within {} seconds", PATIENCE.as_secs());
                break End::Refused(Refusal::new(RefusalKind::TooSlow, text));
            }
        };
        let answered = parse_request(&line).map_or_else(Answer::Refused, |request| answer(request));
        if !send(&mut writing, &answered).await {
            return;
        }
    };
    if let End::Refused(refusal) = end {
        tracing::debug!(%refusal, "control client");
        send(&mut writing, &Answer::Refused(refusal)).await;
    }
}

/// The next line, with or without its line break if it is the last.
async fn read_line(reading: &mut BufReader<OwnedReadHalf>) -> Result<Vec<u8>, End> {
    let mut line = Vec::new();
    let limit = REQUEST_LEN_MAX as u64;
    match reading.take(limit).read_until(b'\n', &mut line).await {
        Ok(0) | Err(_) => Err(End::Closed),
        Ok(REQUEST_LEN_MAX..) if !line.ends_with(b"\n") => {
            let text = format_args!("a request has at most {REQUEST_LEN_MAX} bytes");
            Err(End::Refused(Refusal::new(RefusalKind::RequestTooLong, text)))
        }
        Ok(_) => Ok(line),
    }
}

/// Sends an answer; false if the client has gone, or does not take it.
async fn send(writing: &mut OwnedWriteHalf, answer: &Answer) -> bool {
    match emit_answer(answer) {
        Ok(line) => matches!(timeout(PATIENCE, writing.write_all(&line)).await, Ok(Ok(()))),
        Err(error) => {
            tracing::warn!(%error, "an answer could not be written");
            false
        }
    }
}

#[cfg(test)]
mod tests;
