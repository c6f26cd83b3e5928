//! A small world around the agent: a runner, a network, disks, browsers and a model, each of which can fail
//! at any step.
//!
//! Everything is drawn from one seed. Time jumps from happening to happening, so that a day passes in a
//! millisecond. What is right is judged from outside: by the requests' bytes, the runner's tasks and outbox,
//! the disks, and what the page shows.

pub(crate) mod chance;
pub(crate) mod clock;
pub(crate) mod delivered;
pub(crate) mod model;
pub(crate) mod page;
pub(crate) mod runner;
pub(crate) mod seeds;
pub(crate) mod tabs;
pub(crate) mod world;
