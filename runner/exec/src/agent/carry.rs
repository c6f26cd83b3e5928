//! Output and input that go as frames: both bounded by credit, so that a slow side holds up nobody but
//! itself.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use shared::output::Bytes;

use super::link::Link;
use crate::frames::FromAgent;

/// Bytes of output in a frame.
const CHUNK: usize = 64 * 1024;
/// Bytes of input that wait for the command.
const INPUT: usize = 64 * 1024;

/// The agent's ends of a command's pipes.
pub(super) struct Carried {
    output: Option<OwnedFd>,
    offset: u64,
    credit: u64,
    input: Option<OwnedFd>,
    waiting: VecDeque<u8>,
    /// Whether the input ends behind what waits.
    eof: bool,
}

impl Carried {
    /// Pipes for a command, and its ends of them: output, and input if it is to be open.
    pub(super) fn new(stdin: bool, link: &mut Link) -> io::Result<(Self, Vec<OwnedFd>)> {
        let (output, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        nonblocking(&output)?;
        let mut ends = vec![theirs];
        let mut input = None;
        if stdin {
            let (their_input, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            nonblocking(&ours)?;
            ends.push(their_input);
            input = Some(ours);
            link.send(&[&FromAgent::Credit(INPUT as u64)]);
        }
        let carried =
            Self { output: Some(output), offset: 0, credit: 0, input, waiting: VecDeque::new(), eof: false };
        Ok((carried, ends))
    }

    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().filter(|_| self.credit > 0).map(OwnedFd::as_fd)
    }

    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().filter(|_| !self.waiting.is_empty()).map(OwnedFd::as_fd)
    }

    pub(super) fn credit(&mut self, more: u64) {
        self.credit = self.credit.saturating_add(more);
    }

    /// Sends some output, if there is some and credit for it: no more than that, for the agent has others to
    /// hear. Whether there is none any more: its end came, or there is nothing in the pipe.
    pub(super) fn send(&mut self, link: &mut Link) -> bool {
        let Some(output) = self.output.as_ref().filter(|_| self.credit > 0) else {
            return self.output.is_none();
        };
        let mut chunk = vec![0; usize::try_from(self.credit).unwrap_or(CHUNK).min(CHUNK)];
        match rustix::io::read(output, &mut chunk[..]) {
            Ok(0) => self.output = None,
            Ok(count) => {
                chunk.truncate(count);
                link.send(&[&FromAgent::Output { offset: self.offset, data: Bytes(chunk) }]);
                self.offset += count as u64;
                self.credit -= count as u64;
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return true,
            Err(_) => self.output = None,
        }
        self.output.is_none()
    }

    /// Takes input for the command. More than there was credit for is an error of the other side.
    pub(super) fn take(&mut self, data: &[u8], eof: bool, link: &mut Link) -> io::Result<()> {
        if self.waiting.len() + data.len() > INPUT {
            return Err(io::Error::other("more input than there was credit for"));
        }
        self.waiting.extend(data);
        self.eof |= eof;
        self.pass(link);
        Ok(())
    }

    /// Gives the command input as far as it takes it.
    pub(super) fn pass(&mut self, link: &mut Link) {
        let mut passed = 0;
        while let Some(input) = &self.input
            && !self.waiting.is_empty()
        {
            match rustix::io::write(input, self.waiting.make_contiguous()) {
                Ok(count) => {
                    self.waiting.drain(..count);
                    passed += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.input = None;
                    link.send(&[&FromAgent::InputClosed]);
                }
            }
        }
        if passed > 0 && self.input.is_some() {
            link.send(&[&FromAgent::Credit(passed)]);
        }
        if self.eof && self.waiting.is_empty() {
            self.input = None;
        }
    }

    /// The main process has ended: its input is closed.
    pub(super) fn close_input(&mut self) {
        self.input = None;
        self.waiting.clear();
    }
}

fn nonblocking(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    Ok(rustix::fs::fcntl_setfl(descriptor, flags | rustix::fs::OFlags::NONBLOCK)?)
}
