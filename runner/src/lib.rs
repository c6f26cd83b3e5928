//! The runner.
pub mod page;
