//! The page: Leptos views over a reactive copy of the agent's view, and the browser's services for the agent.

pub mod app;
pub mod format;
pub mod markdown;
pub mod replay;
mod shell;
pub mod state;
pub mod terminal;
pub mod ui;

/// Starts the page.
pub fn run() {
    shell::install_notice();
    leptos::mount::mount_to_body(app::App);
}
