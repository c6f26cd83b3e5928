//! A session's log in memory. It outlives the pages that write it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use agent::record::{Entry, Record};
use agent::settings::Settings;
use shared::SessionId;
use shared::protocol::TaskEvent;

use crate::gate::Gate;

/// The log of one session and the settings of its browser. Clones are the same store.
#[derive(Clone)]
pub struct Store(Rc<RefCell<Inner>>);

/// Tells an entry that a test waits for.
pub type Fits = fn(&Entry) -> bool;

struct Inner {
    session: SessionId,
    log: Vec<Entry>,
    settings: Settings,
    hold: Option<Gate>,
    /// The write after which the gate comes down.
    hold_after: Option<(Fits, Gate)>,
    failing: Option<String>,
}

impl Store {
    /// An empty log of a new session.
    pub fn new(settings: Settings) -> Self {
        let session = SessionId(uuid::Uuid::new_v4());
        Self(Rc::new(RefCell::new(Inner {
            session,
            log: Vec::new(),
            settings,
            hold: None,
            hold_after: None,
            failing: None,
        })))
    }

    /// Whose log it is.
    pub fn session(&self) -> SessionId {
        self.0.borrow().session
    }

    /// All entries that are durable.
    pub fn read(&self) -> Vec<Entry> {
        self.0.borrow().log.clone()
    }

    /// The settings.
    pub fn settings(&self) -> Settings {
        self.0.borrow().settings.clone()
    }

    pub(super) fn set(&self, settings: Settings) {
        self.0.borrow_mut().settings = settings;
    }

    /// From now on writes wait at this gate before they become durable.
    pub fn hold(&self, gate: &Gate) {
        self.0.borrow_mut().hold = Some(gate.clone());
    }

    /// Writes wait at this gate once an entry that fits is durable: none that comes after it slips through.
    pub fn hold_after(&self, fits: Fits, gate: &Gate) {
        self.0.borrow_mut().hold_after = Some((fits, gate.clone()));
    }

    /// Writes are no longer held back.
    pub fn release(&self) {
        let mut inner = self.0.borrow_mut();
        inner.hold = None;
        inner.hold_after = None;
    }

    /// From now on writes fail with this reason.
    pub fn fail(&self, reason: &str) {
        self.0.borrow_mut().failing = Some(reason.to_owned());
    }

    /// Writes entries. Never at once: a real database takes its time.
    pub(super) async fn append(&self, entries: Vec<Entry>) -> Result<(), String> {
        let hold = self.0.borrow().hold.clone();
        if let Some(gate) = hold {
            gate.pass().await;
        }
        tokio::task::yield_now().await;
        let mut inner = self.0.borrow_mut();
        if let Some(reason) = &inner.failing {
            return Err(reason.clone());
        }
        // Through JSON, as every real store does it.
        let written = serde_json::to_string(&entries).map_err(|error| error.to_string())?;
        inner.log.extend(serde_json::from_str::<Vec<Entry>>(&written).map_err(|error| error.to_string())?);
        if let Some((fits, gate)) = inner.hold_after.clone()
            && entries.iter().any(fits)
        {
            inner.hold = Some(gate);
        }
        Ok(())
    }

    /// What must be true of every log, whatever the test is about. What the model was told is judged by its
    /// requests.
    ///
    /// # Panics
    /// If it is not.
    pub fn check(&self) {
        let log = self.read();
        let numbers: Vec<u64> = log.iter().map(|entry| entry.n).collect();
        let expected: Vec<u64> = (1..).take(log.len()).collect();
        assert_eq!(numbers, expected, "the log's entries are numbered without gaps");
        let mut completions: BTreeMap<String, u32> = BTreeMap::new();
        let mut results: BTreeMap<(u64, usize), u32> = BTreeMap::new();
        for entry in &log {
            if let Record::CompletionReceived { event: TaskEvent::Ended { task, .. }, .. } = &entry.record {
                *completions.entry(task.id.to_string()).or_default() += 1;
            }
            if let Record::ToolDone { call, index, .. } = &entry.record {
                *results.entry((call.0, *index)).or_default() += 1;
            }
        }
        let twice = |counts: &BTreeMap<String, u32>| counts.values().any(|count| *count > 1);
        assert!(!twice(&completions), "a completion was taken in twice: {completions:?}");
        assert!(results.values().all(|count| *count == 1), "a tool use has two results: {results:?}");
    }
}
