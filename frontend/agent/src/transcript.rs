//! The conversation, and the only place that builds one.
//!
//! It is append only: a turn is made once, when it is first appended, and never changed but by growing while
//! it is the last and no answer has come, or by being cut or taken back then if a server refused it. A
//! model's turn holds what its server sent, but for what no server takes back. A request never holds a use of
//! a tool without its result.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::call::CallId;
use crate::conversation::{Block, Raw, Role, Turn};
use crate::model::{Api, Request};
use crate::notice::{cut_head, cut_tail};
use crate::record::{Entry, Record};
use crate::settings::ModelChoice;

/// A result that is no longer than twice this is not cut when a server refuses a request as too large.
const SHORT_RESULT: usize = 2_000;

/// The turns so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    turns: Vec<Turn>,
    /// The ids of all tool uses.
    ids: BTreeSet<String>,
}

impl Transcript {
    /// The turns, in order.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Whether the last turn is the user's: then what comes next goes into it.
    #[must_use]
    pub fn ends_on_user(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.role == Role::User)
    }

    /// Whether it ends on what the server itself was doing, and so can be sent as it stands.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let raw = self.turns.last().and_then(|turn| turn.raw.as_ref());
        raw.is_some_and(|raw| raw.api.codec().is_paused(&raw.items))
    }

    /// Puts blocks at the end of the trailing user's turn, or into a new one.
    pub fn append(&mut self, blocks: &[Block]) {
        if blocks.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(last) if last.role == Role::User => last.blocks.extend_from_slice(blocks),
            last => {
                let mut blocks = blocks.to_vec();
                answer_in_order(last.map_or(&[], |last| &last.blocks), &mut blocks);
                self.turns.push(Turn::user(blocks));
            }
        }
    }

    /// The text of each result of a tool in the last turn, if nobody has answered that.
    fn last_results(&mut self) -> impl Iterator<Item = &mut String> {
        let last = self.turns.last_mut().filter(|last| last.role == Role::User);
        let blocks = last.into_iter().flat_map(|last| &mut last.blocks);
        blocks.filter_map(|block| if let Block::ToolResult { text, .. } = block { Some(text) } else { None })
    }

    /// To how many characters the results in the last turn can be cut, so that it becomes much smaller;
    /// `None` if they are short.
    #[must_use]
    pub fn shorter(&self) -> Option<usize> {
        let last = self.turns.last().filter(|last| last.role == Role::User)?;
        let chars = |block: &Block| {
            if let Block::ToolResult { text, .. } = block { Some(text.chars().count()) } else { None }
        };
        let longest = last.blocks.iter().filter_map(chars).max()?;
        (longest > 2 * SHORT_RESULT).then(|| (longest / 4).max(SHORT_RESULT))
    }

    /// Cuts them. Nobody has taken them in yet.
    pub fn shorten(&mut self, limit: usize) {
        for text in self.last_results() {
            let chars = text.chars().count();
            if chars > limit {
                let (head, tail) = (cut_head(text, limit * 2 / 3), cut_tail(text, limit / 3));
                *text = format!(
                    "{head}\n[… {} characters were left out here: the server refused the request with them as too large. Read what is needed of them in parts. …]\n{tail}",
                    chars - limit / 3 - limit * 2 / 3
                );
            }
        }
    }

    /// Removes the last turn, which no server took, and what the answer before it holds that not every server
    /// knows, and gives what of it must stay: all but these messages, or the results without their texts.
    pub fn take_back(&mut self, messages: &[String], results: bool) -> Vec<Block> {
        if results {
            for text in self.last_results() {
                "(This result was left out: the server refused the request that held it.)".clone_into(text);
            }
        }
        if !self.ends_on_user() {
            return Vec::new();
        }
        let mut left = self.turns.pop().map(|last| last.blocks).unwrap_or_default();
        // That answer has not been sent back before: it may be what was refused.
        if let Some(Turn { blocks, raw: Some(raw), .. }) = self.turns.last_mut() {
            let codec = raw.api.codec();
            raw.items = codec.plain(std::mem::take(&mut raw.items));
            *blocks = codec.blocks(&raw.items);
            if blocks.is_empty() {
                self.turns.pop();
            }
        }
        for message in messages {
            if let Some(place) =
                left.iter().position(|block| matches!(block, Block::Text { text } if text == message))
            {
                left.remove(place);
            }
        }
        if results {
            left.retain(Block::is_result);
        }
        left
    }

    /// An answer in the form in which it can be sent again, after all that is here. One that has that form
    /// already stays as it is.
    #[must_use]
    pub fn fit(&self, api: Api, items: Vec<Value>) -> Vec<Value> {
        api.codec().fit(items, &mut self.ids.clone())
    }

    /// Appends an answer and gives what it says as it was taken in, and whether its server paused in it. An
    /// empty one leaves no turn; one that goes on after a pause joins the turn before it.
    pub fn answer(&mut self, items: &[Value], model: &ModelChoice) -> (Vec<Block>, bool) {
        let codec = model.api.codec();
        let items = codec.fit(items.to_vec(), &mut self.ids);
        let (blocks, is_paused) = (codec.blocks(&items), codec.is_paused(&items));
        if blocks.is_empty() {
            return (blocks, false);
        }
        if let Some(Turn { role: Role::Assistant, blocks: so_far, raw }) = self.turns.last_mut() {
            so_far.extend_from_slice(&blocks);
            match raw {
                Some(raw) if raw.api == model.api => raw.items.extend(items),
                // Of two APIs there is no raw form.
                Some(_) | None => *raw = None,
            }
        } else {
            let raw = Some(Raw { api: model.api, model: model.model.clone(), items });
            self.turns.push(Turn { role: Role::Assistant, blocks: blocks.clone(), raw });
        }
        (blocks, is_paused)
    }
}

/// Results come in the order of the uses they answer. In a log from before ids were made fit to be sent they
/// still bear the old ones.
fn answer_in_order(answer: &[Block], blocks: &mut [Block]) {
    let uses =
        answer.iter().filter_map(|block| if let Block::ToolUse { id, .. } = block { Some(id) } else { None });
    let results = blocks
        .iter_mut()
        .filter_map(|block| if let Block::ToolResult { id, .. } = block { Some(id) } else { None });
    for (result, id) in results.zip(uses) {
        result.clone_from(id);
    }
}

/// What a call sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentRequest {
    /// To which model.
    pub model: ModelChoice,
    /// The system prompt.
    pub system: String,
    /// How many tools were offered.
    pub tools: usize,
    /// The conversation, as far as it was sent.
    pub turns: Vec<Turn>,
    /// The body: JSON.
    pub body: Value,
}

/// What a call sent. `None` if the log holds no such call.
#[must_use]
pub fn request_of_call(log: &[Entry], call: CallId) -> Option<SentRequest> {
    let mut transcript = Transcript::default();
    let (mut system, mut tools) = ("", &Value::Null);
    let usual = ModelChoice::default();
    let mut of = &usual;
    for entry in log {
        match &entry.record {
            Record::Preamble { system: text, tools: list, .. } => (system, tools) = (text, list),
            Record::RequestSent { call: asked, append, model, .. } => {
                transcript.append(append);
                of = model;
                if *asked == call {
                    let turns = transcript.turns;
                    let request = Request { model: &model.model, system, tools, turns: &turns, stream: true };
                    let body = serde_json::from_str(&model.api.codec().body(&request)).ok()?;
                    let tools = tools.as_array().map_or(0, Vec::len);
                    let codec = model.api.codec();
                    let sent = |turn: &Turn| Turn { blocks: codec.sent(turn, &model.model), ..turn.clone() };
                    let turns = turns.iter().map(sent).collect();
                    return Some(SentRequest {
                        model: model.clone(),
                        system: system.to_owned(),
                        tools,
                        turns,
                        body,
                    });
                }
            }
            Record::ResponseReceived { content, .. } => {
                transcript.answer(content, of);
            }
            Record::Shortened { limit, .. } => transcript.shorten(*limit),
            Record::TakenBack { .. } => {
                // What stays of it is in the next call's own.
                transcript.take_back(&[], true);
            }
            Record::Began { .. }
            | Record::Queued { .. }
            | Record::Cancelled { .. }
            | Record::Edited { .. }
            | Record::CompletionReceived { .. }
            | Record::CallFailed { .. }
            | Record::ApprovalResolved { .. }
            | Record::ToolBegan { .. }
            | Record::ToolTask { .. }
            | Record::ToolDone { .. }
            | Record::StoppedReply
            | Record::BudgetReached { .. }
            | Record::Titled { .. }
            | Record::ModeSet { .. }
            | Record::ToolRefused { .. }
            | Record::NewEpoch { .. }
            | Record::Missed { .. }
            | Record::Unknown => {}
        }
    }
    None
}
