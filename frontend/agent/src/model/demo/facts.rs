//! What the demo knows of its session: a fold over the log, so that no sentence is ever read back.

use std::collections::BTreeMap;

use shared::TaskId;
use shared::output::Preview;
use shared::protocol::TaskEvent;
use shared::task::Task;
use shared::tools::ToolCall;

use crate::conversation::Block;
use crate::model::Api;
use crate::record::{Record, ToolOutcome, Trigger};
use crate::settings::Provider;

/// What happened, as far as the next answer depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What the person sent last.
    pub(super) text: String,
    /// What the demo used since, and no other model: the tools of each answer that had some.
    pub(super) rounds: Vec<Vec<Step>>,
    /// Tasks whose results go into the call under way, and whether it is made for these alone.
    pub(super) fresh: Vec<TaskId>,
    pub(super) woken: bool,
    /// How often the demo has answered.
    pub(super) answers: usize,
    /// Tasks that have ended since another model was called, each with the end of its output.
    pub(super) ended: BTreeMap<TaskId, (Task, String)>,
    queued: BTreeMap<u64, String>,
    is_called: bool,
}

/// A tool use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) call: ToolCall,
    /// What the person answered who did not allow it.
    pub(super) denied: Option<String>,
    pub(super) outcome: ToolOutcome,
}

impl Facts {
    /// The tasks that were started in the background for the last text, with their commands.
    pub(super) fn own(&self) -> impl Iterator<Item = (&TaskId, &str)> {
        self.rounds.iter().flatten().filter_map(|step| {
            let ToolCall::BackgroundRun(run) = &step.call else { return None };
            Some((step.outcome.task.as_ref()?, run.command.as_str()))
        })
    }

    /// Folds a record in.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the demo looks at what it plays with")]
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Queued { id, text, .. } | Record::Edited { id, text, .. } => {
                self.queued.insert(*id, text.clone());
            }
            Record::Cancelled { id } => drop(self.queued.remove(id)),
            Record::RequestSent { cause, drained, messages: taken, model, .. } => {
                self.is_called = model.provider == Provider::Demo;
                self.called(*cause, drained, taken);
            }
            Record::ResponseReceived { content, .. } if self.is_called => {
                self.answered(Api::Messages.codec().blocks(content));
            }
            Record::ApprovalResolved { index, allowed: false, reason, .. } => {
                self.step(*index, |step| step.denied = Some(reason.clone()));
            }
            Record::ToolDone { index, outcome, .. } => {
                self.step(*index, |step| step.outcome = outcome.clone());
            }
            Record::CompletionReceived { event: TaskEvent::Ended { task, preview }, .. } => {
                self.end(task, preview);
            }
            Record::Missed { completions, .. } => {
                for task in completions {
                    self.end(task, &Preview::default());
                }
            }
            _ => {}
        }
    }

    fn called(&mut self, cause: Trigger, drained: &[TaskId], taken: &[u64]) {
        // A call that is made again brings what it brought before.
        if cause != Trigger::Again {
            self.fresh.clear();
            self.woken = cause == Trigger::Wake;
        }
        self.fresh.extend_from_slice(drained);
        let texts: Vec<String> = taken.iter().filter_map(|id| self.queued.remove(id)).collect();
        if !texts.is_empty() {
            self.text = texts.join("\n");
            self.rounds.clear();
            self.woken = false;
        }
        if !self.is_called {
            self.rounds.clear();
            self.ended.clear();
        }
    }

    fn answered(&mut self, blocks: Vec<Block>) {
        let uses = blocks.into_iter().filter_map(|block| {
            let Block::ToolUse { name, input, .. } = block else { return None };
            let call = ToolCall::parse(&name, &input).ok()?;
            Some(Step { call, denied: None, outcome: ToolOutcome::default() })
        });
        let round: Vec<Step> = uses.collect();
        self.answers += 1;
        if !round.is_empty() {
            self.rounds.push(round);
        }
    }

    /// Changes a step of the last round.
    fn step(&mut self, index: usize, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.rounds.last_mut().and_then(|round| round.get_mut(index)) {
            change(step);
        }
    }

    fn end(&mut self, task: &Task, preview: &Preview) {
        let output = if preview.omitted_chars == 0 { &preview.head } else { &preview.tail };
        self.ended.insert(task.id.clone(), (task.clone(), output.clone()));
    }
}
