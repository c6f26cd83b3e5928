//! A run: a main process and its tree, from the start to the last of them.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::carry::Carried;
use crate::frames::Exited;
use crate::tree::Member;

/// What a stop has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nobody asked.
    Free,
    /// TERM was sent; KILL follows at this moment.
    Asked(Instant),
    /// KILL is being sent since this moment, and again at that.
    Killing { since: Instant, again: Instant, told: bool },
}

pub(super) struct Running {
    /// Of the main process.
    pub(super) pid: Pid,
    pub(super) begun: Duration,
    /// Where its end goes if the runner dies.
    pub(super) exit_file: String,
    /// Its output's pipe, by which can be seen whether somebody reads that; none with an open input.
    pub(super) witness: Option<OwnedFd>,
    pub(super) mode: Mode,
    /// Whether the main process was waited for.
    pub(super) ended: bool,
    /// Its end, if it is still to be sent.
    pub(super) unsent: Option<Exited>,
    /// Whether nobody is left, so that only output is to be sent.
    pub(super) empty: bool,
    /// When what is left may be looked at again, and whether it is wanted then.
    pub(super) look: (Instant, bool),
    /// What a freeze has stopped, so that a thaw lets nothing go on that stood still before.
    pub(super) frozen: HashSet<Member>,
    /// Output and input, where they go as frames.
    pub(super) carried: Option<Carried>,
}

/// How a main process ended, and where to write it.
pub(super) struct Last {
    pub(super) exit_file: String,
    pub(super) exited: Exited,
    pub(super) at: Instant,
    /// Whether somebody still read its output then; not known of one with an open input.
    pub(super) read: Option<bool>,
}
