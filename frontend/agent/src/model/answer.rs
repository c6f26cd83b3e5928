//! What comes of a model call: events while it streams, and one answer, or what is kept of it and why it failed.
//!
//! [`keep`] is where an answer is normalised, once, when it first enters the conversation; afterwards it is sent back as it is.

use serde_json::Value;

use super::message::{block_type, is_thinking};
use super::{Fault, Stop, Usage};

/// What happened in a stream. `block` counts the answer's blocks from 0 in the order in which they began.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    /// Words.
    TextDelta {
        /// Of which block.
        block: usize,
        /// To be added.
        text: String,
    },
    /// Thinking, as far as the server shows it.
    ThinkingDelta {
        /// Of which block.
        block: usize,
        /// To be added.
        text: String,
    },
    /// A tool use begins.
    ToolStart {
        /// Which block.
        block: usize,
        /// The tool use's id.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// A piece of a tool use's arguments: JSON, cut anywhere.
    ToolArgsDelta {
        /// Of which block.
        block: usize,
        /// To be added.
        text: String,
    },
    /// A block is complete.
    BlockDone {
        /// Which.
        block: usize,
        /// The whole of it.
        content: Value,
    },
    /// What the call has cost so far; replaces what was said before.
    Usage(Usage),
    /// The end, good or bad: the result can be taken. Comes once.
    Done,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its blocks as they came, unknown ones and unknown fields too. May be empty: then nothing enters the conversation.
    pub content: Vec<Value>,
    /// Why it ended.
    pub stop: Stop,
    /// What it cost.
    pub usage: Usage,
}

/// What is left of an answer that broke off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    /// What may stay in the conversation: complete blocks and the text so far. May be empty.
    pub content: Vec<Value>,
    /// What it cost, as far as known.
    pub usage: Usage,
    /// Whether any of it was shown, so that it must be taken back before the call is made again.
    pub shown: bool,
}

/// A call's outcome.
pub type Outcome = Result<Answer, (Partial, Fault)>;

/// The blocks that may enter the conversation: without blank text and unsigned or trailing thinking, which servers refuse to be sent,
/// and with the text before the first tool use, since nothing but results may follow those.
#[must_use]
pub fn keep(blocks: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let (mut kept, mut tools_begun) = (Vec::new(), None);
    for block in blocks {
        match block_type(&block) {
            "text" if is_blank(&block["text"]) => {}
            "thinking" if is_blank(&block["signature"]) => {}
            "text" => match &mut tools_begun {
                Some(place) => {
                    kept.insert(*place, block);
                    *place += 1;
                }
                None => kept.push(block),
            },
            "tool_use" => {
                tools_begun.get_or_insert(kept.len());
                kept.push(block);
            }
            _ => kept.push(block),
        }
    }
    while kept.last().is_some_and(is_thinking) {
        kept.pop();
    }
    kept
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_none_or(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_may_be_sent_back_is_kept() {
        let said = |text: &str| json!({"type": "text", "text": text});
        let thought = |signature: &str| json!({"type": "thinking", "thinking": "", "signature": signature});
        let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "bash", "input": {}});
        let other = json!({"type": "server_thing", "x": 1});
        check(&[said("a"), said(" \n"), said("b")], &[said("a"), said("b")]);
        check(&[thought("s"), said("a"), thought("s")], &[thought("s"), said("a")]);
        check(&[thought(""), said("a")], &[said("a")]);
        check(&[thought("s")], &[]);
        check(
            &[said("a"), tool("1"), said("b"), other.clone(), said("c"), tool("2")],
            &[said("a"), said("b"), said("c"), tool("1"), other, tool("2")],
        );
    }

    #[track_caller]
    fn check(blocks: &[Value], expected: &[Value]) {
        assert_eq!(keep(blocks.to_vec()), expected);
    }
}
