//! Tasks: commands that run while the agent goes on thinking.
//!
//! [`Tasks`] is the handle that the rest of the runner has. Behind it each task has an entry (what is
//! published of it, and its log), and an actor of its own (`actor`) that leads it from the queue to the last
//! of its processes by way of an agent (the crate `exec`); what follows from what is decided by a pure
//! `machine`. What is durable goes through the store: the row of a task is on the disk before its process
//! exists, and its end is on the disk, together with the event that tells of it, before anybody hears of it.
//! On opening, tasks that an earlier runner did not see end become `lost`.

mod actor;
mod admission;
mod config;
mod context;
mod end;
mod entry;
mod environment;
mod events;
mod exhaustion;
mod feed;
mod handle;
mod input;
mod launch;
mod log;
mod machine;
mod outbox;
mod port_watch;
mod ports;
mod prompt;
mod reader;
mod recovery;
mod registry;
mod retention;
#[cfg(test)]
mod simulation_tests;
mod slots;
mod stats;
mod stops;
mod teller;
mod text;

pub(crate) use admission::reused;
pub use config::{TasksConfig, TasksError};
pub(crate) use entry::task_of;
pub use feed::{Change, Told};
pub use handle::Tasks;
#[cfg(feature = "fuzzing")]
pub(crate) use text::clean;
