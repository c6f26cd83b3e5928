//! The session's state: a fold over its log. [`Session::apply`] is the only way to change it, and the
//! compiler holds that: whoever has a [`Session`] reads [`SessionState`]'s fields through it and gets at none
//! of them to write.
//!
//! It holds what must survive a reload, and nothing else; sockets, streams and timers are the agent's.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Deref;

use serde_json::Value;
use shared::output::Preview;
use shared::protocol::TaskEvent;
use shared::task::Task;
use shared::{Epoch, Seq, SessionId, TaskId, Timestamp};

use crate::call::CallId;
use crate::conversation::Block;
use crate::model::demo::Facts;
use crate::model::{ModelError, Stop, Usage, catalog};
use crate::queue::{Completion, Queue, QueuedMessage};
use crate::read_only_refusal;
use crate::record::{Entry, Record, Trigger};
use crate::settings::{Mode, ModelChoice};
use crate::transcript::Transcript;
use crate::uses::{Overtaken, Progress, ToolUse, goes_on, overtakes_tools, results, stopped_outcome};
use crate::view::Spent;

/// What the log says, for everybody to read.
#[derive(Debug, Default, PartialEq)]
pub struct Session(SessionState);

/// The parts of a [`Session`].
#[derive(Debug, Default, PartialEq)]
pub struct SessionState {
    /// Which session; known from the first entry on.
    pub id: Option<SessionId>,
    /// The number of the last entry.
    pub last: u64,
    /// When it began.
    pub created: Timestamp,
    /// When something last happened.
    pub updated: Timestamp,
    /// What every request begins with.
    pub preamble: Option<Preamble>,
    /// The title given by the person; empty for none.
    pub given_title: String,
    /// The beginning of the first message, for a title.
    pub derived_title: String,
    /// The conversation.
    pub transcript: Transcript,
    /// What needs an approval, if the person said so for this session.
    pub mode: Option<Mode>,
    /// Whether everything was ever allowed.
    pub was_auto: bool,
    /// What waits.
    pub queue: Queue,
    /// Where the conversation stands.
    pub phase: Phase,
    /// Results of a turn that was stopped; they come first in the next user message.
    pub pending_tool_results: Vec<Block>,
    /// The runner's store that `seq` refers to.
    pub epoch: Option<Epoch>,
    /// The last durable event taken in.
    pub seq: Seq,
    /// Tasks whose completion was taken in.
    pub ended: BTreeSet<TaskId>,
    /// Tasks whose completion was shown by a tool's result, perhaps before the event came.
    pub consumed: BTreeSet<TaskId>,
    /// The last call.
    pub call: CallId,
    /// The model of the last call.
    pub model: ModelChoice,
    /// Whether its last answer ended because the conversation filled that model's context.
    pub full: bool,
    /// Failed tries since the last answer.
    pub failures: u32,
    /// Pauses of the server in a row.
    pub pauses: u32,
    /// Self-started turns since the person last spoke.
    pub self_started: u32,
    /// Whether it was reported that the budget is reached.
    pub budget_reported: bool,
    /// The last number given to a message.
    pub last_message: u64,
    /// The same when the last call failed: what came before that was not sent to it.
    pub last_message_before_failure: u64,
    /// The person's messages that no answer has come to yet.
    pub unanswered: Vec<String>,
    /// Whether they were taken back and the results beside them stayed: if it is refused again, those go,
    /// too.
    pub results_stayed: bool,
    /// Tasks that tool uses of this log began or told of.
    pub begun: BTreeSet<TaskId>,
    /// Tokens and dollars.
    pub spent: Spent,
    /// How often the model looked at tasks that were still running.
    pub polls: u32,
    /// What the demo knows.
    pub demo: Facts,
    /// Commands that failed when they were held to reading, the newest first.
    pub refused: VecDeque<String>,
    /// Uses that were stopped before the runner had said what they started, the newest first.
    pub overtaken: VecDeque<Overtaken>,
}

/// The most uses of which it is known that a stop overtook them.
pub(crate) const OVERTAKEN: usize = 64;

/// The most commands of which it is known that holding them may have made them fail.
const REFUSED: usize = 64;

/// What is fixed for a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Preamble {
    /// The system prompt.
    pub system: String,
    /// The tool definitions.
    pub tools: Value,
    /// Where commands run.
    pub workspace: String,
}

/// Where the conversation stands, by the log alone.
///
/// `Idle` → `AwaitingModel` → (`Failed` →)* `RunningTools` → `ReadyToSend` → `AwaitingModel` … → `Idle`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    /// The turn is over, or none has begun.
    #[default]
    Idle,
    /// A call was made and has no answer. Found so after a reload, it is made again.
    AwaitingModel,
    /// The last call failed.
    Failed {
        /// How.
        error: ModelError,
        /// When it is made again by itself.
        retry_at: Option<Timestamp>,
    },
    /// The answer's tool uses are carried out, one after the other.
    RunningTools(Vec<ToolUse>),
    /// The next call of the turn is due.
    ReadyToSend(Trigger),
}

impl Deref for Session {
    type Target = SessionState;

    fn deref(&self) -> &SessionState {
        &self.0
    }
}

impl Session {
    /// Folds one entry in.
    pub fn apply(&mut self, entry: &Entry) {
        self.0.apply(entry);
    }
}

impl SessionState {
    /// The title: the person's, or the first message.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.given_title.is_empty() { &self.derived_title } else { &self.given_title }
    }

    /// The first tool use without a result, with its place.
    #[must_use]
    pub fn current_use(&self) -> Option<(usize, &ToolUse)> {
        let Phase::RunningTools(uses) = &self.phase else { return None };
        uses.iter().enumerate().find(|(_, tool)| !matches!(tool.progress, Progress::Done(_)))
    }

    /// How messages that came since the last call failed ask for the next: they go into it; unless others
    /// have waited longer, which each have a turn of their own. What waited when it failed asks for nothing,
    /// or a queue would be burnt by one wrong key.
    #[must_use]
    pub fn trigger_after_failure(&self) -> Option<Trigger> {
        // What would be refused again does not become another thing by having more behind it.
        if matches!(&self.phase, Phase::Failed { error, retry_at: None } if error.refuses_content()) {
            return None;
        }
        let since = |message: &QueuedMessage| message.id > self.last_message_before_failure;
        let messages = self.queue.messages();
        messages.iter().any(since).then(|| match messages.iter().find(|message| !message.steer) {
            Some(first) if since(first) => Trigger::User,
            Some(_) | None => Trigger::Again,
        })
    }

    fn apply(&mut self, entry: &Entry) {
        self.last = entry.n;
        self.updated = entry.at;
        self.demo.apply(&entry.record);
        match &entry.record {
            Record::Began { session, .. } => {
                self.id = Some(*session);
                self.created = entry.at;
            }
            Record::Preamble { system, tools, workspace } => {
                self.preamble = Some(Preamble {
                    system: system.clone(),
                    tools: tools.clone(),
                    workspace: workspace.clone(),
                });
            }
            Record::Queued { id, text, steer } => self.queued(*id, text, *steer),
            Record::Cancelled { id } => self.queue.cancel_message(*id),
            Record::Edited { id, text, steer, place } => {
                self.queue.edit_message(QueuedMessage { id: *id, text: text.clone(), steer: *steer }, *place);
            }
            Record::CompletionReceived { epoch, seq, event } => self.arrived(*epoch, *seq, event),
            Record::RequestSent { call, cause, append, drained, messages, model } => {
                self.call = *call;
                self.model = model.clone();
                let taken = self.queue.messages().iter().filter(|message| messages.contains(&message.id));
                self.unanswered.extend(taken.map(|message| message.text.clone()));
                self.queue.remove(messages, drained);
                self.pending_tool_results.clear();
                self.transcript.append(append);
                self.phase = Phase::AwaitingModel;
                self.self_started += u32::from(*cause == Trigger::Wake);
                if *cause != Trigger::Continue {
                    self.pauses = 0;
                }
            }
            Record::ResponseReceived { content, stop, usage, .. } => self.answered(content, stop, *usage),
            Record::CallFailed { error, retry_at, .. } => {
                self.failures = if retry_at.is_some() { self.failures + 1 } else { 0 };
                self.last_message_before_failure = self.last_message;
                self.phase = Phase::Failed { error: error.clone(), retry_at: *retry_at };
            }
            Record::Shortened { limit, .. } => self.transcript.shorten(*limit),
            Record::TakenBack { .. } => {
                let messages = std::mem::take(&mut self.unanswered);
                let results = messages.is_empty() || self.results_stayed;
                self.pending_tool_results = self.transcript.take_back(&messages, results);
                self.results_stayed = !results && !self.pending_tool_results.is_empty();
                // The person goes on with another message, and the model without what it had read.
                let by_itself = messages.is_empty() && !self.pending_tool_results.is_empty();
                self.phase = if by_itself { Phase::ReadyToSend(Trigger::Tools) } else { Phase::Idle };
            }
            Record::ApprovalResolved { index, allowed, .. } => {
                let refused = self.refused(*index);
                self.progress(*index, Progress::Pending { allowed: *allowed, refused });
            }
            Record::ToolBegan { index, op, sandbox, approved, .. } => {
                let began = Progress::Began { op: *op, sandbox: *sandbox, approved: *approved, task: None };
                self.progress(*index, began);
            }
            Record::ToolRefused { index, reason, .. } => {
                self.progress(*index, Progress::Pending { allowed: false, refused: Some(reason.clone()) });
            }
            Record::ToolTask { call, index, task } => {
                self.begun.insert(task.clone());
                self.found(*call, *index, task);
                if *call == self.call
                    && let Phase::RunningTools(uses) = &mut self.phase
                    && let Some(ToolUse { progress: Progress::Began { task: known, .. }, .. }) =
                        uses.get_mut(*index)
                {
                    *known = Some(task.clone());
                }
            }
            Record::ToolDone { index, outcome, consumed, .. } => {
                self.polls += u32::from(outcome.content.contains(crate::tools::STILL_RUNNING));
                // A command can be moved to the background before the reply to its start has come.
                self.begun.extend(outcome.task.clone());
                for task in consumed {
                    self.queue.consume(task);
                    self.consumed.insert(task.clone());
                }
                if outcome.refused
                    && let Phase::RunningTools(uses) = &self.phase
                    && let Some(Ok(call)) = uses.get(*index).map(|used| &used.call)
                {
                    let command = call.subject().to_owned();
                    self.was_refused(command);
                }
                self.progress(*index, Progress::Done(outcome.clone()));
                self.finish_tools();
            }
            Record::StoppedReply => self.stop(),
            Record::BudgetReached { .. } => self.budget_reported = true,
            Record::ModeSet { mode } => {
                self.mode = Some(*mode);
                self.was_auto |= *mode == Mode::Auto;
            }
            Record::Titled { title } => self.given_title.clone_from(title),
            Record::NewEpoch { epoch } => {
                self.epoch = Some(*epoch);
                self.seq = Seq(0);
            }
            Record::Missed { through, completions } => {
                self.seq = self.seq.max(*through);
                for task in completions {
                    self.ended(task, &crate::notice::unknown_output(task));
                }
            }
            Record::Unknown => {}
        }
    }

    fn queued(&mut self, id: u64, text: &str, steer: bool) {
        if self.derived_title.is_empty() {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            self.derived_title = crate::notice::cut_head(&line, 80);
            if self.derived_title.len() < line.len() {
                self.derived_title.push('…');
            }
        }
        self.last_message = self.last_message.max(id);
        self.self_started = 0;
        self.budget_reported = false;
        self.queue.queue_message(QueuedMessage { id, text: text.to_owned(), steer });
    }

    fn arrived(&mut self, epoch: Epoch, seq: Seq, event: &TaskEvent) {
        self.epoch = Some(epoch);
        self.seq = seq;
        if let TaskEvent::Ended { task, preview } = event {
            self.ended(task, preview);
        }
    }

    fn was_refused(&mut self, command: String) {
        self.refused.truncate(REFUSED - 1);
        self.refused.push_front(command);
    }

    fn ended(&mut self, task: &Task, preview: &Preview) {
        if !self.ended.insert(task.id.clone()) {
            return;
        }
        if read_only_refusal::was_refused(task, preview) {
            self.was_refused(task.command.clone());
        }
        if !self.consumed.contains(&task.id) {
            self.queue.complete(Completion { task: task.clone(), preview: preview.clone() });
        }
    }

    fn answered(&mut self, content: &[Value], stop: &Stop, usage: Usage) {
        self.failures = 0;
        self.full = *stop == Stop::ContextFull;
        self.unanswered.clear();
        self.results_stayed = false;
        self.spend(usage);
        let (blocks, is_paused) = self.transcript.answer(content, &self.model);
        let uses: Vec<ToolUse> = blocks.into_iter().filter_map(ToolUse::wanted).collect();
        // Its own tools may make a server pause; anything else that says so may say it for ever.
        self.pauses = if *stop == Stop::Pause { self.pauses + 1 } else { 0 };
        let goes_on = uses.is_empty() && is_paused && self.pauses < PAUSES;
        self.phase = match stop {
            Stop::Pause if goes_on => Phase::ReadyToSend(Trigger::Continue),
            Stop::Pause
            | Stop::End
            | Stop::MaxTokens
            | Stop::Refusal
            | Stop::ContextFull
            | Stop::Stopped
            | Stop::Cut { .. }
            | Stop::Other { .. } => {
                if uses.is_empty() {
                    Phase::Idle
                } else {
                    Phase::RunningTools(uses)
                }
            }
        };
        if overtakes_tools(stop) {
            self.stop();
        }
    }

    fn spend(&mut self, usage: Usage) {
        let spent = &mut self.spent;
        let first = spent.input == 0 && spent.output == 0;
        let input = usage.input + usage.cache_read + usage.cache_write;
        spent.input += input;
        spent.cached += usage.cache_read;
        spent.output += usage.output;
        spent.context = input + usage.output;
        let dollars = catalog::dollars(&self.model.model, usage);
        spent.dollars =
            if first { dollars } else { spent.dollars.zip(dollars).map(|(sum, more)| sum + more) };
    }

    fn refused(&self, index: usize) -> Option<String> {
        let Phase::RunningTools(uses) = &self.phase else { return None };
        match &uses.get(index)?.progress {
            Progress::Pending { refused, .. } => refused.clone(),
            Progress::Began { .. } | Progress::Done(_) => None,
        }
    }

    fn progress(&mut self, index: usize, progress: Progress) {
        if let Phase::RunningTools(uses) = &mut self.phase
            && let Some(tool) = uses.get_mut(index)
        {
            tool.progress = progress;
        }
    }

    /// Once every tool use has its result, the next call is due.
    fn finish_tools(&mut self) {
        if let Phase::RunningTools(uses) = &self.phase
            && let Some(results) = results(uses)
        {
            self.pending_tool_results = results;
            self.phase = Phase::ReadyToSend(Trigger::Tools);
        }
    }

    /// What a use has started that was stopped before that was known. The model reads it if it was not told
    /// otherwise yet.
    fn found(&mut self, call: CallId, index: usize, task: &TaskId) {
        let Some(at) = self.overtaken.iter().position(|use_| (use_.call, use_.index) == (call, index)) else {
            return;
        };
        let Some(Overtaken { id, .. }) = self.overtaken.remove(at) else { return };
        let answers = |owed: &&mut Block| matches!(owed, Block::ToolResult { id: of, .. } if *of == id);
        if let Some(owed) = self.pending_tool_results.iter_mut().find(answers) {
            *owed = Block::result(&id, &goes_on(task), true);
        }
    }

    /// Ends the turn where it stands: every tool use that has no result gets one that says so.
    fn stop(&mut self) {
        if let Phase::RunningTools(uses) = &mut self.phase {
            for (index, tool) in uses.iter_mut().enumerate() {
                if let Progress::Began { op, task: None, .. } = tool.progress {
                    self.overtaken.push_front(Overtaken { op, call: self.call, index, id: tool.id.clone() });
                    self.overtaken.truncate(OVERTAKEN);
                }
                if !matches!(tool.progress, Progress::Done(_)) {
                    tool.progress = Progress::Done(stopped_outcome(&tool.progress));
                }
            }
            self.pending_tool_results = results(uses).unwrap_or_default();
        }
        self.phase = Phase::Idle;
    }
}

/// How often in a row a server may pause before it is taken for the end of the turn.
pub const PAUSES: u32 = 10;
