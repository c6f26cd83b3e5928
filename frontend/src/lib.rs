//! The page: Leptos views over a reactive copy of the agent's view, and the browser's services for the agent.

pub mod ansi;
pub mod app;
pub mod format;
pub mod markdown;
mod shell;
pub mod state;
pub mod ui;

/// Starts the page. A pairing code is taken out of the address before anything else.
pub fn run() {
    shell::install_notice();
    let address = shell::take_address();
    leptos::mount::mount_to_body(move || app::App(app::AppProps { address }));
}
