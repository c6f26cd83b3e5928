//! What an API's codec does: a conversation becomes a request, bytes become events and one answer.
//!
//! An answer is kept as items, the API's own JSON, made fit to be sent back once, when it enters the
//! conversation; [`Codec::blocks`] reads them for everybody else.

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde_json::Value;

use super::answer::ModelEvent;
use super::{Stop, Usage};
use crate::conversation::{Block, Turn};

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model's id.
    pub model: &'a str,
    /// The system prompt; fixed for a conversation.
    pub system: &'a str,
    /// The tool definitions, a list of `name`, `description` and `input_schema`; fixed for a conversation.
    pub tools: &'a Value,
    /// The conversation.
    pub turns: &'a [Turn],
    /// Whether the answer is to come in pieces.
    pub stream: bool,
}

/// How a server of this API is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Where calls go, unless an address is given.
    pub base: &'static str,
    /// The path behind it, with its version.
    pub path: &'static str,
    /// Whether an address that has a path is meant to have the version in it.
    pub base_has_version: bool,
    /// The relay's name for it; absent if the runner does not relay it.
    pub upstream: Option<&'static str>,
    /// Headers of every call.
    pub headers: &'static [(&'static str, &'static str)],
    /// Further headers of a call from a page.
    pub page_headers: &'static [(&'static str, &'static str)],
    /// The header that bears the key.
    pub key: KeyHeader,
}

/// The header that bears a key. Without a key it is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    /// Its name.
    pub name: &'static str,
    /// What stands before the key.
    pub prefix: &'static str,
}

/// An API's codec.
pub trait Codec: Sync {
    /// How a server is reached.
    fn wire(&self) -> Wire;

    /// The body of a request: JSON. The same conversation gives the same bytes, and a longer one begins with
    /// those of the shorter one, but for what steers the server's cache.
    fn body(&self, request: &Request<'_>) -> String;

    /// What reads the answer.
    fn reader(&self) -> Box<dyn Reader>;

    /// What items say.
    fn blocks(&self, items: &[Value]) -> Vec<Block>;

    /// What of a turn is sent to a model: not all that one model has said may be sent to another.
    fn sent(&self, turn: &Turn, model: &str) -> Vec<Block>;

    /// Items in the form in which they can be sent again: without what servers refuse, and each tool use with
    /// an id that none of `ids` is; the new ones are added. What has that form stays as it is.
    fn fit(&self, items: Vec<Value>, ids: &mut BTreeSet<String>) -> Vec<Value>;

    /// Items without what not every server of this API knows.
    fn plain(&self, items: Vec<Value>) -> Vec<Value>;

    /// Whether items end on what the server itself was doing, so that they are sent back as they stand and it
    /// goes on.
    fn is_paused(&self, items: &[Value]) -> bool;
}

/// Makes an answer of the events of a stream.
pub trait Reader: Debug {
    /// Takes an event.
    fn event(&mut self, name: &str, data: &str, out: &mut Vec<ModelEvent>) -> Step;

    /// Takes a whole JSON value that came in place of a stream; `None` if it is no answer.
    fn whole(&mut self, value: &Value, out: &mut Vec<ModelEvent>) -> Option<Step>;

    /// Whether it was said why the answer ended: then only the good-bye is missing.
    fn is_answered(&self) -> bool;

    /// What came, fit to be kept but for ids; of an answer that was `cut` off only what is whole.
    fn items(&self, cut: bool) -> Vec<Value>;

    /// Why it ended. `items` is what is kept of it.
    fn stop(&self, items: &[Value]) -> Stop;

    /// What it cost so far.
    fn usage(&self) -> Usage;
}

/// What follows an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// More.
    More,
    /// Nothing: it is whole.
    End,
    /// The server says that it failed, in this value.
    Error(Value),
    /// It cannot be read; in a sentence.
    Unreadable(String),
}
