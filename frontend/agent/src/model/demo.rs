//! The demo: a scripted model that needs no key and no network, and says that it is one.
//!
//! [`Facts`] is a fold over the session's log: what was wished, which steps were taken since, which tasks are known and how they ended.
//! [`script`] chooses the next step from it, [`sentences`] puts into sentences what happened, and [`stream`] writes the answer as the events that a real
//! server would send, so that it comes through the very same reader. No step is taken twice, so every turn ends.

mod facts;
mod project;
mod reply;
mod script;
mod sentences;
mod stream;

pub use facts::Facts;
pub use reply::Chunk;

/// Something to wish for, as a button of an empty session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its name.
    pub title: &'static str,
    /// The message to send.
    pub wish: &'static str,
}

/// The lesson's own three examples.
#[must_use]
pub const fn examples() -> [Example; 3] {
    [
        Example {
            title: "Work while a command runs",
            wish: r#"Run "sleep 5 && echo done" in the background, then create a file while it runs"#,
        },
        Example {
            title: "Three tasks at once",
            wish: r#"Start 3 background tasks: "sleep 2", "sleep 4", "sleep 6". Check their status."#,
        },
        Example {
            title: "Tests in the background",
            wish: "Run pytest in the background and keep working on other things",
        },
    ]
}

/// The answer to the call under way, as a stream of the Messages API.
#[must_use]
pub fn answer(facts: &Facts) -> Vec<Chunk> {
    stream::write(&script::next(facts), facts)
}
