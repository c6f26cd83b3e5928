//! Blocks of this API as they may stand in a conversation.
//!
//! [`keep`] and [`identify`] are where an answer is normalised, once, when it first enters the conversation;
//! afterwards it is sent back as it is.

use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::model::identifier;

/// Whether a block is thinking, which is bound to its model and its conversation.
pub(super) fn is_thinking(block: &Value) -> bool {
    matches!(block_type(block), "thinking" | "redacted_thinking")
}

/// A block's `type`; empty if it has none.
pub(super) fn block_type(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether an answer can be gone on with as it stands, as after `pause_turn`: it ends on what the server
/// itself was doing. Ending on anything else it would be a prefill, which newer models refuse.
pub(super) fn ends_on_server_tool(content: &[Value]) -> bool {
    content.last().is_some_and(|block| {
        let kind = block_type(block);
        kind == "server_tool_use" || kind.ends_with("_tool_result")
    })
}

/// The fields that a block of a known kind may have when it is sent back: servers refuse any other. `None`:
/// the kind is not known here.
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
pub(super) fn is_known(block: &Value) -> bool {
    fields_of(block_type(block)).is_some()
}

/// The blocks that may enter the conversation: without what servers refuse to be sent, that is blank text,
/// unsigned or trailing thinking and blocks that are no model's, and with the text before the first tool use,
/// since nothing but results may follow those.
pub(super) fn keep(blocks: impl IntoIterator<Item = Value>) -> Vec<Value> {
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

/// Gives every tool use an id that can be sent and that no other has; `taken` are those of the conversation
/// so far. Good ids stay as they are.
pub(super) fn identify(blocks: &mut [Value], taken: &mut BTreeSet<String>) {
    for block in blocks.iter_mut().filter(|block| block_type(block) == "tool_use") {
        let id = identifier::unique(block["id"].as_str().unwrap_or_default(), "toolu", taken);
        if block["id"] != *id {
            block["id"] = id.into();
        }
    }
}

/// A tool use whose name and arguments servers take back.
fn named(mut block: Value) -> Value {
    let name = block["name"].as_str().unwrap_or_default().to_owned();
    let made = identifier::name(&name);
    if made != name || !block["name"].is_string() {
        block["name"] = made.into();
    }
    if !block["input"].is_object() {
        block["input"] = json!({});
    }
    block
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_none_or(identifier::is_blank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_may_be_sent_back_is_kept() {
        let text_item = |text: &str| json!({"type": "text", "text": text});
        let thought = |signature: &str| json!({"type": "thinking", "thinking": "", "signature": signature});
        let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "bash", "input": {}});
        let other = json!({"type": "server_thing", "x": 1});
        check(&[text_item("a"), text_item(" \n"), text_item("b")], &[text_item("a"), text_item("b")]);
        check(&[thought("s"), text_item("a"), thought("s")], &[thought("s"), text_item("a")]);
        check(&[thought(""), text_item("a")], &[text_item("a")]);
        check(&[thought("s")], &[]);
        check(
            &[text_item("a"), tool("1"), text_item("b"), other.clone(), text_item("c"), tool("2")],
            &[text_item("a"), text_item("b"), text_item("c"), tool("1"), other, tool("2")],
        );
    }

    #[test]
    fn what_no_server_takes_back_is_not_kept() {
        let text_item = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
        let blocks = [
            json!({"text": "of no kind"}),
            json!("no block"),
            json!({"type": "text", "text": "\u{1c}\u{a0}"}),
            json!({"type": "text", "text": 1}),
            json!({"type": "thinking", "thinking": "x"}),
            json!({"type": "thinking", "signature": "s"}),
            json!({"type": "redacted_thinking", "data": ""}),
            json!({"type": "tool_result", "tool_use_id": "1", "content": "made up"}),
            text_item,
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
