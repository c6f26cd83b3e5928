//! The agent: `meanwhile __agent`, one small process above each running task.
//!
//! Its descriptor 0 is a socket to the runner, or any stream of bytes with descriptor 1 for the way back (see
//! [`crate::frames`]). It leads a session without a terminal and is a subreaper, so that every process a
//! command starts, however it hides, stays below it and is reaped by it. One thread blocks in `poll`: on what
//! the runner says, on the death of children (a pipe that SIGCHLD writes to), on pipes of output and input
//! where these go as frames, and on the next deadline. It starts the shell as leader of a group of its own,
//! reaps, stops, freezes. When the runner's end is closed, the runner has died: how the newest main process
//! ended is left in a file, should that not have been saved, and the tree is killed. An agent whose tree is
//! empty serves the next run.
//!
//! Why killing ends: KILL goes to all members; whoever escapes was forked by one of them just before, becomes
//! a child of the agent at the latest when that one is reaped, and every reaping is followed by another
//! round.

mod carry;
mod link;
mod reap;
mod run;
mod serve;
mod start;
mod stop;

pub use serve::main;
