//! From the log to what the page shows: rows, bars and drains, folded entry by entry, with what streams on
//! top.
//!
//! A row's id is made of the number of the entry it came from, so that the same log always gives the same
//! rows in the same order.

mod card;
mod completion;
mod note;
mod proposal;

use shared::protocol::TaskEvent;
use shared::task::Task;
use shared::tools::ToolCall;
use shared::{TaskId, Timestamp, shown};
use std::collections::BTreeMap;

use crate::call::CallId;
use crate::conversation::Block;
use crate::model::Stop;
use crate::model::answer::ModelEvent;
use crate::notice;
use crate::queue::Completion;
use crate::record::{Entry, Record};
use crate::session::{OVERTAKEN, PAUSES, Phase, Session};
use crate::settings::Rule;
use crate::uses::{Progress, overtakes_tools, stopped_outcome};
use card::{describe, finish};
use completion::drained_line;
pub use completion::task_severity;
pub use note::error_text;
use note::{failed_text, missed_text, stop_severity, stop_text};

use crate::view::{Danger, Drain, Lane, Patch, Row, RowKind, Severity, Span, ToolCard, ToolState};

/// Rows of one entry lie within this many ids.
const ROWS_AN_ENTRY: u64 = 10_000;
/// Where the blocks of an answer begin, behind the messages and the results that went into its call.
const FIRST_BLOCK: u64 = 1_000;
const SPANS_A_CALL: u64 = 1_000;
const TASK_SPANS: u64 = 1 << 48;

/// What the page shows of the conversation and the timeline.
#[derive(Debug, Default)]
pub struct Projection {
    rows: BTreeMap<u64, Row>,
    spans: BTreeMap<u64, Span>,
    drains: BTreeMap<CallId, Drain>,
    /// The current call and the first row of its answer.
    call: CallId,
    first: u64,
    /// Rows of the current answer's tool uses, in order.
    uses: Vec<u64>,
    /// Rows of uses that were stopped while they were under way.
    overtaken: BTreeMap<(CallId, usize), u64>,
}

impl Projection {
    /// Everything, for a page that knows nothing.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Patch> {
        let mut patches = vec![Patch::Reset];
        patches.extend(self.rows.values().cloned().map(|row| Patch::Row(Box::new(row))));
        patches.extend(self.spans.values().cloned().map(Patch::Span));
        patches.extend(self.drains.values().cloned().map(Patch::Drain));
        patches
    }

    /// Folds an entry in. `before` is the session without it.
    pub fn apply(&mut self, entry: &Entry, before: &Session, patches: &mut Vec<Patch>) {
        let first = entry.n * ROWS_AN_ENTRY;
        match &entry.record {
            Record::CompletionReceived {
                event: TaskEvent::Ended { task, .. } | TaskEvent::Backgrounded { task, .. },
                ..
            } => {
                self.task(task, patches);
            }
            Record::RequestSent { call, drained, messages, .. } => {
                self.asked(entry, *call, messages, drained, before, patches);
            }
            Record::ResponseReceived { content, stop, .. } => {
                self.end_span(self.call.0 * SPANS_A_CALL, entry.at, stop_severity(stop), patches);
                let codec = before.model.api.codec();
                self.answer(entry.at, &codec.blocks(content), stop, patches);
                let paused_out = !codec.is_paused(content) || before.pauses + 1 >= PAUSES;
                let over = paused_out && self.uses.is_empty();
                if let Some((severity, text)) = stop_text(stop, content.is_empty(), over) {
                    self.row(first, entry.at, RowKind::notice(severity, text), patches);
                }
            }
            Record::CallFailed { error, retry_at, shown, .. } => {
                self.end_span(self.call.0 * SPANS_A_CALL, entry.at, Severity::Bad, patches);
                self.drop_answer(patches);
                let retry = retry_at.is_none();
                if retry || *shown {
                    let severity = if retry { Severity::Bad } else { Severity::Plain };
                    let text = failed_text(error, *shown, retry);
                    self.row(first, entry.at, RowKind::Notice { severity, text, retry }, patches);
                }
            }
            Record::Shortened { limit, .. } => {
                let text = format!(
                    "The request was larger than the server takes. What tools had read for it was cut to {limit} characters each, and it is made again."
                );
                self.row(first, entry.at, RowKind::notice(Severity::Warn, text), patches);
            }
            Record::TakenBack { .. } => {
                self.settle_retry(patches);
                let text = if before.unanswered.is_empty() {
                    "You took back what the server had refused: the results are no longer in the conversation."
                } else {
                    "You took your words back: they are no longer in the conversation. What the server refused stands in the box again."
                };
                let text = text.to_owned();
                self.row(first, entry.at, RowKind::notice(Severity::Plain, text), patches);
            }
            Record::ApprovalResolved { index, .. } | Record::ToolRefused { index, .. } => {
                self.card(*index, patches, |card| card.state = ToolState::Waiting);
            }
            Record::ToolBegan { call, index, .. } => self.began(entry.at, *call, *index, before, patches),
            Record::ToolTask { call, index, task } => {
                let overtaken = self.overtaken.remove(&(*call, *index));
                if let Some(row) = overtaken.or_else(|| self.uses.get(*index).copied()) {
                    self.card_at(row, patches, |card| card.task = Some(task.clone()));
                }
            }
            Record::ToolDone { call, index, outcome, .. } => {
                self.card(*index, patches, |card| finish(card, entry.at, outcome));
                let severity = if outcome.is_error { Severity::Bad } else { Severity::Good };
                self.end_span(tool_span(*call, *index), entry.at, severity, patches);
                if let (Some(task), "started") = (&outcome.task, outcome.label.as_str()) {
                    self.task_began(entry.at, *index, task, patches);
                }
            }
            Record::StoppedReply => {
                self.stop(entry.at, before, patches);
                let text = "You stopped the reply. Tasks go on.".to_owned();
                self.row(first, entry.at, RowKind::notice(Severity::Plain, text), patches);
            }
            Record::BudgetReached { turns } => {
                let text = format!(
                    "The agent went on by itself {turns} times since you last spoke. What ends from now on waits until you say something."
                );
                self.row(first, entry.at, RowKind::notice(Severity::Warn, text), patches);
            }
            Record::Missed { through, completions } => {
                for task in completions {
                    self.task(task, patches);
                }
                let text = missed_text(through.0.saturating_sub(before.seq.0));
                self.row(first, entry.at, RowKind::notice(Severity::Warn, text), patches);
            }
            Record::NewEpoch { epoch } if before.epoch.is_some_and(|known| known != *epoch) => {
                let text =
                    "The runner has a new store: tasks from before are no longer known to it.".to_owned();
                self.row(first, entry.at, RowKind::notice(Severity::Warn, text), patches);
            }
            Record::Began { .. }
            | Record::Preamble { .. }
            | Record::Queued { .. }
            | Record::Cancelled { .. }
            | Record::Edited { .. }
            | Record::Titled { .. }
            | Record::ModeSet { .. }
            | Record::NewEpoch { .. }
            | Record::Unknown => {}
        }
    }

    /// Shows what streams in of the current answer.
    pub fn stream(&mut self, now: Timestamp, event: &ModelEvent, patches: &mut Vec<Patch>) {
        match event {
            ModelEvent::TextDelta { block, text } => {
                self.grow(now, *block, text, patches, |text| RowKind::Text { text, live: true });
            }
            ModelEvent::ThinkingDelta { block, text } => {
                self.grow(now, *block, text, patches, |text| RowKind::Thinking { text, live: true });
            }
            ModelEvent::ToolStart { block, name, .. } => {
                let id = self.block_row(*block);
                let index = self.uses.len();
                self.uses.push(id);
                let card = self.new_card(index, name, ToolState::Writing);
                self.row(id, now, RowKind::Tool(Box::new(card)), patches);
            }
            ModelEvent::ToolArgsDelta { block, text } => {
                self.grow(now, *block, text, patches, |text| RowKind::Text { text, live: true });
            }
            ModelEvent::BlockDone { .. } | ModelEvent::Usage(_) | ModelEvent::Done => {}
        }
    }

    /// Shows that a tool use waits for an approval.
    pub fn asks(
        &mut self,
        index: usize,
        reason: &str,
        always: &[Rule],
        mut dangers: Vec<Danger>,
        patches: &mut Vec<Patch>,
    ) {
        self.card(index, patches, |card| {
            dangers.extend(proposal::hides(card));
            card.state = ToolState::Asks { reason: reason.to_owned(), always: always.to_vec(), dangers };
        });
    }

    /// Shows a task of this session on the timeline. While a `bash` call waits for it, it is that call's bar
    /// and has none of its own.
    pub fn task(&mut self, task: &Task, patches: &mut Vec<Patch>) {
        if task.foreground {
            return;
        }
        let span = Span {
            id: task_span(&task.id),
            lane: Lane::Task { task: task.id.clone() },
            label: short(&task.command),
            start: task.started.unwrap_or(task.created),
            end: if task.state.is_end() { Some(task.ended.unwrap_or(task.created)) } else { None },
            severity: task_severity(&task.state),
        };
        self.span(span, patches);
    }

    /// The rows of the last call's answer.
    fn answer_rows(&self) -> Vec<u64> {
        let end = self.first - FIRST_BLOCK + ROWS_AN_ENTRY;
        let from_first = self.rows.keys().rev().take_while(|id| **id >= self.first);
        let mut rows: Vec<u64> = from_first.filter(|id| **id < end).copied().collect();
        rows.reverse();
        rows
    }

    /// Removes what came of an answer that broke off.
    fn drop_answer(&mut self, patches: &mut Vec<Patch>) {
        for id in self.answer_rows() {
            self.rows.remove(&id);
            patches.push(Patch::Drop { row: id });
        }
        self.uses.clear();
    }

    fn asked(
        &mut self,
        entry: &Entry,
        call: CallId,
        messages: &[u64],
        drained: &[TaskId],
        before: &Session,
        patches: &mut Vec<Patch>,
    ) {
        self.settle_retry(patches);
        self.call = call;
        let first = entry.n * ROWS_AN_ENTRY;
        self.first = first + FIRST_BLOCK;
        self.uses.clear();
        for (at, message) in
            before.queue.messages().iter().filter(|message| messages.contains(&message.id)).enumerate()
        {
            self.row(first + at as u64, entry.at, RowKind::User { text: message.text.clone() }, patches);
        }
        let completions: Vec<&Completion> = before
            .queue
            .completions()
            .iter()
            .filter(|completion| drained.contains(&completion.task.id))
            .collect();
        if !completions.is_empty() {
            let lines = completions.iter().map(|completion| drained_line(completion)).collect();
            self.row(self.first - 1, entry.at, RowKind::Drained { call, lines }, patches);
            let drain = Drain { call, at: entry.at, tasks: drained.to_vec() };
            self.drains.insert(call, drain.clone());
            patches.push(Patch::Drain(drain));
        }
        let label = format!("call {}", call.0);
        let id = call.0 * SPANS_A_CALL;
        self.span(
            Span { id, lane: Lane::Call, label, start: entry.at, end: None, severity: Severity::Plain },
            patches,
        );
    }

    fn answer(&mut self, at: Timestamp, blocks: &[Block], stop: &Stop, patches: &mut Vec<Patch>) {
        let streamed = self.answer_rows();
        self.uses.clear();
        let mut kept = Vec::new();
        for (place, block) in blocks.iter().enumerate() {
            let id = self.block_row(place);
            let kind = match block {
                Block::Text { text } => RowKind::Text { text: text.clone(), live: false },
                Block::Thinking { text } => RowKind::Thinking { text: text.clone(), live: false },
                Block::ToolUse { name, input, .. } => {
                    let index = self.uses.len();
                    self.uses.push(id);
                    let mut card = self.new_card(index, name, ToolState::Waiting);
                    describe(&mut card, input);
                    if overtakes_tools(stop) {
                        card.state = ToolState::Skipped;
                        "not run".clone_into(&mut card.label);
                    }
                    RowKind::Tool(Box::new(card))
                }
                Block::ToolResult { .. } => continue,
                Block::Foreign { item } => RowKind::Notice {
                    severity: Severity::Plain,
                    text: format!(
                        "The model sent a block of a kind this page does not know ({}); it is kept as it came.",
                        item["type"].as_str().unwrap_or_default()
                    ),
                    retry: false,
                },
            };
            let begun = self.rows.get(&id).map_or(at, |row| row.at);
            if matches!(&kind, RowKind::Thinking { text, .. } if text.is_empty()) {
                continue;
            }
            kept.push(id);
            self.row(id, begun, kind, patches);
        }
        for id in streamed.into_iter().filter(|id| !kept.contains(id)) {
            self.rows.remove(&id);
            patches.push(Patch::Drop { row: id });
        }
    }

    fn began(
        &mut self,
        at: Timestamp,
        call: CallId,
        index: usize,
        before: &Session,
        patches: &mut Vec<Patch>,
    ) {
        let Phase::RunningTools(uses) = &before.phase else { return };
        let Some(tool) = uses.get(index) else { return };
        let foreground = matches!(tool.call, Ok(ToolCall::Bash(_)));
        self.card(index, patches, |card| {
            card.state = ToolState::Running { foreground };
            card.started = Some(at);
        });
        let id = tool_span(call, index);
        self.span(
            Span {
                id,
                lane: Lane::Tool,
                label: tool.name.clone(),
                start: at,
                end: None,
                severity: Severity::Plain,
            },
            patches,
        );
    }

    fn task_began(&mut self, at: Timestamp, index: usize, task: &TaskId, patches: &mut Vec<Patch>) {
        let id = task_span(task);
        if self.spans.contains_key(&id) {
            return;
        }
        let label =
            self.uses.get(index).and_then(|row| self.rows.get(row)).map_or_else(
                String::new,
                |row| match &row.kind {
                    RowKind::Tool(card) => short(&card.subject),
                    RowKind::User { .. }
                    | RowKind::Text { .. }
                    | RowKind::Thinking { .. }
                    | RowKind::Drained { .. }
                    | RowKind::Notice { .. } => String::new(),
                },
            );
        let lane = Lane::Task { task: task.clone() };
        self.span(Span { id, lane, label, start: at, end: None, severity: Severity::Plain }, patches);
    }

    /// The reply was stopped while tools were carried out.
    fn stop(&mut self, at: Timestamp, before: &Session, patches: &mut Vec<Patch>) {
        let Phase::RunningTools(uses) = &before.phase else { return };
        for (index, tool) in uses.iter().enumerate() {
            if let (Progress::Began { .. }, Some(row)) = (&tool.progress, self.uses.get(index)) {
                self.overtaken.insert((self.call, index), *row);
                if self.overtaken.len() > OVERTAKEN {
                    self.overtaken.pop_first();
                }
            }
            if !matches!(tool.progress, Progress::Done(_)) {
                let outcome = stopped_outcome(&tool.progress);
                self.card(index, patches, |card| finish(card, at, &outcome));
                self.end_span(tool_span(self.call, index), at, Severity::Plain, patches);
            }
        }
    }

    /// An error's offer to ask again is over once the model is asked.
    fn settle_retry(&mut self, patches: &mut Vec<Patch>) {
        let offers = |row: &&mut Row| matches!(row.kind, RowKind::Notice { retry: true, .. });
        if let Some(row) = self.rows.values_mut().rev().take(3).find(offers) {
            if let RowKind::Notice { retry, .. } = &mut row.kind {
                *retry = false;
            }
            patches.push(Patch::Row(Box::new(row.clone())));
        }
    }

    fn grow(
        &mut self,
        now: Timestamp,
        block: usize,
        text: &str,
        patches: &mut Vec<Patch>,
        new: fn(String) -> RowKind,
    ) {
        let id = self.block_row(block);
        match self.rows.get_mut(&id).map(|row| &mut row.kind) {
            Some(RowKind::Text { text: so_far, .. } | RowKind::Thinking { text: so_far, .. }) => {
                so_far.push_str(text);
                patches.push(Patch::Grow { row: id, text: text.to_owned() });
            }
            Some(RowKind::Tool(card)) => {
                card.input.push_str(text);
                patches.push(Patch::Grow { row: id, text: text.to_owned() });
            }
            Some(RowKind::User { .. } | RowKind::Drained { .. } | RowKind::Notice { .. }) => {}
            None => self.row(id, now, new(text.to_owned()), patches),
        }
    }

    fn card(&mut self, index: usize, patches: &mut Vec<Patch>, change: impl FnOnce(&mut ToolCard)) {
        if let Some(row) = self.uses.get(index) {
            self.card_at(*row, patches, change);
        }
    }

    fn card_at(&mut self, row: u64, patches: &mut Vec<Patch>, change: impl FnOnce(&mut ToolCard)) {
        let Some(row) = self.rows.get_mut(&row) else { return };
        if let RowKind::Tool(card) = &mut row.kind {
            change(card);
            patches.push(Patch::Row(Box::new(row.clone())));
        }
    }

    fn new_card(&self, index: usize, name: &str, state: ToolState) -> ToolCard {
        ToolCard::new(self.call, index, name.to_owned(), state)
    }

    const fn block_row(&self, block: usize) -> u64 {
        self.first + block as u64
    }

    fn row(&mut self, id: u64, at: Timestamp, kind: RowKind, patches: &mut Vec<Patch>) {
        let row = Row { id, at, kind };
        if self.rows.insert(id, row.clone()).as_ref() != Some(&row) {
            patches.push(Patch::Row(Box::new(row)));
        }
    }

    fn span(&mut self, span: Span, patches: &mut Vec<Patch>) {
        if self.spans.insert(span.id, span.clone()).as_ref() != Some(&span) {
            patches.push(Patch::Span(span));
        }
    }

    fn end_span(&mut self, id: u64, at: Timestamp, severity: Severity, patches: &mut Vec<Patch>) {
        if let Some(mut span) = self.spans.get(&id).cloned()
            && span.end.is_none()
        {
            span.end = Some(at);
            span.severity = severity;
            self.span(span, patches);
        }
    }
}

fn short(command: &str) -> String {
    notice::cut_head(&shown::line(&command.split_whitespace().collect::<Vec<_>>().join(" ")), 60)
}

const fn tool_span(call: CallId, index: usize) -> u64 {
    call.0 * SPANS_A_CALL + 1 + index as u64
}

fn task_span(task: &TaskId) -> u64 {
    TASK_SPANS + u64::from(u32::from_str_radix(task.as_str(), 16).unwrap_or_default())
}
