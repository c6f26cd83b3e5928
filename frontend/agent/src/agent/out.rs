//! What one event leads to, as it is gathered.

use shared::Timestamp;

use crate::effect::Effect;
use crate::event::Author;
use crate::record::Entry;
use crate::view::{Flash, Patch, Severity};

/// What one event leads to.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) now: Timestamp,
    /// Whose command it is about.
    pub(super) author: Option<Author>,
    pub(super) entries: Vec<Entry>,
    pub(super) patches: Vec<Patch>,
    pub(super) effects: Vec<Effect>,
}

impl Out {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { now, author: None, entries: Vec::new(), patches: Vec::new(), effects: Vec::new() }
    }

    /// Says something to whoever asked for it.
    pub(super) fn flash(&mut self, flash: Flash) {
        self.effects.push(Effect::Flash { to: self.author.map(|author| author.from), flash });
    }

    pub(super) fn toast(&mut self, text: &str) {
        self.flash(Flash::Toast { severity: Severity::Warn, text: text.to_owned() });
    }
}
