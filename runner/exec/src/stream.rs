//! An agent at the other end of a stream of bytes: a pipe, an SSH channel, a step of a batch system.
//!
//! Output comes as frames, as far as credit was given for it; input goes as frames, as far as the agent gives credit.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::frames::{self, FromAgent, ToAgent, VERSION};

/// An agent that is reached by what comes from it and what goes to it.
pub struct Remote<R, W> {
    reader: R,
    writer: W,
    received: Vec<u8>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Remote<R, W> {
    /// Meets an agent.
    ///
    /// # Errors
    /// The stream ends, or the agent is of another version.
    pub async fn meet(reader: R, writer: W) -> io::Result<Self> {
        let mut remote = Self { reader, writer, received: Vec::new() };
        remote.send(&ToAgent::Hello { version: VERSION, frames: true }).await?;
        match remote.receive().await? {
            Some(FromAgent::Hello { version }) => frames::check_version(version).map(|()| remote),
            Some(_) => Err(io::Error::other("what answers is no agent")),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Says something, and takes what the agent says meanwhile: it may be waiting for that, and then hears nothing.
    ///
    /// # Errors
    /// The stream has ended.
    pub async fn send(&mut self, frame: &ToAgent) -> io::Result<()> {
        let bytes = frames::encode(frame)?;
        let Self { reader, writer, received } = self;
        let mut left = bytes.as_slice();
        while !left.is_empty() {
            tokio::select! {
                written = writer.write(left) => match written? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    count => left = &left[count..],
                },
                read = reader.read_buf(received) => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
            }
        }
        writer.flush().await
    }

    /// The next frame; `None` at the end of the stream. May be dropped and called again.
    ///
    /// # Errors
    /// The stream is broken.
    pub async fn receive(&mut self) -> io::Result<Option<FromAgent>> {
        loop {
            if let Some(frame) = frames::decode(&mut self.received)? {
                return Ok(Some(frame));
            }
            if self.reader.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }
}
