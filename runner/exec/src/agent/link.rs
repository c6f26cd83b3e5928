//! The way to the runner: a socket that carries descriptors, or two streams of bytes.
//!
//! Nothing here waits: what the runner does not take yet lies in a queue, so that the agent goes on reaping
//! and hearing however slow that is. What could make the queue long is said only while it is short.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::pipe::PIPE_BUF;

use crate::frames::{self, FrameBuffer, FromAgent, MAX_FRAME, ToAgent};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;
/// Bytes that wait for the runner, beyond which nothing is added that can wait itself.
const LONG: usize = 256 * 1024;
/// Beyond these it asks and asks, and takes no answer.
const MOST: usize = 2 * MAX_FRAME;

enum Transport {
    Socket(UnixStream),
    Streams { input: File, output: File },
}

pub(super) struct Link {
    transport: Transport,
    /// Whether output and input go as frames.
    frames: bool,
    received: FrameBuffer,
    outgoing: VecDeque<u8>,
    /// Those that came for the run that is coming.
    descriptors: VecDeque<OwnedFd>,
}

impl Link {
    /// Over descriptor 0, and 1 if that is no socket. Afterwards both are `/dev/null`: no command must
    /// inherit them.
    pub(super) fn take() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let transport = if rustix::net::sockopt::socket_type(&input).is_ok() {
            Transport::Socket(UnixStream::from(input))
        } else {
            let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            Transport::Streams { input: File::from(input), output }
        };
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        Ok(Self {
            transport,
            frames: true,
            received: FrameBuffer::default(),
            outgoing: VecDeque::new(),
            descriptors: VecDeque::new(),
        })
    }

    /// The runner wants output and input as frames, or as descriptors, which only a socket carries.
    pub(super) fn agree(&mut self, frames: bool) -> io::Result<()> {
        self.frames = frames;
        match self.transport {
            Transport::Streams { .. } if !frames => {
                Err(io::Error::other("no socket, so descriptors do not come"))
            }
            Transport::Streams { .. } | Transport::Socket(_) => Ok(()),
        }
    }

    pub(super) const fn carries_descriptors(&self) -> bool {
        !self.frames
    }

    /// What to wait for.
    pub(super) fn readable(&self) -> BorrowedFd<'_> {
        match &self.transport {
            Transport::Socket(socket) => socket.as_fd(),
            Transport::Streams { input, .. } => input.as_fd(),
        }
    }

    /// Takes what is there; false at the end.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        if self.outgoing.len() > MOST {
            return Err(io::Error::other("the runner takes no answers"));
        }
        let received = self.received.space();
        let begin = received.len();
        received.resize(begin + CHUNK, 0);
        let space = &mut received[begin..];
        let read = match &mut self.transport {
            Transport::Socket(socket) => receive(socket, space, &mut self.descriptors),
            Transport::Streams { input, .. } => input.read(space),
        };
        let count = match read {
            Ok(count) => count,
            Err(error) => {
                received.truncate(begin);
                let nothing = matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
                return if nothing { Ok(true) } else { Err(error) };
            }
        };
        received.truncate(begin + count);
        Ok(count > 0)
    }

    /// The next whole frame of what was taken, with its descriptors.
    pub(super) fn next(&mut self) -> io::Result<Option<(ToAgent, Vec<OwnedFd>)>> {
        let frame = self.received.take_frame()?;
        Ok(frame.map(|frame| {
            let carries = matches!(frame, ToAgent::Run(_));
            (frame, if carries { self.descriptors.drain(..).collect() } else { Vec::new() })
        }))
    }

    /// Sends several frames at once, so that the runner wakes once; or has them wait behind others.
    pub(super) fn send(&mut self, frames: &[&FromAgent]) {
        for bytes in frames.iter().filter_map(|frame| frames::encode(frame).ok()) {
            self.outgoing.extend(bytes);
        }
        self.flush();
    }

    /// Whether so much waits that whatever may wait should.
    pub(super) fn is_long(&self) -> bool {
        self.outgoing.len() > LONG
    }

    /// What to wait for before [`Self::flush`], if anything waits.
    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        (!self.outgoing.is_empty()).then(|| match &self.transport {
            Transport::Socket(socket) => socket.as_fd(),
            Transport::Streams { output, .. } => output.as_fd(),
        })
    }

    /// Sends what the runner takes at once.
    pub(super) fn flush(&mut self) {
        while !self.outgoing.is_empty() {
            let (bytes, _) = self.outgoing.as_slices();
            let sent = match &mut self.transport {
                Transport::Socket(socket) => {
                    send(socket, bytes, SendFlags::DONTWAIT).map_err(io::Error::from)
                }
                // Others may have this stream, too, so it is not made one that never waits.
                Transport::Streams { output, .. } if takes(output) => {
                    output.write(&bytes[..bytes.len().min(PIPE_BUF)])
                }
                Transport::Streams { .. } => return,
            };
            match sent {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A runner that has died is noticed by reading.
                Err(_) => self.outgoing.clear(),
            }
        }
    }
}

/// Whether there is room for so much as goes into a pipe at once.
fn takes(output: &File) -> bool {
    let mut descriptors = [PollFd::new(output, PollFlags::OUT)];
    let polled = poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && !descriptors[0].revents().is_empty()
}

fn receive(socket: &UnixStream, space: &mut [u8], descriptors: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut room);
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let received = match recvmsg(socket, &mut [IoSliceMut::new(space)], &mut ancillary, flags) {
        Ok(received) => received.bytes,
        // Whoever has died with something unread.
        Err(Errno::CONNRESET) => 0,
        Err(error) => return Err(error.into()),
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for descriptor in rights {
                #[cfg(not(target_os = "linux"))]
                rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
                descriptors.push_back(descriptor);
            }
        }
    }
    Ok(received)
}
