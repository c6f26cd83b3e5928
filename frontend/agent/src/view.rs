//! What the page shows, as data. Patches change it; a page that applies them in order shows the truth.
//!
//! Patches are serializable, since tabs that follow a session get the very patches of the tab that drives it.

use serde::{Deserialize, Serialize};
use shared::output::OutputSlice;
use shared::protocol::{Confined, Stats};
use shared::task::Task;
use shared::{TaskId, Timestamp};

use crate::call::CallId;
use crate::settings::{Mode, ModelChoice, Rule};

/// One change of what is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "patch", content = "of", rename_all = "snake_case")]
pub enum Patch {
    /// Forget everything: what follows is the whole.
    Reset,
    /// Inserts or replaces a row of the conversation. Rows stand in the order of their ids.
    Row(Box<Row>),
    /// Adds text to the end of a `Text`, `Thinking` row's text or a tool card's input.
    Grow {
        /// Which row.
        row: u64,
        /// The text to add.
        text: String,
    },
    /// Removes a row: an answer that broke off and is asked for again.
    Drop {
        /// Which row.
        row: u64,
    },
    /// What waits for the next call, in its order.
    Queue(Vec<Waiting>),
    /// What the agent is doing.
    Status(Box<Status>),
    /// All tasks of the runner, replacing whatever was shown.
    Tasks(Vec<Task>),
    /// One task, new or changed.
    Task(Box<Task>),
    /// Tasks that are no longer known.
    TasksGone(Vec<TaskId>),
    /// Output of a watched task. Pieces come without gaps, but for what the runner no longer keeps; and from
    /// the beginning again when another page begins to look.
    Output {
        /// Which task.
        task: TaskId,
        /// The bytes.
        slice: OutputSlice,
    },
    /// The runner as a whole.
    Stats(Stats),
    /// Inserts or replaces a bar of the timeline.
    Span(Span),
    /// Inserts or replaces a drain of the timeline.
    Drain(Drain),
}

/// What is said to a person once, where they look, and is no part of what a session shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "flash", content = "of", rename_all = "snake_case")]
pub enum Flash {
    /// Something to say in passing, such as a refused wish.
    Toast {
        /// How grave.
        #[serde(rename = "tone")]
        severity: Severity,
        /// The text.
        text: String,
    },
    /// A message that was taken back, for the box in which it was written.
    Draft {
        /// The text.
        text: String,
    },
    /// A link that pairs another browser.
    PairLink {
        /// The link.
        url: String,
        /// Until when it may be used.
        expires: Timestamp,
    },
}

/// A row of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its identity and its place.
    pub id: u64,
    /// When it began.
    pub at: Timestamp,
    /// What it shows.
    #[serde(flatten)]
    pub kind: RowKind,
}

/// What a row shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum RowKind {
    /// A message of the person's.
    User {
        /// The text.
        text: String,
    },
    /// The model's text: Markdown.
    Text {
        /// So far.
        text: String,
        /// Whether more may come.
        live: bool,
    },
    /// The model's thinking, as far as it shows it.
    Thinking {
        /// So far.
        text: String,
        /// Whether more may come.
        live: bool,
    },
    /// A tool use.
    Tool(Box<ToolCard>),
    /// Results that went into a call.
    Drained {
        /// The call: its exact messages can be looked at.
        call: CallId,
        /// One line a task.
        lines: Vec<DrainedLine>,
    },
    /// A word of the agent itself: an error, a cut, a budget.
    Notice {
        /// How grave.
        #[serde(rename = "tone")]
        severity: Severity,
        /// What happened and what to do.
        text: String,
        /// Whether asking again is offered.
        retry: bool,
    },
}

impl RowKind {
    /// A notice without an offer to ask again.
    #[must_use]
    pub const fn notice(severity: Severity, text: String) -> Self {
        Self::Notice { severity, text, retry: false }
    }
}

/// A line of drained results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainedLine {
    /// Which task.
    pub task: TaskId,
    /// Such as `completed (exit 0, 41.2s)`.
    pub status: String,
    /// The last line or so of its output, one line.
    pub text: String,
    /// How it went.
    #[serde(rename = "tone")]
    pub severity: Severity,
}

/// A tool use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCard {
    /// The call it is part of.
    pub call: CallId,
    /// Which of its tool uses.
    pub index: usize,
    /// The tool's name.
    pub name: String,
    /// The command, path or task.
    pub subject: String,
    /// The whole arguments, while they come and where they do not fit the tool.
    pub input: String,
    /// How far it is.
    pub state: ToolState,
    /// When it began to be carried out.
    pub started: Option<Timestamp>,
    /// When it was done.
    pub ended: Option<Timestamp>,
    /// The task it started or concerns.
    pub task: Option<TaskId>,
    /// How it ended, such as `exit 0` or `+6 −1`.
    pub label: String,
    /// What the model read.
    pub output: String,
    /// A unified diff, if a file changed.
    pub diff: String,
}

impl ToolCard {
    /// The card of a tool use of which no more is known than its name.
    #[must_use]
    pub const fn new(call: CallId, index: usize, name: String, state: ToolState) -> Self {
        Self {
            call,
            index,
            name,
            subject: String::new(),
            input: String::new(),
            state,
            started: None,
            ended: None,
            task: None,
            label: String::new(),
            output: String::new(),
            diff: String::new(),
        }
    }
}

/// How far a tool use is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ToolState {
    /// Its arguments are still coming.
    Writing,
    /// It waits for those before it.
    Waiting,
    /// It waits for an approval.
    Asks {
        /// Why, in a short sentence.
        reason: String,
        /// What "always" can mean here: exactly this, then a safe prefix if there is one.
        always: Vec<Rule>,
        /// What is dangerous in it, part by part: then it is not allowed by a key.
        #[serde(default)]
        dangers: Vec<Danger>,
    },
    /// It runs. `foreground` with a task: it can be sent to the background.
    Running {
        /// Whether a task is being waited for.
        foreground: bool,
    },
    /// It went well.
    Done,
    /// It failed.
    Failed,
    /// It was not carried out: denied, stopped, cut off.
    Skipped,
}

/// What is dangerous in a part of a command, or in a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Danger {
    /// The part, in one line that hides nothing; empty for the whole.
    pub part: String,
    /// What it does, each as the rest of a sentence: `deletes`.
    pub what: Vec<String>,
}

/// Something that waits for the next call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "waiting", rename_all = "snake_case")]
pub enum Waiting {
    /// A message of the person's.
    #[serde(rename = "words")]
    Message {
        /// Its number.
        id: u64,
        /// Its text.
        text: String,
        /// Into the next call, not the next turn.
        steer: bool,
    },
    /// A task's completion.
    #[serde(rename = "end")]
    Completion {
        /// Which task.
        task: TaskId,
        /// Its command.
        command: String,
        /// Such as `completed · exit 0 · 12.0s`.
        label: String,
        /// How it went.
        #[serde(rename = "tone")]
        severity: Severity,
    },
}

/// What the agent is doing. Always visible and true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The session's title; empty while nothing was said.
    pub title: String,
    /// The turn.
    pub turn: TurnView,
    /// The runner.
    pub link: LinkView,
    /// Where commands run, short; empty until known.
    pub workspace: String,
    /// What keeps commands from writing elsewhere, if anything does.
    #[serde(default)]
    pub confined: Option<Confined>,
    /// Upstreams that the runner has a key for.
    pub relay: Vec<String>,
    /// The model in use, resolved: never `Auto`.
    pub model: ModelChoice,
    /// What needs an approval in this session.
    pub mode: Mode,
    /// Whether this session was once allowed everything: then it is not asked for that again.
    #[serde(default)]
    pub was_auto: bool,
    /// What the workspace is, if it is so wide that every change of a file is asked for.
    #[serde(default)]
    pub wide: Option<String>,
    /// Whether completions start turns by themselves.
    pub wake: bool,
    /// Self-started turns left until the person speaks.
    pub budget_left: u32,
    /// Tokens of this session.
    pub spent: Spent,
    /// Whether a server refused what was said last for what it holds: it can be taken back.
    #[serde(default)]
    pub refused: bool,
    /// Whether the conversation no longer fits the model, so that nothing is added to it.
    #[serde(default)]
    pub full: bool,
    /// Why the log is not saved, if it is not.
    pub unsaved: Option<String>,
    /// How often the model looked at running tasks instead of waiting to be told.
    pub polls: u32,
}

/// The turn, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "turn", rename_all = "snake_case")]
pub enum TurnView {
    /// Nothing to do.
    Idle,
    /// Something to do, but the runner is not there yet.
    WaitsForRunner {
        /// Whether it waits in the middle of a turn, which can be stopped.
        in_turn: bool,
    },
    /// A call is made; nothing came yet.
    Asking,
    /// The answer is coming.
    Streaming,
    /// An approval is pending.
    Asks,
    /// Tools run.
    Tools,
    /// A failed call will be made again.
    BacksOff {
        /// When.
        until: Timestamp,
        /// Why it failed.
        reason: String,
    },
    /// A failed call waits for the person.
    Failed,
}

/// The runner, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum LinkView {
    /// No connection.
    Down {
        /// When the next try is made.
        retry_at: Timestamp,
        /// What happened.
        reason: String,
    },
    /// Being connected.
    Opening,
    /// Connected.
    Live,
    /// Something else than the runner answers.
    Stranger {
        /// When the next try is made.
        retry_at: Timestamp,
        /// What is known, and what to do.
        reason: String,
    },
    /// The runner does not know this browser: it must be paired again.
    Unpaired,
    /// The runner speaks another version: the page must be reloaded.
    Outdated,
    /// Another connection has the session. Nothing is tried until the person wants it back.
    Taken {
        /// For the person.
        reason: String,
    },
}

/// Tokens and their price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens read, cached or not.
    pub input: u64,
    /// Of those, read from the cache.
    pub cached: u64,
    /// Tokens written.
    pub output: u64,
    /// In US dollars; unknown if any part of it is.
    pub dollars: Option<f64>,
    /// The size of the last request and answer: what is in the context now.
    pub context: u64,
}

/// How grave or good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Neither.
    Plain,
    /// Good.
    Good,
    /// To be looked at.
    Warn,
    /// Bad.
    Bad,
}

/// A bar of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its identity.
    pub id: u64,
    /// Where it is drawn.
    pub lane: Lane,
    /// What it is, in a word or a command.
    pub label: String,
    /// Its beginning.
    pub start: Timestamp,
    /// Its end; absent while it goes on.
    pub end: Option<Timestamp>,
    /// How it went.
    #[serde(rename = "tone")]
    pub severity: Severity,
}

/// A lane of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "lane", rename_all = "snake_case")]
pub enum Lane {
    /// The agent's model calls.
    Call,
    /// The agent's tools: in the same lane, drawn differently.
    Tool,
    /// A task.
    Task {
        /// Which.
        task: TaskId,
    },
}

/// A drain: the moment a call took results in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The call.
    pub call: CallId,
    /// When.
    pub at: Timestamp,
    /// Whose results.
    pub tasks: Vec<TaskId>,
}

#[cfg(test)]
mod tests {
    use shared::output::Bytes;

    use super::*;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_patch_reaches_the_tabs_that_follow_as_it_was() {
        let task = TaskId("0a1b2c3d".to_owned());
        let row = |kind| Patch::Row(Box::new(Row { id: 7, at: Timestamp(5), kind }));
        let asks = ToolState::Asks {
            reason: "it writes".to_owned(),
            always: Vec::new(),
            dangers: vec![Danger { part: "rm a".to_owned(), what: vec!["deletes".to_owned()] }],
        };
        let card = ToolCard {
            subject: "true".to_owned(),
            ended: Some(Timestamp(9)),
            task: Some(task.clone()),
            ..ToolCard::new(CallId(2), 0, "bash".to_owned(), asks)
        };
        let line = DrainedLine {
            task: task.clone(),
            status: "completed (exit 0)".to_owned(),
            text: String::new(),
            severity: Severity::Good,
        };
        let waiting = [
            Waiting::Message { id: 1, text: "go on".to_owned(), steer: true },
            Waiting::Completion {
                task: task.clone(),
                command: "true".to_owned(),
                label: String::new(),
                severity: Severity::Good,
            },
        ];
        let lane = Lane::Task { task: task.clone() };
        let patches = vec![
            Patch::Reset,
            row(RowKind::User { text: "words".to_owned() }),
            row(RowKind::Text { text: "words".to_owned(), live: true }),
            row(RowKind::Tool(Box::new(card))),
            row(RowKind::Drained { call: CallId(3), lines: vec![line] }),
            row(RowKind::Notice { severity: Severity::Bad, text: "no".to_owned(), retry: true }),
            Patch::Grow { row: 7, text: "more".to_owned() },
            Patch::Drop { row: 7 },
            Patch::Queue(waiting.to_vec()),
            Patch::Tasks(Vec::new()),
            Patch::TasksGone(vec![task.clone()]),
            Patch::Output {
                task: task.clone(),
                slice: OutputSlice { data: Bytes(vec![0, 255]), ..OutputSlice::default() },
            },
            Patch::Stats(Stats::default()),
            Patch::Span(Span {
                id: 1,
                lane,
                label: String::new(),
                start: Timestamp(1),
                end: None,
                severity: Severity::Plain,
            }),
            Patch::Drain(Drain { call: CallId(3), at: Timestamp(4), tasks: vec![task] }),
        ];
        let text = serde_json::to_string(&patches).expect("every patch can be said");
        assert_eq!(serde_json::from_str::<Vec<Patch>>(&text).expect("and heard"), patches);
    }
}
