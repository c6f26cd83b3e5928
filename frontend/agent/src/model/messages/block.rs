//! A block of an answer while it comes, and as it is sent back.

use serde_json::{Value, json};
use shared::tools::UNREADABLE;

use super::item::fields_of;
use crate::model::surrogates::{Halves, join, parse};

pub(super) const TOOL_USE: &str = "tool_use";

/// A block as far as it came.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) index: u64,
    pub(super) fields: serde_json::Map<String, Value>,
    pub(super) text: String,
    pub(super) json: String,
    /// The first half of a character whose second half may come.
    pub(super) half: Option<u16>,
    pub(super) done: bool,
}

impl Block {
    pub(super) fn kind(&self) -> &str {
        self.fields.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// A piece with the half before it and its own, and without one whose other half may come.
    pub(super) fn joined(&mut self, piece: &str, halves: Halves) -> String {
        if piece.is_empty() && halves == Halves::default() {
            return String::new();
        }
        let first = join(self.half.take(), halves.low);
        self.half = halves.high;
        first.into_iter().chain(piece.chars()).collect()
    }

    /// The block as it is sent back.
    pub(super) fn value(&self) -> Value {
        let mut fields = self.fields.clone();
        let kind = self.kind();
        if matches!(kind, "text" | "thinking") {
            let text: String = self.text.chars().chain(join(self.half, None)).collect();
            fields.insert(kind.to_owned(), text.into());
        }
        if !self.json.is_empty() && (kind == TOOL_USE || fields_of(kind).is_none()) {
            let input = match parse(&self.json) {
                Some(input @ Value::Object(_)) => input,
                // The API takes nothing but an object here, and the model shall see what it wrote.
                _ => json!({UNREADABLE: self.json}),
            };
            fields.insert("input".to_owned(), input);
        } else if kind == "tool_use" && !matches!(fields.get("input"), Some(Value::Object(_))) {
            fields.insert("input".to_owned(), json!({}));
        }
        Value::Object(fields)
    }

    /// Whether the block can stay if the answer was `cut` off: text always, other blocks if they are whole.
    /// Of a whole answer all do: some servers do not say where blocks end.
    pub(super) fn may_stay(&self, cut: bool) -> bool {
        let is_object = || parse(&self.json).is_some_and(|input| input.is_object());
        match self.kind() {
            "text" => true,
            TOOL_USE if cut => self.done && (self.json.is_empty() || is_object()),
            _ => self.done || !cut,
        }
    }

    /// Deltas of kinds that came after this was written: text grows, all else replaces.
    pub(super) fn take_unknown(&mut self, delta: &Value) {
        let Value::Object(delta) = delta else { return };
        for (name, piece) in delta.iter().filter(|(name, _)| *name != "type") {
            match (self.fields.get_mut(name), piece) {
                (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
                _ => {
                    self.fields.insert(name.clone(), piece.clone());
                }
            }
        }
    }
}
