//! The demo: a scripted model that needs no key and no network, and says that it is one.
//!
//! [`answer`] is a function of the request alone. [`story`] reads the conversation: what was wished, which steps were taken since, which tasks
//! are known and how they ended. [`wishes`] understands the wish, [`script`] chooses the next step, [`report`] words what results say and nothing else,
//! and [`stream`] writes the answer as the events that a real server would send, so that it comes through the very same reader.
//! Each script takes every step once, so a turn ends after a handful of calls whatever the results are.

mod clauses;
mod commands;
mod phrase;
mod report;
mod script;
mod story;
mod stream;
mod times;
mod tokens;
mod wishes;
mod writing;

use serde_json::Value;

use super::rules;

/// A piece of an answer, and how long to wait before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The pause before it, in milliseconds.
    pub delay_ms: u32,
    /// A piece of the body: server-sent events.
    pub bytes: Vec<u8>,
}

/// Something to wish for, as a button of an empty session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// A few words.
    pub title: &'static str,
    /// The words to say.
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

/// The answer to a request in the form of Anthropic's Messages, as a stream of its events with status 200.
/// In a build for tests, a request that breaks the rules is answered with the error that a real server would give.
#[must_use]
pub fn answer(request: &Value) -> Vec<Chunk> {
    // What the page sends was held against the rules when it was tested; there the check would be dead weight.
    if cfg!(debug_assertions)
        && let Err(message) = rules::check(request)
    {
        return stream::error(&message);
    }
    let story = story::read(request);
    stream::write(&script::next(&story), &story)
}

#[cfg(test)]
mod tests;
