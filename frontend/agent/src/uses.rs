//! The tool uses of an answer: how far each is, and what becomes of it when a stop overtakes it.

use serde_json::Value;
use shared::protocol::Sandbox;
use shared::tools::ToolCall;
use shared::{OpId, TaskId};

use crate::call::CallId;
use crate::conversation::Block;
use crate::model::Stop;
use crate::record::ToolOutcome;

/// One tool use of the last answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolUse {
    /// The model's id for it.
    pub id: String,
    /// The tool's name as the model wrote it.
    pub name: String,
    /// The arguments as the model wrote them.
    pub input: Value,
    /// The call, or a sentence for the model why it is none.
    pub call: Result<ToolCall, String>,
    /// How far it is.
    pub progress: Progress,
}

impl ToolUse {
    /// The use that a block wants, if it wants one.
    pub(crate) fn wanted(block: Block) -> Option<Self> {
        let Block::ToolUse { id, name, input } = block else { return None };
        let progress = Progress::Pending { allowed: false, refused: None };
        Some(Self { call: ToolCall::parse(&name, &input), id, name, input, progress })
    }
}

/// How far a tool use is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not begun.
    Pending {
        /// Whether the person allowed it.
        allowed: bool,
        /// Why the runner refused it before.
        refused: Option<String>,
    },
    /// Under way.
    Began {
        /// The operation towards the runner.
        op: OpId,
        /// What its command is held to.
        sandbox: Option<Sandbox>,
        /// Whether the person allowed it.
        approved: bool,
        /// The task it started.
        task: Option<TaskId>,
    },
    /// It has its result.
    Done(ToolOutcome),
}

/// A tool use whose operation was under way when the reply was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overtaken {
    /// The operation.
    pub op: OpId,
    /// The call.
    pub call: CallId,
    /// Which of its tool uses.
    pub index: usize,
    /// The model's id for it.
    pub id: String,
}

/// Whether an answer that stopped like this has its tool uses not carried out: they are not whole, or not
/// meant.
#[must_use]
pub const fn overtakes_tools(stop: &Stop) -> bool {
    matches!(stop, Stop::Refusal | Stop::Stopped | Stop::Cut { .. } | Stop::ContextFull | Stop::Other { .. })
}

/// The result of a tool use that a stop overtook.
#[must_use]
pub fn stopped_outcome(progress: &Progress) -> ToolOutcome {
    let content = match progress {
        Progress::Began { task: Some(task), .. } => goes_on(task),
        Progress::Began { task: None, .. } => {
            "The user stopped the reply while this was under way; it may or may not have been carried out."
                .to_owned()
        }
        Progress::Pending { .. } | Progress::Done(_) => {
            "Not carried out: the reply was stopped before it.".to_owned()
        }
    };
    let task = match progress {
        Progress::Began { task, .. } => task.clone(),
        Progress::Pending { .. } | Progress::Done(_) => None,
    };
    ToolOutcome {
        content,
        is_error: true,
        label: "stopped".to_owned(),
        skipped: true,
        task,
        ..ToolOutcome::default()
    }
}

/// The result of a command that goes on though the reply was stopped.
pub(crate) fn goes_on(task: &TaskId) -> String {
    format!("The user stopped the reply while this command ran. It goes on as background task {task}.")
}

/// The results of all uses, if each has one.
pub(crate) fn results(uses: &[ToolUse]) -> Option<Vec<Block>> {
    uses.iter()
        .map(|tool| match &tool.progress {
            Progress::Done(outcome) => Some(Block::result(&tool.id, &outcome.content, outcome.is_error)),
            Progress::Pending { .. } | Progress::Began { .. } => None,
        })
        .collect()
}
