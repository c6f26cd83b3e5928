//! An agent at the other end of a stream of bytes: a pipe, an SSH channel, a step of a batch system.
//!
//! Output comes as frames, as far as credit was given for it; input goes as frames, as far as the agent gives
//! credit.
//!
//! Neither side may hold up the other: what is said waits in a queue, and reading and writing go on side by
//! side, whoever waits for which ([`Remote::step`]). Both have bounds: an agent that says more than is taken
//! apart is not read from, and one that takes nothing, or says nothing though it is asked whether it lives,
//! is given up.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::frames::{self, FrameBuffer, FromAgent, MAX_FRAME, ToAgent, VERSION};

/// How long an agent may take to say who it is. Whoever starts it counts its start.
const MEETING: Duration = Duration::from_secs(20);
/// Silence after which an agent is asked whether it lives.
const QUIET: Duration = Duration::from_secs(15);
/// How long it may take to answer that, and to take anything of what is said to it.
const DEAD: Duration = Duration::from_secs(30);
/// Bytes that were read and not taken apart yet: two of the longest frames.
const MOST: usize = 2 * MAX_FRAME;

/// An agent that is reached by what comes from it and what goes to it.
pub struct Remote<R, W> {
    reader: R,
    writer: W,
    received: FrameBuffer,
    /// What is still to be written, and how much of it was.
    outgoing: (Vec<u8>, usize),
    /// Whether what was written may still wait in the writer.
    unflushed: bool,
    /// When it last said something.
    heard: Instant,
    /// When it was asked whether it lives, if it has said nothing since.
    asked: Option<Instant>,
    ended: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Remote<R, W> {
    /// Meets an agent.
    ///
    /// # Errors
    /// The stream ends, nothing comes for long, or the agent is of another version.
    pub async fn meet(reader: R, writer: W) -> io::Result<Self> {
        let mut remote = Self {
            reader,
            writer,
            received: FrameBuffer::default(),
            outgoing: (Vec::new(), 0),
            unflushed: false,
            heard: Instant::now(),
            asked: None,
            ended: false,
        };
        let met = async {
            remote.send(&ToAgent::Hello { version: VERSION, frames: true }).await?;
            remote.receive().await
        };
        match timeout(MEETING, met).await {
            Ok(frame) => match frame? {
                Some(FromAgent::Hello { version }) => frames::check_version(version).map(|()| remote),
                Some(_) => Err(io::Error::other("what answers is no agent")),
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            },
            Err(_) => Err(silent("it does not say who it is")),
        }
    }

    /// Says something, and takes what the agent says meanwhile. What is dropped before its end is said by the
    /// next call of this or [`Self::receive`].
    ///
    /// # Errors
    /// The stream has ended, or the agent takes nothing any more.
    pub async fn send(&mut self, frame: &ToAgent) -> io::Result<()> {
        self.queue(frame)?;
        let mut last = (self.left(), Instant::now() + DEAD);
        while self.left() > 0 {
            match timeout_at(last.1, self.step()).await {
                Ok(stepped) => stepped?,
                Err(_) => return Err(silent("it takes nothing any more")),
            }
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.left() != last.0 {
                last = (self.left(), Instant::now() + DEAD);
            }
        }
        Ok(())
    }

    /// The next frame; `None` at the end of the stream. May be dropped and called again.
    ///
    /// # Errors
    /// The stream is broken, or the agent is silent though it was asked whether it lives.
    pub async fn receive(&mut self) -> io::Result<Option<FromAgent>> {
        loop {
            match self.received.take_frame()? {
                Some(FromAgent::Pong) => {}
                Some(frame) => return Ok(Some(frame)),
                None if self.ended && self.received.is_empty() => return Ok(None),
                // A frame was cut off.
                None if self.ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => self.step().await?,
            }
        }
    }

    fn queue(&mut self, frame: &ToAgent) -> io::Result<()> {
        let (bytes, written) = &mut self.outgoing;
        if *written == bytes.len() {
            bytes.clear();
            *written = 0;
        }
        bytes.extend(frames::encode(frame)?);
        Ok(())
    }

    /// What is not written yet, and one more while the last may still wait in the writer.
    fn left(&self) -> usize {
        self.outgoing.0.len() - self.outgoing.1 + usize::from(self.unflushed)
    }

    /// Writes or reads something, whichever can be done first, or asks whether the agent lives. Loses nothing
    /// when it is dropped.
    async fn step(&mut self) -> io::Result<()> {
        let writing = self.left() > 0;
        let reading = !self.ended && self.received.len() < MOST;
        // What is not read cannot be silent.
        let due = reading.then(|| self.asked.map_or(self.heard + QUIET, |asked| asked + DEAD));
        let Self { reader, writer, received, outgoing: (bytes, written), unflushed, .. } = self;
        let rest = &bytes[*written..];
        tokio::select! {
            // There is an end to what is to be written; and what was there in time counts, whenever it is
            // looked at.
            biased;
            // Nothing is written where there is nothing to, so then it is flushed.
            count = async {
                if rest.is_empty() { writer.flush().await.map(|()| None) } else { writer.write(rest).await.map(Some) }
            }, if writing => match count? {
                Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                Some(count) => {
                    *written += count;
                    *unflushed = true;
                }
                None => *unflushed = false,
            },
            read = reader.read_buf(received.space()), if reading => {
                self.ended = read? == 0;
                self.heard = Instant::now();
                self.asked = None;
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if self.asked.is_some() {
                    return Err(silent("it says nothing any more"));
                }
                self.asked = Some(Instant::now());
                self.queue(&ToAgent::Ping)?;
            }
        }
        Ok(())
    }
}

fn silent(how: &str) -> io::Error {
    let message = format!("the agent is given up: {how}; look whether the way to its machine stands");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex, split};

    use super::*;

    type Half<T> = tokio::io::ReadHalf<T>;
    type Other<T> = tokio::io::WriteHalf<T>;

    fn hello() -> Vec<u8> {
        frames::encode(&FromAgent::Hello { version: VERSION }).unwrap()
    }

    /// Met, and the agent's end.
    async fn met() -> (Remote<Half<DuplexStream>, Other<DuplexStream>>, DuplexStream) {
        let (ours, mut theirs) = duplex(1024);
        let (reader, writer) = split(ours);
        theirs.write_all(&hello()).await.unwrap();
        (Remote::meet(reader, writer).await.unwrap(), theirs)
    }

    fn long() -> ToAgent {
        ToAgent::Input { data: vec![b'x'; 1024 * 1024].into(), eof: false }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_say_who_it_is_is_given_up() {
        let (ours, _theirs) = duplex(1024);
        let (reader, writer) = split(ours);
        let error = Remote::meet(reader, writer).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_nothing_is_given_up_however_much_it_says() {
        let (mut remote, theirs) = met().await;
        let (reader, mut writer) = split(theirs);
        let (told, counted) = std::sync::mpsc::channel();
        let flood = tokio::spawn(async move {
            let chunk = vec![0; 64 * 1024];
            while writer.write_all(&chunk).await.is_ok() {
                told.send(chunk.len()).unwrap();
            }
        });
        let error = remote.send(&long()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        drop((remote, reader));
        flood.await.unwrap();
        let taken: usize = counted.iter().sum();
        assert!(taken < 32 * 1024 * 1024, "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_silent_is_asked_and_given_up_and_one_that_answers_is_not() {
        let (mut remote, mut theirs) = met().await;
        let mut heard = FrameBuffer::default();
        let begun = Instant::now();
        for _ in 0..3 {
            let answer = async {
                loop {
                    match heard.take_frame().unwrap() {
                        Some(ToAgent::Ping) => break,
                        Some(_) => {}
                        None => assert!(theirs.read_buf(heard.space()).await.unwrap() > 0),
                    }
                }
                theirs.write_all(&frames::encode(&FromAgent::Pong).unwrap()).await.unwrap();
            };
            tokio::select! {
                frame = remote.receive() => panic!("{frame:?}"),
                () = answer => {}
            }
        }
        assert!(begun.elapsed() >= 3 * QUIET);
        let error = remote.receive().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_dropped_half_way_is_said_whole_by_the_next() {
        let (mut remote, mut theirs) = met().await;
        assert!(timeout(Duration::from_millis(1), remote.send(&long())).await.is_err());
        let mut heard = FrameBuffer::default();
        let all = async {
            let mut kinds = Vec::new();
            while kinds.len() < 3 {
                match heard.take_frame().unwrap() {
                    Some(frame) => kinds.push(frame),
                    None => assert!(theirs.read_buf(heard.space()).await.unwrap() > 0),
                }
            }
            kinds
        };
        let (sent, kinds) = tokio::join!(remote.send(&ToAgent::Saved), all);
        sent.unwrap();
        assert!(
            matches!(&kinds[..], [ToAgent::Hello { .. }, ToAgent::Input { data, .. }, ToAgent::Saved] if data.0.len() == 1024 * 1024)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_within_a_frame_is_no_end_of_the_agents_own() {
        for (end, whole) in [(&b""[..], true), (&b"\x08\0\0\0\"Em"[..], false)] {
            let (mut remote, mut theirs) = met().await;
            theirs.write_all(end).await.unwrap();
            drop(theirs);
            assert_eq!(remote.receive().await.is_ok(), whole);
        }
    }
}
