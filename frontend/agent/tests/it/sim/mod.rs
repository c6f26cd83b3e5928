//! A small world around the agent: a runner, a network, a disk and a model, each of which can fail at any step.
//!
//! Everything is drawn from one seed. Time jumps from happening to happening, so that a day passes in a millisecond.

pub(crate) mod chance;
pub(crate) mod model;
pub(crate) mod runner;
pub(crate) mod world;
