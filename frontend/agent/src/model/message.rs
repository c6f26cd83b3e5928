//! A conversation's messages in the form of Anthropic's Messages. Blocks are raw JSON, so that what a model sent goes back as it came.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person, tool results, and the runner's notices.
    User,
    /// The model.
    Assistant,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Its blocks; never empty.
    pub content: Vec<Value>,
}

impl Message {
    /// A user's message.
    #[must_use]
    pub const fn user(content: Vec<Value>) -> Self {
        Self { role: Role::User, content }
    }

    /// A model's message.
    #[must_use]
    pub const fn assistant(content: Vec<Value>) -> Self {
        Self { role: Role::Assistant, content }
    }
}

/// Whether a block is thinking, which is bound to its model and its conversation.
#[must_use]
pub fn is_thinking(block: &Value) -> bool {
    matches!(block_type(block), "thinking" | "redacted_thinking")
}

/// A block's `type`; empty if it has none.
#[must_use]
pub fn block_type(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The messages without their thinking, for a model that did not think it. A message that was nothing but thinking goes, and the two
/// around it become one.
#[must_use]
pub fn strip_thinking(messages: &[Message]) -> Vec<Message> {
    let mut kept: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        let content: Vec<Value> =
            message.content.iter().filter(|block| !is_thinking(block)).cloned().collect();
        if content.is_empty() {
            continue;
        }
        match kept.last_mut() {
            Some(last) if last.role == message.role => last.content.extend(content),
            _ => kept.push(Message { role: message.role, content }),
        }
    }
    kept
}

/// Whether an answer can be gone on with as it stands, as after `pause_turn`: it ends on what the server itself was doing. Ending on anything
/// else it would be a prefill, which newer models refuse.
#[must_use]
pub fn ends_on_server_tool(content: &[Value]) -> bool {
    content.last().is_some_and(|block| {
        let kind = block_type(block);
        kind == "server_tool_use" || kind.ends_with("_tool_result")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn thinking_is_stripped_and_roles_still_alternate() {
        let said = |text: &str| json!({"type": "text", "text": text});
        let thinking = json!({"type": "thinking", "thinking": "…", "signature": "s"});
        let stripped = strip_thinking(&[
            Message::user(vec![said("a")]),
            Message::assistant(vec![thinking.clone()]),
            Message::user(vec![said("b")]),
            Message::assistant(vec![thinking, said("c")]),
        ]);
        assert_eq!(
            stripped,
            [Message::user(vec![said("a"), said("b")]), Message::assistant(vec![said("c")])]
        );
    }

    #[test]
    fn the_wire_form() {
        let message = Message::user(vec![json!({"type": "text", "text": "a"})]);
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            r#"{"role":"user","content":[{"type":"text","text":"a"}]}"#
        );
    }
}
