//! What the demo knows of its session: a fold over the log, so that no sentence is ever read back.

use shared::TaskId;
use shared::output::Preview;
use shared::protocol::TaskEvent;
use shared::task::Task;
use shared::tools::ToolCall;

use crate::conversation::Block;
use crate::model::Api;
use crate::notice::cut_tail;
use crate::record::{Record, Trigger};
use crate::settings::Provider;

/// How much is kept of what a tool gave, in characters.
const KEPT_CHARS: usize = 30_000;
/// How many steps of a turn, and tasks of a session, are kept.
const MOST: usize = 32;

/// What happened, as far as the next step depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The last message that was put into a call.
    pub(super) wish: String,
    /// What was done since, in order.
    pub(super) steps: Vec<Step>,
    /// Tasks of the background, in the order in which they became known.
    pub(super) tasks: Vec<Known>,
    /// The tasks whose completions go into the call under way.
    pub(super) fresh: Vec<TaskId>,
    /// What the call under way is made for.
    pub(super) occasion: Occasion,
    /// How often the demo has answered, and how often it ended a turn.
    pub(super) answers: u32,
    pub(super) turns: u32,
    /// How many tools were used.
    pub(super) tools: u64,
    waiting: Vec<(u64, String)>,
    wishes: u64,
    uses: Vec<Use>,
    is_asked: bool,
    api: Api,
}

/// What a call is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The person said something.
    #[default]
    Message,
    /// Tools have their results.
    Results,
    /// Tasks have ended.
    Completions,
}

/// A tool use that has its result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) call: ToolCall,
    /// What it gave: at most the last [`KEPT_CHARS`].
    pub(super) result: String,
    pub(super) failed: bool,
    /// What the person said when they did not allow it.
    pub(super) denied: Option<String>,
    /// The task that it started or waited for.
    pub(super) task: Option<TaskId>,
}

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) id: TaskId,
    pub(super) command: String,
    /// How it ended, with the end of its output.
    pub(super) completion: Option<(Task, Preview)>,
    /// The wish that it was started for in the background; 0 if for none.
    wish: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Use {
    call: Option<ToolCall>,
    denied: Option<String>,
}

impl Facts {
    /// The tasks that were started in the background for the last wish.
    pub(super) fn own(&self) -> impl Iterator<Item = &Known> {
        self.tasks.iter().filter(|task| task.wish == self.wishes && self.wishes > 0)
    }

    pub(super) fn task(&self, id: &TaskId) -> Option<&Known> {
        self.tasks.iter().find(|task| task.id == *id)
    }

    /// Folds a record in.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Queued { id, text, .. } => self.waiting.push((*id, text.clone())),
            Record::Cancelled { id } => self.waiting.retain(|message| message.0 != *id),
            Record::Edited { id, text, .. } => {
                if let Some(message) = self.waiting.iter_mut().find(|message| message.0 == *id) {
                    message.1.clone_from(text);
                }
            }
            Record::RequestSent { cause, drained, messages, model, .. } => {
                self.is_asked = model.provider == Provider::Demo;
                self.api = model.api;
                self.asked(*cause, drained, messages);
            }
            Record::ResponseReceived { content, .. } => self.answered(self.api.codec().blocks(content)),
            Record::ApprovalResolved { index, allowed: false, reason, .. } => {
                if let Some(tool) = self.uses.get_mut(*index) {
                    tool.denied = Some(reason.clone());
                }
            }
            Record::ToolTask { index, task, .. } => {
                let call = self.uses.get(*index).and_then(|tool| tool.call.clone());
                if let Some(ToolCall::BackgroundRun(run)) = call {
                    self.began(task, &run.command);
                }
            }
            Record::ToolDone { index, outcome, .. } => {
                let Some(Use { call: Some(call), denied }) = self.uses.get(*index).cloned() else { return };
                let result = cut_tail(&outcome.content, KEPT_CHARS);
                let (failed, task) = (outcome.is_error, outcome.task.clone());
                if self.steps.len() < MOST {
                    self.steps.push(Step { call, result, failed, denied, task });
                }
            }
            Record::CompletionReceived { event: TaskEvent::Backgrounded { task, .. }, .. } => {
                self.began(&task.id, &task.command);
            }
            Record::CompletionReceived { event: TaskEvent::Ended { task, preview }, .. } => {
                self.ended(task, preview);
            }
            Record::Missed { completions, .. } => {
                for task in completions {
                    self.ended(task, &Preview::default());
                }
            }
            Record::Began { .. }
            | Record::Preamble { .. }
            | Record::CallFailed { .. }
            | Record::Shortened { .. }
            | Record::TakenBack { .. }
            | Record::ApprovalResolved { .. }
            | Record::ToolBegan { .. }
            | Record::ToolRefused { .. }
            | Record::StoppedReply
            | Record::BudgetReached { .. }
            | Record::ModeSet { .. }
            | Record::Titled { .. }
            | Record::NewEpoch { .. }
            | Record::Unknown => {}
        }
    }

    fn asked(&mut self, cause: Trigger, drained: &[TaskId], messages: &[u64]) {
        let (taken, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|message| messages.contains(&message.0));
        self.waiting = waiting;
        // A call that is made again brings what it brought before.
        if cause != Trigger::Again {
            self.fresh.clear();
        }
        self.fresh.extend_from_slice(drained);
        if taken.is_empty() {
            self.occasion = match cause {
                Trigger::Tools => Occasion::Results,
                Trigger::Wake => Occasion::Completions,
                Trigger::User => Occasion::Message,
                Trigger::Continue | Trigger::Again => self.occasion,
            };
            return;
        }
        self.occasion = Occasion::Message;
        self.wish = taken.into_iter().map(|message| message.1).collect::<Vec<_>>().join("\n");
        self.wishes += 1;
        self.steps.clear();
    }

    fn answered(&mut self, blocks: Vec<Block>) {
        let uses = blocks.into_iter().filter_map(|block| {
            let Block::ToolUse { name, input, .. } = block else { return None };
            Some(Use { call: ToolCall::parse(&name, &input).ok(), denied: None })
        });
        self.uses = uses.collect();
        self.answers += u32::from(self.is_asked);
        self.turns += u32::from(self.is_asked && self.uses.is_empty());
        self.tools += self.uses.len() as u64;
    }

    fn known(&mut self, id: &TaskId, command: &str) -> &mut Known {
        let place = self.tasks.iter().position(|task| task.id == *id).unwrap_or_else(|| {
            if self.tasks.len() == MOST {
                self.tasks.remove(0);
            }
            self.tasks.push(Known { id: id.clone(), command: command.to_owned(), completion: None, wish: 0 });
            self.tasks.len() - 1
        });
        &mut self.tasks[place]
    }

    fn began(&mut self, id: &TaskId, command: &str) {
        let wish = self.wishes;
        self.known(id, command).wish = wish;
    }

    fn ended(&mut self, task: &Task, preview: &Preview) {
        let output = if preview.omitted_chars == 0 { &preview.head } else { &preview.tail };
        let head = cut_tail(output, KEPT_CHARS);
        let known = self.known(&task.id, &task.command);
        known.completion = Some((task.clone(), Preview { head, ..Preview::default() }));
    }
}
