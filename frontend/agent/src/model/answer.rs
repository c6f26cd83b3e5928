//! What comes of a model call: events while it streams, and one answer, or what is kept of it and why it failed.
//!
//! [`keep`] and [`identify`] are where an answer is normalised, once, when it first enters the conversation; afterwards it is sent back as it is.

use serde_json::{Value, json};
use std::collections::BTreeSet;

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
    /// Its blocks as they came, unknown ones too; known ones with the fields that they may be sent back with. May be empty: then nothing enters the conversation.
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

/// The most characters of a tool's id or name that was made from one which cannot be sent.
const MADE_CHARS: usize = 64;
/// The most characters that servers take of either.
const MOST_CHARS: usize = 128;

/// The fields that a block of a known kind may have when it is sent back: servers refuse any other. `None`: the kind is not known here.
pub(super) fn fields_of(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "text" => &["type", "text", "citations"],
        "thinking" => &["type", "thinking", "signature"],
        "redacted_thinking" => &["type", "data"],
        "tool_use" => &["type", "id", "name", "input", "caller"],
        _ => return None,
    })
}

/// Whether a block is of a kind that is known here, and so can be sent to whoever speaks this protocol.
#[must_use]
pub fn is_known(block: &Value) -> bool {
    fields_of(block_type(block)).is_some()
}

/// The blocks that may enter the conversation: without what servers refuse to be sent, that is blank text, unsigned or trailing thinking and
/// blocks that are no model's, and with the text before the first tool use, since nothing but results may follow those.
#[must_use]
pub fn keep(blocks: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let (mut kept, mut tools_begun) = (Vec::new(), None);
    for mut block in blocks {
        if let Value::Object(fields) = &mut block {
            // Ours to set: a request may bear four in all.
            fields.remove("cache_control");
            let kind = fields.get("type").and_then(Value::as_str).and_then(fields_of);
            fields.retain(|name, value| {
                let fits = name != "citations" || value.is_array();
                fits && kind.is_none_or(|known| known.contains(&name.as_str()))
            });
        }
        match block_type(&block) {
            "" | "tool_result" | "image" | "document" => {}
            "text" if is_blank(&block["text"]) => {}
            "thinking" if is_blank(&block["signature"]) || !block["thinking"].is_string() => {}
            "redacted_thinking" if is_blank(&block["data"]) => {}
            "text" => match &mut tools_begun {
                Some(place) => {
                    kept.insert(*place, block);
                    *place += 1;
                }
                None => kept.push(block),
            },
            "tool_use" => {
                tools_begun.get_or_insert(kept.len());
                kept.push(named(block));
            }
            _ => kept.push(block),
        }
    }
    while kept.last().is_some_and(is_thinking) {
        kept.pop();
    }
    kept
}

/// Gives every tool use an id that can be sent and that no other has; `taken` are those of the conversation so far. Good ids stay as they are.
pub fn identify(blocks: &mut [Value], taken: &mut BTreeSet<String>) {
    for block in blocks.iter_mut().filter(|block| block_type(block) == "tool_use") {
        let id = block["id"].as_str().unwrap_or_default();
        let mut made = id.to_owned();
        if !can_be_sent(id) || taken.contains(id) {
            let stem = plain(id, "toolu");
            made.clone_from(&stem);
            for n in 2.. {
                if !taken.contains(&made) {
                    break;
                }
                made = format!("{stem}_{n}");
            }
            block["id"] = made.as_str().into();
        }
        taken.insert(made);
    }
}

/// A tool use whose name and arguments servers take back. Some models put a whole command where the name belongs.
fn named(mut block: Value) -> Value {
    let name = block["name"].as_str().unwrap_or_default();
    if !can_be_sent(name) {
        block["name"] = plain(name, "unnamed").into();
    }
    if !block["input"].is_object() {
        block["input"] = json!({});
    }
    block
}

fn can_be_sent(word: &str) -> bool {
    (1..=MOST_CHARS).contains(&word.len()) && word.bytes().all(is_plain)
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The word in letters that can be sent; `otherwise` for an empty one.
fn plain(word: &str, otherwise: &str) -> String {
    if word.is_empty() {
        return otherwise.to_owned();
    }
    let fit = |char: char| if u8::try_from(char).is_ok_and(is_plain) { char } else { '_' };
    word.chars().take(MADE_CHARS).map(fit).collect()
}

/// Servers strip more than white space before they look whether anything is left.
fn is_blank(value: &Value) -> bool {
    value.as_str().is_none_or(|text| text.chars().all(|char| char.is_whitespace() || char.is_control()))
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

    #[test]
    fn what_no_server_takes_back_is_not_kept() {
        let said = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
        let blocks = [
            json!({"text": "of no kind"}),
            json!("no block"),
            json!({"type": "text", "text": "\u{1c}\u{a0}"}),
            json!({"type": "text", "text": 1}),
            json!({"type": "thinking", "thinking": "x"}),
            json!({"type": "thinking", "signature": "s"}),
            json!({"type": "redacted_thinking", "data": ""}),
            json!({"type": "tool_result", "tool_use_id": "1", "content": "made up"}),
            said,
        ];
        check(&blocks, &[json!({"type": "text", "text": "a"})]);
    }

    #[test]
    fn ids_and_names_can_be_sent_and_ids_are_unique() {
        let long = "x".repeat(129);
        let mut taken = BTreeSet::new();
        taken.insert("t1".to_owned());
        let tool = |id: Value, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        let mut blocks = keep([
            tool(json!("toolu_1"), "bash"),
            tool(json!("functions.shell:3"), "mysql -h db; SELECT 1;"),
            tool(json!("functions.shell:3"), ""),
            tool(json!("functions_shell_3_2"), &long),
            tool(json!("t1"), "bäsh"),
            tool(Value::Null, "a-B_9"),
            tool(json!(long), "b"),
        ]);
        identify(&mut blocks, &mut taken);
        let cut = &long[..64];
        let expected = [
            ("toolu_1", "bash"),
            ("functions_shell_3", "mysql_-h_db__SELECT_1_"),
            ("functions_shell_3_2", "unnamed"),
            ("functions_shell_3_2_2", cut),
            ("t1_2", "b_sh"),
            ("toolu", "a-B_9"),
            (cut, "b"),
        ];
        assert_eq!(blocks, expected.map(|(id, name)| tool(json!(id), name)));
        let again = blocks.clone();
        identify(&mut blocks, &mut BTreeSet::new());
        assert_eq!(blocks, again, "what was made once stays");
    }

    #[track_caller]
    fn check(blocks: &[Value], expected: &[Value]) {
        assert_eq!(keep(blocks.to_vec()), expected);
    }
}
