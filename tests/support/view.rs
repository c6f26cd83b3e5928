//! What a page would show: the patches of a session, applied in order.

use std::collections::BTreeMap;

use agent::record::Record;
use agent::view::{Drain, Flash, Patch, Row, RowKind, Span, Status, ToolCard, ToolState, TurnView, Waiting};
use shared::TaskId;
use shared::protocol::Stats;
use shared::task::Task;

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The conversation, in its order.
    pub rows: BTreeMap<u64, Row>,
    /// What waits for the next call.
    pub queue: Vec<Waiting>,
    /// What the agent is doing; none before the first patch.
    pub status: Option<Status>,
    /// All tasks of the runner.
    pub tasks: Vec<Task>,
    /// The runner as a whole.
    pub stats: Option<Stats>,
    /// Bars of the timeline.
    pub spans: BTreeMap<u64, Span>,
    /// Drains, in the order they came.
    pub drains: Vec<Drain>,
    /// Words in passing.
    pub toasts: Vec<String>,
    /// Output of watched tasks, by offset.
    pub output: BTreeMap<TaskId, Vec<u8>>,
    /// The last pairing link.
    pub pair_link: Option<String>,
}

impl View {
    /// Applies a patch.
    pub fn apply(&mut self, patch: Patch) {
        match patch {
            Patch::Reset => *self = Self { toasts: std::mem::take(&mut self.toasts), ..Self::default() },
            Patch::Row(row) => {
                self.rows.insert(row.id, *row);
            }
            Patch::Grow { row, text } => self.grow(row, &text),
            Patch::Drop { row } => {
                self.rows.remove(&row);
            }
            Patch::Queue(queue) => self.queue = queue,
            Patch::Status(status) => self.status = Some(*status),
            Patch::Tasks(tasks) => self.tasks = tasks,
            Patch::Task(task) => match self.tasks.iter_mut().find(|known| known.id == task.id) {
                Some(known) => *known = *task,
                None => self.tasks.push(*task),
            },
            Patch::TasksGone(gone) => self.tasks.retain(|task| !gone.contains(&task.id)),
            Patch::Output { task, slice } => {
                let known = self.output.entry(task).or_default();
                let from = usize::try_from(slice.from).expect("tests have little output");
                known.resize(from, b'?');
                known.extend(slice.data.0);
            }
            Patch::Stats(stats) => self.stats = Some(stats),
            Patch::Span(span) => {
                self.spans.insert(span.id, span);
            }
            Patch::Drain(drain) => {
                self.drains.retain(|known| known.call != drain.call);
                self.drains.push(drain);
            }
        }
    }

    /// Takes what is said once.
    pub fn flash(&mut self, flash: Flash) {
        match flash {
            Flash::Toast { severity: _, text } => self.toasts.push(text),
            // There is no box here to write in.
            Flash::Draft { text: _ } => {}
            Flash::PairLink { url, expires: _ } => self.pair_link = Some(url),
        }
    }

    fn grow(&mut self, row: u64, more: &str) {
        let row = self.rows.get_mut(&row).unwrap_or_else(|| panic!("text for row {row}, which is not there"));
        match &mut row.kind {
            RowKind::Text { text, live: _ } | RowKind::Thinking { text, live: _ } => text.push_str(more),
            RowKind::Tool(card) => card.input.push_str(more),
            RowKind::User { .. } | RowKind::Drained { .. } | RowKind::Notice { .. } => {
                panic!("row {} takes no text", row.id)
            }
        }
    }

    /// What the agent is doing.
    pub fn turn(&self) -> Option<&TurnView> {
        self.status.as_ref().map(|status| &status.turn)
    }

    /// Whether there is nothing to do and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.turn() == Some(&TurnView::Idle) && self.queue.is_empty()
    }

    /// The conversation's rows, without their numbers.
    fn kinds(&self) -> impl Iterator<Item = &RowKind> {
        self.rows.values().map(|row| &row.kind)
    }

    /// The model's words, block by block.
    pub fn texts(&self) -> Vec<&str> {
        fn text(kind: &RowKind) -> Option<&str> {
            if let RowKind::Text { text, live: _ } = kind { Some(text) } else { None }
        }
        self.kinds().filter_map(text).collect()
    }

    /// The tool uses.
    pub fn tools(&self) -> Vec<&ToolCard> {
        fn card(kind: &RowKind) -> Option<&ToolCard> {
            if let RowKind::Tool(card) = kind { Some(card) } else { None }
        }
        self.kinds().filter_map(card).collect()
    }

    /// The tool use that waits for an approval.
    pub fn asks(&self) -> Option<&ToolCard> {
        self.tools().into_iter().find(|card| matches!(card.state, ToolState::Asks { .. }))
    }

    /// The agent's own words about faults and cuts.
    pub fn notices(&self) -> Vec<&str> {
        fn text(kind: &RowKind) -> Option<&str> {
            if let RowKind::Notice { text, severity: _, retry: _ } = kind { Some(text) } else { None }
        }
        self.kinds().filter_map(text).collect()
    }

    /// How many rows of drained results are shown, and how many lines they hold together.
    pub fn drained(&self) -> (usize, usize) {
        fn lines(kind: &RowKind) -> Option<usize> {
            if let RowKind::Drained { call: _, lines } = kind { Some(lines.len()) } else { None }
        }
        let counts: Vec<usize> = self.kinds().filter_map(lines).collect();
        (counts.len(), counts.iter().sum())
    }

    /// A task by a word of its command.
    pub fn task(&self, word: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.command.contains(word))
    }
}

/// The name of a record, for looking at the order of a log.
pub fn name(record: &Record) -> String {
    let value = serde_json::to_value(record).expect("records are JSON");
    value["record"].as_str().unwrap_or_default().to_owned()
}
