//! An agent that writes down what it is told, shows what it wrote, and saves it one append after the other.

use std::collections::VecDeque;

use agent::record::{Entry, Record};
use agent::view::Patch;
use shared::Timestamp;

pub(super) struct Toy {
    /// When it was started.
    pub(super) start: u64,
    log: Vec<Entry>,
    pub(super) unsaved: Vec<Entry>,
    waiting: VecDeque<Vec<Entry>>,
    saving: bool,
    stuck: bool,
    shown: usize,
    pub(super) works: bool,
}

impl Toy {
    pub(super) fn new(start: u64, log: Vec<Entry>) -> Self {
        let shown = log.len();
        Self {
            start,
            log,
            unsaved: Vec::new(),
            waiting: VecDeque::new(),
            saving: false,
            stuck: false,
            shown,
            works: false,
        }
    }

    /// The number of the next entry.
    pub(super) fn next(&self) -> u64 {
        self.log.len() as u64 + 1
    }

    /// Gives what is to be written now.
    pub(super) fn record(&mut self, now: u64, record: Record) -> Option<Vec<Entry>> {
        let entry = Entry { n: self.next(), at: Timestamp(now), record };
        self.log.push(entry.clone());
        self.unsaved.push(entry.clone());
        if !self.stuck {
            self.waiting.push_back(vec![entry]);
        }
        self.write()
    }

    fn write(&mut self) -> Option<Vec<Entry>> {
        if self.saving {
            return None;
        }
        let entries = self.waiting.pop_front();
        self.saving = entries.is_some();
        entries
    }

    pub(super) fn saved(&mut self, through: u64) -> Option<Vec<Entry>> {
        self.unsaved.retain(|entry| entry.n > through);
        self.saving = false;
        self.write()
    }

    pub(super) fn save_failed(&mut self) {
        self.waiting.clear();
        (self.saving, self.stuck) = (false, true);
    }

    /// All that is missing.
    pub(super) fn save_again(&mut self) -> Option<Vec<Entry>> {
        self.stuck = false;
        self.waiting.push_back(self.unsaved.clone());
        self.write()
    }

    pub(super) fn whole(&self) -> Vec<Patch> {
        let mut patches = vec![Patch::Reset];
        patches.extend(self.log.iter().map(grow));
        patches
    }

    /// What was not shown yet.
    pub(super) fn unshown(&mut self) -> Vec<Patch> {
        let unshown = self.log.iter().skip(self.shown).map(grow).collect();
        self.shown = self.log.len();
        unshown
    }
}

fn grow(entry: &Entry) -> Patch {
    Patch::Grow { row: entry.n, text: text_of(entry).to_owned() }
}

/// What an entry says.
pub(crate) fn text_of(entry: &Entry) -> &str {
    match &entry.record {
        Record::Queued { text, .. } => text,
        Record::Titled { title } => title,
        other => panic!("no toy writes this: {other:?}"),
    }
}
