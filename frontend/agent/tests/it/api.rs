//! The message rules of the API, stated from its public documents and not from the product: what the product
//! sends is judged by them here, in the fake model and in the native shell of the end-to-end tests.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// What a user's message may hold.
const OF_USER: [&str; 6] = ["text", "image", "document", "search_result", "container_upload", "tool_result"];

/// Checks the body of `POST /v1/messages`.
///
/// # Errors
/// The rule that is broken, in the API's words where they are known.
pub(crate) fn check(body: &Value) -> Result<(), String> {
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err("model: Field required".to_owned());
    }
    if body["max_tokens"].as_u64().is_none_or(|most| most == 0) {
        return Err("max_tokens: must be greater than or equal to 1".to_owned());
    }
    for gone in ["temperature", "top_p", "top_k"] {
        if body.get(gone).is_some() {
            return Err(format!("{gone}: is not supported by this version"));
        }
    }
    if !matches!(body["thinking"]["type"].as_str(), None | Some("adaptive" | "disabled")) {
        return Err("thinking: only `adaptive` and `disabled` are supported by this model".to_owned());
    }
    if !matches!(body["tool_choice"]["type"].as_str(), None | Some("auto" | "none")) {
        return Err("tool_choice: Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    let tools = tools(&body["tools"])?;
    system(&body["system"])?;
    markers(body)?;
    let turns = turns(&body["messages"])?;
    let mut ids = BTreeSet::new();
    let mut uses: Vec<String> = Vec::new();
    for (n, turn) in turns.iter().enumerate() {
        if turn.of_user {
            users(n, turn, &uses)?;
            uses.clear();
        } else {
            uses = assistants(n, turn, n + 1 == turns.len(), &mut ids)?;
        }
        let has_tools = turn.blocks.iter().any(|block| matches!(kind(block), "tool_use" | "tool_result"));
        if has_tools && !tools {
            return Err("tools: Requests which include `tool_use` or `tool_result` blocks must define tools"
                .to_owned());
        }
    }
    match turns.last() {
        Some(last) if !last.of_user && !last.blocks.last().is_some_and(of_server) => Err(
            "This model does not support assistant message prefill. The conversation must end with a user message."
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// What the product promises besides, and the API does not ask for: that two messages of one role never
/// follow each other.
///
/// # Errors
/// Where they do.
pub(crate) fn alternate(body: &Value) -> Result<(), String> {
    let roles: Vec<&Value> =
        body["messages"].as_array().into_iter().flatten().map(|message| &message["role"]).collect();
    match roles.windows(2).position(|pair| pair[0] == pair[1]) {
        Some(n) => Err(format!("messages.{}: another one of {}", n + 1, roles[n])),
        None => Ok(()),
    }
}

/// What one side says until the other one speaks.
struct Turn {
    of_user: bool,
    blocks: Vec<Value>,
}

/// Messages of one role that follow each other count as one, and a string as one block of text.
fn turns(messages: &Value) -> Result<Vec<Turn>, String> {
    let messages = messages.as_array().filter(|list| !list.is_empty());
    let messages = messages.ok_or("messages: at least one message is required")?;
    let mut turns: Vec<Turn> = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        let of_user = match message["role"].as_str() {
            Some("user") => true,
            Some("assistant") => false,
            _ => return Err(format!("messages.{n}.role: Input should be 'user' or 'assistant'")),
        };
        let blocks = match &message["content"] {
            Value::String(text) => vec![json!({"type": "text", "text": text})],
            Value::Array(blocks) if !blocks.is_empty() => blocks.clone(),
            Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                return Err(format!("messages.{n}: all messages must have non-empty content"));
            }
        };
        match turns.last_mut() {
            Some(turn) if turn.of_user == of_user => turn.blocks.extend(blocks),
            _ => turns.push(Turn { of_user, blocks }),
        }
    }
    if turns[0].of_user {
        Ok(turns)
    } else {
        Err("messages: first message must use the \"user\" role".to_owned())
    }
}

fn users(n: usize, turn: &Turn, uses: &[String]) -> Result<(), String> {
    let mut answered: Vec<&str> = Vec::new();
    let mut others = false;
    for (k, block) in turn.blocks.iter().enumerate() {
        let at = format!("messages.{n}.content.{k}");
        match kind(block) {
            "text" => text(&at, block)?,
            "tool_result" => {
                let id = block["tool_use_id"].as_str().unwrap_or_default();
                if !uses.iter().any(|one| one == id) {
                    return Err(format!(
                        "{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                    ));
                }
                if answered.contains(&id) {
                    return Err(format!(
                        "{at}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
                    ));
                }
                if others {
                    return Err(format!("{at}: `tool_result` blocks must come before all other content"));
                }
                result(&at, block)?;
                answered.push(id);
            }
            known if OF_USER.contains(&known) => {}
            other => {
                return Err(format!("{at}: Input tag '{other}' does not match any of the expected tags"));
            }
        }
        others |= kind(block) != "tool_result";
    }
    let open: Vec<&str> = uses.iter().map(String::as_str).filter(|id| !answered.contains(id)).collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(format!(
        "messages.{n}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        open.join(", ")
    ))
}

/// The ids of its tool uses.
fn assistants(n: usize, turn: &Turn, last: bool, ids: &mut BTreeSet<String>) -> Result<Vec<String>, String> {
    let mut uses: Vec<String> = Vec::new();
    for (k, block) in turn.blocks.iter().enumerate() {
        let at = format!("messages.{n}.content.{k}");
        let filled = |field: &str| block[field].as_str().is_some_and(|text| !text.is_empty());
        extra(&at, block)?;
        match kind(block) {
            "" => return Err(format!("{at}.type: Field required")),
            "text" => {
                text(&at, block)?;
                if !uses.is_empty() {
                    return Err(format!("{at}: `text` blocks may not follow `tool_use` blocks"));
                }
            }
            "tool_use" => {
                let (id, name) = (&block["id"], &block["name"]);
                if !is_word(id) || !is_word(name) {
                    return Err(format!(
                        "{at}.tool_use: id {id} and name {name} should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
                    ));
                }
                if !block["input"].is_object() {
                    return Err(format!("{at}.tool_use.input: Input should be a valid dictionary"));
                }
                let id = id.as_str().unwrap_or_default().to_owned();
                if !ids.insert(id.clone()) {
                    return Err(format!("{at}: `tool_use` ids must be unique: {id}"));
                }
                uses.push(id);
            }
            "thinking" if !block["thinking"].is_string() || !filled("signature") => {
                return Err(format!("{at}: Invalid `signature` in `thinking` block"));
            }
            "redacted_thinking" if !filled("data") => {
                return Err(format!("{at}: Invalid `data` in `redacted_thinking` block"));
            }
            "tool_result" | "image" | "document" => {
                return Err(format!("{at}: `{}` blocks can only be in `user` messages", kind(block)));
            }
            _ => {}
        }
    }
    match turn.blocks.last().map_or("", kind) {
        "thinking" | "redacted_thinking" => {
            Err(format!("messages.{n}: The final block in an assistant message cannot be `thinking`."))
        }
        _ if last && !uses.is_empty() => Err(format!(
            "messages.{n}: `tool_use` ids were found without `tool_result` blocks: {}",
            uses.join(", ")
        )),
        _ => Ok(uses),
    }
}

/// A block of a model's that is known has no field but its own.
fn extra(at: &str, block: &Value) -> Result<(), String> {
    let own: &[&str] = match kind(block) {
        "text" => &["type", "text", "citations", "cache_control"],
        "thinking" => &["type", "thinking", "signature"],
        "redacted_thinking" => &["type", "data"],
        "tool_use" => &["type", "id", "name", "input", "caller", "cache_control"],
        _ => return Ok(()),
    };
    let names = block.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(name) = names.into_iter().find(|name| !own.contains(&name.as_str())) {
        return Err(format!("{at}.{}.{name}: Extra inputs are not permitted", kind(block)));
    }
    match block.get("citations") {
        Some(list) if !list.is_array() => Err(format!("{at}.text.citations: Input should be a valid list")),
        _ => Ok(()),
    }
}

fn kind(block: &Value) -> &str {
    block["type"].as_str().unwrap_or_default()
}

/// Whether it is of a tool that the server carries out: only there may a request end on the assistant's
/// words, to go on after a pause.
fn of_server(block: &Value) -> bool {
    let kind = kind(block);
    kind == "server_tool_use" || kind.ends_with("_tool_result")
}

fn text(at: &str, block: &Value) -> Result<(), String> {
    match block["text"].as_str() {
        Some(text) if text.chars().any(|char| !char.is_whitespace() && char > ' ') => Ok(()),
        Some(_) => Err(format!("{at}: text content blocks must contain non-whitespace text")),
        None => Err(format!("{at}.text: Input should be a valid string")),
    }
}

fn result(at: &str, block: &Value) -> Result<(), String> {
    if block.get("is_error").is_some_and(|error| !error.is_boolean()) {
        return Err(format!("{at}.is_error: Input should be a valid boolean"));
    }
    let content = &block["content"];
    let empty = content.as_str().is_none_or(str::is_empty) && content.as_array().is_none_or(Vec::is_empty);
    if empty && block["is_error"] == true {
        return Err(format!("{at}: content cannot be empty if `is_error` is true"));
    }
    match content {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(inner) => {
            inner.iter().filter(|block| kind(block) == "text").try_for_each(|block| text(at, block))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(format!("{at}.content: Input should be a valid string or list"))
        }
    }
}

fn is_word(value: &Value) -> bool {
    let word = value.as_str().unwrap_or_default();
    (1..=128).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether there are any.
fn tools(tools: &Value) -> Result<bool, String> {
    let Some(list) = tools.as_array() else { return Ok(false) };
    let mut names = BTreeSet::new();
    for (n, tool) in list.iter().enumerate() {
        // Tools of the server's own have a type of theirs and no schema.
        let custom = tool["type"].as_str().is_none_or(|kind| kind == "custom");
        if !is_word(&tool["name"]) {
            return Err(format!("tools.{n}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"));
        }
        if custom && tool["input_schema"]["type"] != "object" {
            return Err(format!("tools.{n}.input_schema.type: Input should be 'object'"));
        }
        if !names.insert(tool["name"].to_string()) {
            return Err("tools: Tool names must be unique.".to_owned());
        }
    }
    Ok(!list.is_empty())
}

fn system(system: &Value) -> Result<(), String> {
    match system {
        Value::Null | Value::String(_) => Ok(()),
        Value::Array(blocks) => {
            if blocks.iter().any(|block| kind(block) != "text") {
                return Err("system: only text blocks".to_owned());
            }
            blocks.iter().try_for_each(|block| text("system", block))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err("system: Input should be a valid string or list".to_owned())
        }
    }
}

/// At most four, each of a known kind, and none on thinking.
fn markers(body: &Value) -> Result<(), String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut blocks = [list(&body["tools"]), list(&body["system"])].concat();
    for block in list(&body["messages"]).iter().flat_map(|message| list(&message["content"])) {
        blocks.extend(list(&block["content"]));
        blocks.push(block);
    }
    let marked: Vec<&Value> = blocks
        .iter()
        .filter(|block| block.get("cache_control").is_some_and(|mark| !mark.is_null()))
        .collect();
    if marked.len() > 4 {
        return Err(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {}.",
            marked.len()
        ));
    }
    match marked
        .iter()
        .find(|block| block["cache_control"]["type"] != "ephemeral" || kind(block).ends_with("thinking"))
    {
        Some(block) => Err(format!("cache_control cannot be set like this for `{}` blocks", kind(block))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_good_passes() {
        for good in [
            json!([user("a"), uses(&["t1", "t2"]), results(&["t2", "t1"]), answer("b"), user("c")]),
            json!([{"role": "user", "content": "a"}]),
            json!([user("a"), user("b")]),
            json!([
                user("a"),
                by_model(&json!({"type": "server_tool_use", "id": "s", "name": "w", "input": {}}))
            ]),
            json!([
                user("a"),
                thinks(&json!({"type": "thinking", "thinking": "", "signature": "s"})),
                user("c")
            ]),
        ] {
            assert_eq!(check(&body(&good)), Ok(()), "{good}");
        }
        let mut with = body(&json!([user("a")]));
        with["tools"] = shared::tools::definitions();
        assert_eq!(check(&with), Ok(()));
    }

    #[test]
    fn each_broken_rule_is_told() {
        let mut late = results(&["t1"]);
        late["content"].as_array_mut().unwrap().insert(0, json!({"type": "text", "text": "x"}));
        let mut talks = uses(&["t1"]);
        talks["content"].as_array_mut().unwrap().push(json!({"type": "text", "text": "x"}));
        let mut bad = uses(&["t1"]);
        bad["content"][0]["input"] = json!("x");
        let mut failed = results(&["t1"]);
        failed["content"][0]["is_error"] = json!(true);
        failed["content"][0]["content"] = json!("");
        let marked = json!({"type": "thinking", "thinking": "x", "signature": "s", "cache_control": {"type": "ephemeral"}});
        for (messages, rule) in [
            (json!([]), "at least one"),
            (json!([answer("a")]), "first message must use"),
            (json!([user("a"), answer("b")]), "prefill"),
            (json!([{"role": "system", "content": "a"}]), "messages.0.role"),
            (json!([{"role": "user", "content": []}]), "non-empty content"),
            (json!([{"role": "user", "content": ""}]), "non-whitespace"),
            (json!([user("")]), "non-whitespace"),
            (json!([user(" \n")]), "non-whitespace"),
            (json!([user("a"), uses(&["t1", "t2"]), results(&["t1"])]), "immediately after: t2"),
            (json!([user("a"), uses(&["t1"])]), "without `tool_result` blocks: t1"),
            (json!([user("a"), uses(&["t1"]), user("b")]), "immediately after: t1"),
            (json!([user("a"), uses(&["t1"]), results(&["t1", "t1"])]), "multiple `tool_result` blocks"),
            (json!([user("a"), uses(&["t1"]), results(&["t2"])]), "unexpected `tool_use_id`"),
            (json!([results(&["t1"])]), "unexpected `tool_use_id`"),
            (
                json!([user("a"), uses(&["t1"]), results(&["t1"]), uses(&["t1"]), results(&["t1"])]),
                "be unique",
            ),
            (json!([user("a"), uses(&["t1"]), late]), "before all other content"),
            (json!([user("a"), talks, results(&["t1"])]), "may not follow `tool_use`"),
            (json!([user("a"), bad, results(&["t1"])]), "valid dictionary"),
            (json!([user("a"), uses(&["t1"]), failed]), "cannot be empty if `is_error`"),
            (
                json!([user("a"), thinks(&json!({"type": "thinking", "thinking": "x"})), user("c")]),
                "`signature`",
            ),
            (json!([user("a"), thinks(&marked), user("c")]), "cache_control"),
            (
                json!([user("a"), by_model(&json!({"type": "redacted_thinking", "data": "x"})), user("c")]),
                "final block",
            ),
        ] {
            let told = check(&body(&messages)).expect_err(rule);
            assert!(told.contains(rule), "{rule}: {told}");
        }
        let marked = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}});
        for (name, value, rule) in [
            ("model", json!(""), "model: Field required"),
            ("max_tokens", Value::Null, "max_tokens"),
            ("temperature", json!(1), "temperature"),
            ("system", json!([{"type": "text", "text": ""}]), "system"),
            ("thinking", json!({"type": "enabled", "budget_tokens": 1024}), "thinking"),
            ("tool_choice", json!({"type": "any"}), "tool_choice"),
            ("tools", Value::Null, "must define tools"),
            ("system", json!([marked, marked, marked, marked, marked]), "Found 5"),
        ] {
            let mut body = body(&json!([user("a"), uses(&["t1"]), results(&["t1"])]));
            body[name] = value;
            let told = check(&body).expect_err(rule);
            assert!(told.contains(rule), "{rule}: {told}");
        }
        assert!(alternate(&body(&json!([user("a"), user("b")]))).is_err());
        assert_eq!(alternate(&body(&json!([user("a"), answer("b"), user("c")]))), Ok(()));
    }

    fn body(messages: &Value) -> Value {
        let tools = json!([{"name": "t", "input_schema": {"type": "object"}}]);
        json!({"model": "m", "max_tokens": 1, "tools": tools, "messages": messages})
    }

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": [{"type": "text", "text": text}]})
    }

    fn by_model(block: &Value) -> Value {
        json!({"role": "assistant", "content": [block]})
    }

    fn answer(text: &str) -> Value {
        by_model(&json!({"type": "text", "text": text}))
    }

    fn thinks(block: &Value) -> Value {
        json!({"role": "assistant", "content": [block, {"type": "text", "text": "b"}]})
    }

    fn uses(ids: &[&str]) -> Value {
        let one = |id: &&str| json!({"type": "tool_use", "id": id, "name": "t", "input": {}});
        json!({"role": "assistant", "content": ids.iter().map(one).collect::<Vec<_>>()})
    }

    fn results(ids: &[&str]) -> Value {
        let one = |id: &&str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
        json!({"role": "user", "content": ids.iter().map(one).collect::<Vec<_>>()})
    }
}
