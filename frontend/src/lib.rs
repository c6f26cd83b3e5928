//! The page: Leptos views over a reactive copy of the agent's view, and the browser's services for the agent.

pub mod ansi;
pub mod format;
pub mod markdown;
pub mod state;
pub mod ui;
