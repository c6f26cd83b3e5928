//! The rules of Anthropic's Messages that a request must keep, answered in the words of the API.
//!
//! The simulation and the fake server of the tests send every request through [`check`]: whatever a test is about, a conversation that a real server
//! would refuse fails it.

use serde_json::Value;
use std::collections::BTreeSet;

use super::item::{block_type, ends_on_server_tool, is_thinking};

/// Checks a request's body.
///
/// # Errors
/// The message of the 400 that a server would answer with.
pub fn check(body: &Value) -> Result<(), String> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err("model: Field required".to_owned());
    }
    if body["max_tokens"].is_null() {
        return Err("max_tokens: Field required".to_owned());
    }
    if body["max_tokens"].as_u64().is_none_or(|count| count == 0) {
        return Err("max_tokens: Input should be greater than or equal to 1".to_owned());
    }
    for name in ["temperature", "top_p", "top_k"] {
        if body.get(name).is_some() {
            return Err(format!("{name}: this parameter is not supported from version 2026-10-21 on"));
        }
    }
    if !matches!(body["tool_choice"]["type"].as_str(), None | Some("auto" | "none")) {
        return Err("tool_choice: Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    if !matches!(body["thinking"]["type"].as_str(), None | Some("adaptive" | "disabled")) {
        return Err("thinking: only `adaptive` and `disabled` are supported by this model".to_owned());
    }
    check_system(&body["system"])?;
    let tools = check_tools(&body["tools"])?;
    let markers =
        count_markers(&body["system"]) + count_markers(&body["tools"]) + count_markers(&body["messages"]);
    if markers > 4 {
        return Err(format!("A maximum of 4 blocks with cache_control may be provided. Found {markers}."));
    }
    check_messages(&body["messages"], &tools)
}

fn check_system(system: &Value) -> Result<(), String> {
    if system.is_null() || system.is_string() {
        return Ok(());
    }
    let Some(blocks) = system.as_array() else {
        return Err("system: Input should be a valid list or string".to_owned());
    };
    blocks.iter().enumerate().try_for_each(|(n, block)| {
        if block_type(block) == "text" {
            check_text(&block["text"], &format!("system.{n}"))
        } else {
            Err(format!("system.{n}.type: Input should be 'text'"))
        }
    })
}

fn check_tools(tools: &Value) -> Result<BTreeSet<&str>, String> {
    let mut names = BTreeSet::new();
    for (n, tool) in tools.as_array().into_iter().flatten().enumerate() {
        let name = tool["name"].as_str().unwrap_or_default();
        if !is_identifier(name) {
            return Err(format!(
                "tools.{n}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            ));
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(format!("tools.{n}.custom.input_schema.type: Field required"));
        }
        if !names.insert(name) {
            return Err("tools: Tool names must be unique.".to_owned());
        }
    }
    Ok(names)
}

fn check_messages(messages: &Value, tools: &BTreeSet<&str>) -> Result<(), String> {
    let Some(messages) = messages.as_array() else {
        return Err("messages: Field required".to_owned());
    };
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    let mut before: Option<&str> = None;
    let mut open: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    for (n, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant") {
            return Err(format!("messages.{n}.role: Input should be 'user' or 'assistant'"));
        }
        match before {
            None if role != "user" => {
                return Err("messages: first message must use the \"user\" role".to_owned());
            }
            Some(before) if before == role => {
                return Err(format!(
                    "messages: roles must alternate between \"user\" and \"assistant\", but found multiple \"{role}\" roles in a row"
                ));
            }
            _ => {}
        }
        before = Some(role);
        let content = &message["content"];
        let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
        if blocks.is_empty() && content.as_str().is_none_or(|text| text.trim().is_empty()) {
            return Err(format!("messages.{n}: all messages must have non-empty content"));
        }
        if role == "user" {
            check_user(n, blocks, &std::mem::take(&mut open))?;
        } else {
            open = check_assistant(n, blocks, tools, &mut seen)?;
        }
    }
    if before == Some("assistant")
        && !ends_on_server_tool(
            messages.last().and_then(|last| last["content"].as_array()).map_or(&[], Vec::as_slice),
        )
    {
        if !open.is_empty() {
            return Err(unanswered(messages.len() - 1, &open));
        }
        return Err(
            "This model does not support assistant message prefill. The conversation must end with a user message.".to_owned()
        );
    }
    Ok(())
}

fn check_user(n: usize, blocks: &[Value], open: &[&str]) -> Result<(), String> {
    let mut answered = BTreeSet::new();
    let mut others = false;
    for (m, block) in blocks.iter().enumerate() {
        let place = format!("messages.{n}.content.{m}");
        match block_type(block) {
            "" => return Err(format!("{place}.type: Field required")),
            "text" => check_text(&block["text"], &place)?,
            "tool_result" => {
                let id = block["tool_use_id"].as_str().unwrap_or_default();
                if !open.contains(&id) {
                    return Err(format!(
                        "{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                    ));
                }
                if !answered.insert(id) {
                    return Err(format!(
                        "{place}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
                    ));
                }
                if others {
                    return Err(format!("{place}: `tool_result` blocks must come before any other content."));
                }
                check_result(block, &place)?;
            }
            "tool_use" | "thinking" | "redacted_thinking" => {
                return Err(format!(
                    "{place}: `{}` blocks can only be in `assistant` messages",
                    block_type(block)
                ));
            }
            _ => {}
        }
        others |= block_type(block) != "tool_result";
    }
    let missing: Vec<&str> = open.iter().copied().filter(|id| !answered.contains(id)).collect();
    if missing.is_empty() { Ok(()) } else { Err(unanswered(n - 1, &missing)) }
}

fn check_assistant<'a>(
    n: usize,
    blocks: &'a [Value],
    tools: &BTreeSet<&str>,
    seen: &mut BTreeSet<&'a str>,
) -> Result<Vec<&'a str>, String> {
    let mut open = Vec::new();
    for (m, block) in blocks.iter().enumerate() {
        let place = format!("messages.{n}.content.{m}");
        match block_type(block) {
            "" => return Err(format!("{place}.type: Field required")),
            "text" => {
                check_text(&block["text"], &place)?;
                if !open.is_empty() {
                    return Err(format!("{place}: `text` blocks may not follow `tool_use` blocks"));
                }
            }
            "tool_use" => {
                let id = block["id"].as_str().unwrap_or_default();
                if !is_identifier(id) {
                    return Err(format!(
                        "{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                    ));
                }
                if !seen.insert(id) {
                    return Err("messages: `tool_use` ids must be unique".to_owned());
                }
                if !block["input"].is_object() {
                    return Err(format!("{place}.tool_use.input: Input should be a valid dictionary"));
                }
                if !block["name"].as_str().is_some_and(is_identifier) {
                    return Err(format!(
                        "{place}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
                    ));
                }
                if tools.is_empty() {
                    return Err(
                        "Requests which include `tool_use` or `tool_result` blocks must define tools"
                            .to_owned(),
                    );
                }
                open.push(id);
            }
            "tool_result" => {
                return Err(format!("{place}: `tool_result` blocks can only be in `user` messages"));
            }
            "thinking" if block["signature"].as_str().is_none_or(str::is_empty) => {
                return Err(format!("{place}.thinking.signature: Field required"));
            }
            "redacted_thinking" if block["data"].as_str().is_none_or(str::is_empty) => {
                return Err(format!("{place}.redacted_thinking.data: Field required"));
            }
            _ => {}
        }
        if is_thinking(block) && block.get("cache_control").is_some() {
            return Err(format!("{place}.thinking.cache_control: Extra inputs are not permitted"));
        }
    }
    if blocks.last().is_some_and(is_thinking) {
        return Err(format!("messages.{n}: The final block in an assistant message cannot be `thinking`."));
    }
    Ok(open)
}

fn check_result(block: &Value, place: &str) -> Result<(), String> {
    let content = &block["content"];
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    if !(content.is_null() || content.is_string() || content.is_array()) {
        return Err(format!("{place}.tool_result.content: Input should be a valid list or string"));
    }
    for (n, inner) in blocks.iter().enumerate().filter(|(_, inner)| block_type(inner) == "text") {
        check_text(&inner["text"], &format!("{place}.tool_result.content.{n}"))?;
    }
    let empty = blocks.is_empty() && content.as_str().is_none_or(str::is_empty);
    if empty && block["is_error"] == true {
        return Err(format!("{place}.tool_result: content cannot be empty if `is_error` is true"));
    }
    Ok(())
}

fn check_text(text: &Value, place: &str) -> Result<(), String> {
    match text.as_str() {
        None => Err(format!("{place}.text.text: Field required")),
        Some("") => Err(format!("{place}: text content blocks must be non-empty")),
        Some(text) if text.trim().is_empty() => {
            Err(format!("{place}: text content blocks must contain non-whitespace text"))
        }
        Some(_) => Ok(()),
    }
}

fn unanswered(n: usize, ids: &[&str]) -> String {
    format!(
        "messages.{n}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        ids.join(", ")
    )
}

fn is_identifier(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Markers count where blocks stand: in lists of blocks and in the content of results, not in a tool's arguments.
fn count_markers(value: &Value) -> usize {
    value.as_array().map_or(0, |list| {
        list.iter()
            .map(|item| usize::from(item.get("cache_control").is_some()) + count_markers(&item["content"]))
            .sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_good_conversation() {
        messages(
            &json!([user("a"), uses(&["t1", "t2"]), results(&["t2", "t1"]), assistant("b"), user("c")]),
            "",
        );
        messages(&json!([{"role": "user", "content": "a"}]), "");
        messages(
            &json!([user("a"), {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "w", "input": {}}]}]),
            "",
        );
    }

    #[test]
    fn roles() {
        messages(&json!([]), "at least one");
        messages(&json!([assistant("a")]), "first message must use");
        messages(&json!([user("a"), user("b")]), "multiple \"user\" roles");
        messages(
            &json!([user("a"), assistant("b"), assistant("c"), user("d")]),
            "multiple \"assistant\" roles",
        );
        messages(&json!([user("a"), assistant("b")]), "prefill");
        messages(&json!([{"role": "system", "content": "a"}]), "messages.0.role");
    }

    #[test]
    fn tool_uses_and_results() {
        messages(
            &json!([user("a"), uses(&["t1", "t2"]), results(&["t1"])]),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t2. Each",
        );
        messages(&json!([user("a"), uses(&["t1"])]), "messages.1: `tool_use` ids were found without");
        messages(&json!([user("a"), uses(&["t1"]), user("b")]), "immediately after: t1");
        messages(
            &json!([user("a"), uses(&["t1"]), results(&["t1", "t1"])]),
            "multiple `tool_result` blocks with id: t1",
        );
        messages(
            &json!([user("a"), uses(&["t1"]), results(&["t2"])]),
            "unexpected `tool_use_id` found in `tool_result` blocks: t2",
        );
        messages(&json!([results(&["t1"])]), "unexpected `tool_use_id`");
        messages(
            &json!([user("a"), uses(&["t1"]), results(&["t1"]), uses(&["t1"]), results(&["t1"])]),
            "ids must be unique",
        );
        let mut late = results(&["t1"]);
        late["content"].as_array_mut().unwrap().insert(0, json!({"type": "text", "text": "x"}));
        messages(&json!([user("a"), uses(&["t1"]), late]), "must come before any other");
        let mut talks = uses(&["t1"]);
        talks["content"].as_array_mut().unwrap().push(json!({"type": "text", "text": "x"}));
        messages(&json!([user("a"), talks, results(&["t1"])]), "may not follow `tool_use`");
        let mut bad = uses(&["t1"]);
        bad["content"][0]["input"] = json!("x");
        messages(&json!([user("a"), bad, results(&["t1"])]), "valid dictionary");
        let mut failed = results(&["t1"]);
        failed["content"][0]["is_error"] = json!(true);
        failed["content"][0]["content"] = json!("");
        messages(&json!([user("a"), uses(&["t1"]), failed]), "cannot be empty if `is_error`");
    }

    #[test]
    fn empty_things() {
        messages(&json!([user("")]), "messages.0.content.0: text content blocks must be non-empty");
        messages(&json!([user(" \n")]), "non-whitespace");
        messages(
            &json!([{"role": "user", "content": []}]),
            "messages.0: all messages must have non-empty content",
        );
        messages(&json!([{"role": "user", "content": ""}]), "non-empty content");
    }

    #[test]
    fn thinking() {
        let thought = |block: Value| json!([user("a"), {"role": "assistant", "content": [block, {"type": "text", "text": "b"}]}, user("c")]);
        messages(&thought(json!({"type": "thinking", "thinking": "", "signature": "s"})), "");
        messages(&thought(json!({"type": "thinking", "thinking": "x"})), "signature: Field required");
        messages(
            &thought(json!({"type": "thinking", "thinking": "x", "signature": "s", "cache_control": {}})),
            "cache_control",
        );
        messages(
            &json!([user("a"), {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": "s"}]}, user("c")]),
            "final block",
        );
    }

    #[test]
    fn fields() {
        let with = |name: &str, value: Value| {
            let mut body = body(&json!([user("a")]));
            body[name] = value;
            body
        };
        check_body(&with("model", json!("")), "model: Field required");
        check_body(&with("max_tokens", Value::Null), "max_tokens: Field required");
        check_body(&with("temperature", json!(1)), "temperature");
        check_body(&with("system", json!([{"type": "text", "text": ""}])), "system.0");
        check_body(&with("thinking", json!({"type": "enabled", "budget_tokens": 1024})), "thinking");
        let marked = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
        check_body(&with("system", json!([marked, marked, marked, marked, marked])), "Found 5");
        check_body(&with("tools", shared::tools::definitions()), "");
    }

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": [{"type": "text", "text": text}]})
    }

    fn assistant(text: &str) -> Value {
        json!({"role": "assistant", "content": [{"type": "text", "text": text}]})
    }

    fn uses(ids: &[&str]) -> Value {
        let blocks: Vec<_> =
            ids.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "t", "input": {}})).collect();
        json!({"role": "assistant", "content": blocks})
    }

    fn results(ids: &[&str]) -> Value {
        let blocks: Vec<_> =
            ids.iter().map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "r"})).collect();
        json!({"role": "user", "content": blocks})
    }

    fn body(messages: &Value) -> Value {
        let tools = json!([{"name": "t", "input_schema": {"type": "object"}}]);
        json!({"model": "m", "max_tokens": 1, "tools": tools, "messages": messages})
    }

    #[track_caller]
    fn messages(list: &Value, expected: &str) {
        check_body(&body(list), expected);
    }

    #[track_caller]
    fn check_body(body: &Value, expected: &str) {
        match check(body) {
            Ok(()) => assert_eq!(expected, "", "accepted"),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{error}"),
        }
    }
}
