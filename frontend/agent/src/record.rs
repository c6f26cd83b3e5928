//! The session's log. State is a fold over it; a reload folds it again; export, replay and timeline are drawn
//! from it.
//!
//! A record says what happened, never what to show. Records are versioned by addition: new fields have
//! defaults, and a record of an unknown kind is kept and passed over.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::json::{self, JsonError};
use shared::protocol::{Sandbox, TaskEvent};
use shared::task::{Task, TaskState};
use shared::{Epoch, OpId, Seq, SessionId, TaskId, Timestamp};

use crate::call::CallId;
use crate::conversation::Block;
use crate::model::{ModelError, Stop, Usage};
use crate::settings::{Mode, ModelChoice, Rule};

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number: 1, 2, 3 … without gaps.
    pub n: u64,
    /// When, by the page's clock.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub record: Record,
}

impl Entry {
    /// Reads an entry as it is kept. What a later version wrote is read as far as this one knows it, or
    /// passed over.
    ///
    /// # Errors
    /// What is no entry of any version.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        json::from_text(text).or_else(|error| {
            let mut value = json::from_text(text)?;
            soften(&mut value);
            json::read(value.clone()).or_else(|_| {
                if !value.get("record").is_some_and(Value::is_string) {
                    return Err(error);
                }
                let Header { n, at } = json::read(value)?;
                Ok(Self { n, at, record: Record::Unknown })
            })
        })
    }
}

/// What every entry has.
#[derive(Deserialize)]
struct Header {
    n: u64,
    at: Timestamp,
}

/// Puts what is known in place of names of a later version without which the conversation would lose more
/// than those.
fn soften(value: &mut Value) {
    if let Some(stop) = value.get_mut("stop")
        && json::read::<Stop>(stop.clone()).is_err()
    {
        let word = stop["stop"].as_str().unwrap_or("unknown").to_owned();
        *stop = json::to_value(&Stop::Other { word });
    }
    if let Some(cause) = value.get_mut("cause")
        && json::read::<Trigger>(cause.clone()).is_err()
    {
        *cause = json::to_value(&Trigger::Again);
    }
    if let Some(state) = value.pointer_mut("/event/task/state")
        && json::read::<TaskState>(state.clone()).is_err()
    {
        let word = state["status"].as_str().unwrap_or("unknown");
        let reason = format!("It ended in a way that this version of the page does not know: {word}.");
        *state = json::to_value(&TaskState::Error { reason });
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The session began. Always the first.
    Began {
        /// The log's format: 1.
        format: u32,
        /// The session.
        session: SessionId,
    },
    /// What every request of this conversation begins with was fixed, just before the first.
    #[serde(rename = "fixed")]
    Preamble {
        /// The system prompt.
        system: String,
        /// The tool definitions.
        tools: Value,
        /// Where commands run.
        workspace: String,
    },
    /// The person sent a message; it waits in the queue.
    #[serde(rename = "said")]
    Queued {
        /// Its number in the queue.
        id: u64,
        /// Its text.
        text: String,
        /// Whether it may go into a call within the turn.
        #[serde(default)]
        steer: bool,
    },
    /// A waiting message was taken back.
    #[serde(rename = "unsaid")]
    Cancelled {
        /// Which.
        id: u64,
    },
    /// A waiting message was changed, moved or made to steer.
    #[serde(rename = "resaid")]
    Edited {
        /// Which.
        id: u64,
        /// The text now.
        text: String,
        /// Steering now.
        steer: bool,
        /// Its place among the waiting messages now, from 0.
        place: usize,
    },
    /// A durable event of the runner was taken in. It moves the cursor.
    #[serde(rename = "arrived")]
    CompletionReceived {
        /// The store it came from.
        epoch: Epoch,
        /// Its number.
        seq: Seq,
        /// What.
        event: TaskEvent,
    },
    /// A model was asked. All that was drained for it is here.
    #[serde(rename = "asked")]
    RequestSent {
        /// The call.
        call: CallId,
        /// Why.
        cause: Trigger,
        /// Blocks put at the end of the conversation: into the last turn if that is a user's, else into a new
        /// one.
        #[serde(with = "crate::model::logged")]
        append: Vec<Block>,
        /// The tasks whose completions are in `append`, in its order.
        #[serde(default)]
        drained: Vec<TaskId>,
        /// The messages that are in `append`.
        #[serde(default, rename = "said")]
        messages: Vec<u64>,
        /// Which model.
        model: ModelChoice,
    },
    /// A model answered, or was cut off: then its answer is what was kept of it.
    #[serde(rename = "answered")]
    ResponseReceived {
        /// The call.
        call: CallId,
        /// What came, in the form of the API that the call named, unknown parts too. Empty if nothing was
        /// kept.
        content: Vec<Value>,
        /// Why it ended.
        stop: Stop,
        /// What it cost.
        usage: Usage,
    },
    /// A call failed and nothing of it was kept.
    CallFailed {
        /// The call.
        call: CallId,
        /// How.
        #[serde(rename = "fault")]
        error: ModelError,
        /// When it is made again by itself; otherwise it waits for the person.
        #[serde(default)]
        retry_at: Option<Timestamp>,
        /// Whether some of the answer was shown, and so was taken back.
        #[serde(default)]
        shown: bool,
    },
    /// A server had refused the last message as too large: results of tools in it are cut, and the model is
    /// asked again.
    Shortened {
        /// The call that was refused.
        call: CallId,
        /// At most so many characters each.
        limit: usize,
    },
    /// The person took back the last message, which a server had refused.
    TakenBack {
        /// The call that was refused.
        call: CallId,
    },
    /// An approval was given or refused by the person.
    #[serde(rename = "decided")]
    ApprovalResolved {
        /// The call.
        call: CallId,
        /// Which of its tool uses.
        index: usize,
        /// Whether it may run.
        allowed: bool,
        /// The rule that was made on the way.
        #[serde(default)]
        rule: Option<Rule>,
        /// Why, for the model, with a refusal.
        #[serde(default, rename = "words")]
        reason: String,
    },
    /// A tool use is about to be carried out.
    ToolBegan {
        /// The call.
        call: CallId,
        /// Which of its tool uses.
        index: usize,
        /// The operation's id towards the runner; after a reload the same one is asked for again.
        op: OpId,
        /// What its command is held to, if not to what the runner was started with.
        #[serde(default)]
        sandbox: Option<Sandbox>,
        /// Whether the person allowed it, or allows everything: the runner asks to know of a change of a
        /// file.
        #[serde(default)]
        approved: bool,
    },
    /// The runner refused a tool use until the person has allowed it.
    ToolRefused {
        /// The call.
        call: CallId,
        /// Which of its tool uses.
        index: usize,
        /// Why, in a sentence.
        reason: String,
    },
    /// A tool use started this task, and waits for it or goes on.
    ToolTask {
        /// The call.
        call: CallId,
        /// Which of its tool uses.
        index: usize,
        /// The task.
        task: TaskId,
    },
    /// A tool use has its result.
    ToolDone {
        /// The call.
        call: CallId,
        /// Which of its tool uses.
        index: usize,
        /// The result.
        outcome: ToolOutcome,
        /// Tasks whose end this result shows: their notices are consumed.
        #[serde(default)]
        consumed: Vec<TaskId>,
    },
    /// The person stopped the reply.
    StoppedReply,
    /// Self-started turns reached their budget; the next word of the person's resets it.
    BudgetReached {
        /// How many there were.
        turns: u32,
    },
    /// The person said what needs an approval in this session.
    ModeSet {
        /// The mode.
        mode: Mode,
    },
    /// The session got a title.
    Titled {
        /// Empty: the first message.
        title: String,
    },
    /// The runner's store is another than before: cursors start anew, and tasks of the old store are unknown.
    NewEpoch {
        /// The new one.
        epoch: Epoch,
    },
    /// Events will not come that another log of this session acknowledged, or that could not be read. The
    /// cursor moves past them.
    Missed {
        /// The last of them.
        through: Seq,
        /// Tasks of this log that ended by what the runner's list says; their completions are delivered
        /// without their output.
        #[serde(default, rename = "ends")]
        completions: Vec<Task>,
    },
    /// A kind this version does not know.
    #[serde(other)]
    Unknown,
}

/// Why a model was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The person said something.
    User,
    /// Tool results are there.
    Tools,
    /// A completion found the loop idle, or was there when the model ended its turn.
    Wake,
    /// The model paused and is to go on.
    Continue,
    /// A failed or interrupted call is made again.
    Again,
}

/// A tool use's result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// What the model reads.
    pub content: String,
    /// Whether it is marked as an error.
    #[serde(default)]
    pub is_error: bool,
    /// How it ended, for people: `exit 0`, `+6 −1`, `denied`.
    #[serde(default)]
    pub label: String,
    /// A unified diff, if a file changed.
    #[serde(default)]
    pub diff: String,
    /// The task it concerns.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// Whether it was not carried out: denied, stopped or cut off.
    #[serde(default)]
    pub skipped: bool,
    /// Whether it failed as a command does that is refused what it is not held to.
    #[serde(default)]
    pub refused: bool,
}
