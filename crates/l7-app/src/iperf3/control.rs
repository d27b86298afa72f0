//! The control connection: states as bytes, JSON behind its length.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::iperf3::error::{Refusal, SessionError};
use crate::iperf3::protocol::State;

/// The longest JSON that a client may send, in bytes: 256 streams' results are a tenth of it.
const MAX_JSON_LEN: u32 = 1 << 20;
/// How long a client is given to read that it is sent away.
const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// A control connection behind its cookie.
#[derive(Debug)]
pub(crate) struct Control<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Control<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(stream)
    }

    pub(crate) async fn write_state(&mut self, state: State) -> Result<(), SessionError> {
        self.0.write_all(&[state.byte()]).await?;
        Ok(self.0.flush().await?)
    }

    /// Reads one state. Cancel safe.
    pub(crate) async fn read_state(&mut self) -> Result<State, SessionError> {
        let mut byte = [0];
        if self.0.read(&mut byte).await? == 0 {
            return Err(
                io::Error::new(io::ErrorKind::UnexpectedEof, "the client closed the connection").into()
            );
        }
        let [byte] = byte;
        State::from_byte(byte).ok_or(SessionError::UnexpectedState(byte))
    }

    pub(crate) async fn read_json<T: DeserializeOwned>(&mut self) -> Result<T, SessionError> {
        let len = self.0.read_u32().await?;
        if len > MAX_JSON_LEN {
            return Err(SessionError::LongJson(len));
        }
        let mut json = Vec::new();
        (&mut self.0).take(u64::from(len)).read_to_end(&mut json).await?;
        serde_json::from_slice(&json).map_err(SessionError::BadJson)
    }

    pub(crate) async fn write_json(&mut self, value: &impl Serialize) -> Result<(), SessionError> {
        let json = serde_json::to_vec(value).map_err(SessionError::BadJson)?;
        let len = u32::try_from(json.len()).map_err(|_| SessionError::LongJson(u32::MAX))?;
        self.0.write_u32(len).await?;
        self.0.write_all(&json).await?;
        Ok(self.0.flush().await?)
    }

    /// Tells the client why its test is not run.
    pub(crate) async fn refuse(&mut self, refusal: Refusal) -> Result<(), SessionError> {
        self.write_state(State::ServerError).await?;
        self.0.write_u32(refusal.code()).await?;
        self.0.write_u32(0).await?;
        Ok(self.0.flush().await?)
    }

    /// Sends the FIN, and waits for the client's own as long as a farewell takes: closing a connection on which more
    /// arrives resets it, and a client that sees a reset first does not read what it was told.
    pub(crate) async fn finish(&mut self) -> Result<(), SessionError> {
        self.0.shutdown().await?;
        let mut scratch = [0; 256];
        let drained = async {
            while self.0.read(&mut scratch).await? > 0 {}
            Ok(())
        };
        timeout(FAREWELL_TIME, drained).await.unwrap_or(Ok(()))
    }
}
