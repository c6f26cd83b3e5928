//! The way to the runner: a socket that carries descriptors, or two streams of bytes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::frames::{self, FromAgent, ToAgent};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

enum Transport {
    Socket(UnixStream),
    Streams { input: File, output: File },
}

pub(super) struct Link {
    transport: Transport,
    /// Whether output and input go as frames.
    frames: bool,
    received: Vec<u8>,
    /// Those that came for the run that is coming.
    descriptors: VecDeque<OwnedFd>,
}

impl Link {
    /// Over descriptor 0, and 1 if that is no socket. Afterwards both are `/dev/null`: no command must inherit them.
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
        Ok(Self { transport, frames: true, received: Vec::new(), descriptors: VecDeque::new() })
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
        let begin = self.received.len();
        self.received.resize(begin + CHUNK, 0);
        let space = &mut self.received[begin..];
        let read = match &mut self.transport {
            Transport::Socket(socket) => receive(socket, space, &mut self.descriptors),
            Transport::Streams { input, .. } => input.read(space),
        };
        let count = match read {
            Ok(count) => count,
            Err(error) => {
                self.received.truncate(begin);
                let nothing = matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
                return if nothing { Ok(true) } else { Err(error) };
            }
        };
        self.received.truncate(begin + count);
        Ok(count > 0)
    }

    /// The next whole frame of what was taken, with its descriptors.
    pub(super) fn next(&mut self) -> io::Result<Option<(ToAgent, Vec<OwnedFd>)>> {
        let frame = frames::decode(&mut self.received)?;
        Ok(frame.map(|frame| {
            let carries = matches!(frame, ToAgent::Run(_));
            (frame, if carries { self.descriptors.drain(..).collect() } else { Vec::new() })
        }))
    }

    /// Sends several frames at once, so that the runner wakes once.
    pub(super) fn send(&mut self, frames: &[&FromAgent]) {
        let bytes: Vec<u8> = frames.iter().filter_map(|frame| frames::encode(frame).ok()).flatten().collect();
        // A runner that has died is noticed by reading.
        let _dead = match &mut self.transport {
            Transport::Socket(socket) => socket.write_all(&bytes),
            Transport::Streams { output, .. } => output.write_all(&bytes),
        };
    }
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
