//! The demo: a scripted model that needs no key and no network, and says that it is one.
//!
//! [`Facts`] is a fold over the session's log: what the person sent, what was done since, which tasks have
//! ended. [`script`] chooses from it what is done next, [`sentences`] tells what happened, and [`stream`]
//! writes the answer as the events that a real server would send, so that it comes through the very same
//! reader.

mod facts;
mod project;
mod script;
mod sentences;
mod stream;
mod text;

pub use facts::Facts;
pub use stream::Chunk;

/// Something to ask for, as a button of an empty session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// What the button says.
    pub title: &'static str,
    /// What it sends.
    pub wish: &'static str,
}

/// The lesson's own three examples.
#[must_use]
pub const fn examples() -> [Example; 3] {
    let several = r#"Start 3 background tasks: "sleep 2", "sleep 4", "sleep 6". Check their status."#;
    let write = r#"Run "sleep 5 && echo done" in the background, then create a file while it runs"#;
    let tests = "Run pytest in the background and keep working on other things";
    [
        Example { title: "Work while a command runs", wish: write },
        Example { title: "Three tasks at once", wish: several },
        Example { title: "Tests in the background", wish: tests },
    ]
}

/// The answer to the call under way, as a stream of the Messages API.
#[must_use]
pub fn answer(facts: &Facts) -> Vec<Chunk> {
    stream::write(&script::next(facts), facts.answers + 1)
}
