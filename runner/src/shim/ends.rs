//! The shim's descriptors: the socket to the runner, and the output's pipe.

use std::io::{self, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::wire::{MAX_FRAME, ToShim};

/// Whether the reading end of a pipe is open.
pub(super) fn is_read(output: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(output, PollFlags::OUT)];
    let polled = poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && !descriptors[0].revents().contains(PollFlags::ERR)
}

/// Whether there is something to read before the deadline.
pub(super) fn readable(control: &UnixStream, deadline: Option<Instant>) -> io::Result<bool> {
    let mut descriptors = [PollFd::new(control, PollFlags::IN)];
    let timeout = deadline
        .map(|deadline| Timespec::try_from(deadline.saturating_duration_since(Instant::now())))
        .transpose()
        .map_err(io::Error::other)?;
    match poll(&mut descriptors, timeout.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// One frame with its descriptors; `None` at the end.
pub(super) fn receive(control: &mut UnixStream) -> io::Result<Option<(ToShim, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let received = recvmsg(&*control, &mut [IoSliceMut::new(&mut length)], &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    control.read_exact(&mut length[received.bytes..])?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    #[cfg(not(target_os = "linux"))]
    for descriptor in &descriptors {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::other("a frame that is too long"));
    }
    let mut body = vec![0; length];
    control.read_exact(&mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, descriptors)))
}
