//! The rules of chat completions, stated from its public documents and not from the product: what the product
//! sends is judged by them here, and by the fake server of the end-to-end tests.

use serde_json::Value;

/// What every server of chat completions wants of a request.
pub(crate) fn check(body: &Value) -> Result<(), String> {
    let messages = body["messages"].as_array().ok_or("no messages")?;
    if body["model"].as_str().is_none_or(str::is_empty) {
        return Err("no model".to_owned());
    }
    let mut owed: Vec<&str> = Vec::new();
    let mut before = "";
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        match role {
            "system" if before.is_empty() => {}
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let place =
                    owed.iter().position(|owed| *owed == id).ok_or(format!("nobody asked for {id}"))?;
                owed.remove(place);
                if message["content"].as_str().is_none_or(str::is_empty) {
                    return Err("an empty result".to_owned());
                }
            }
            "user" | "assistant" if !owed.is_empty() => return Err(format!("no result for {owed:?}")),
            "user" if before == "user" => return Err("two user messages".to_owned()),
            "user" if message["content"].as_str().is_none_or(str::is_empty) => {
                return Err("an empty message".to_owned());
            }
            "user" => {}
            "assistant" if before == "assistant" => return Err("two answers".to_owned()),
            "assistant" => {
                let calls = message["tool_calls"].as_array();
                if message.get("tool_calls").is_some() && calls.is_none_or(Vec::is_empty) {
                    return Err("tool_calls that are no list of calls".to_owned());
                }
                if calls.is_none() && message["content"].as_str().is_none_or(str::is_empty) {
                    return Err("an empty answer".to_owned());
                }
                for call in calls.into_iter().flatten() {
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    if !serde_json::from_str::<Value>(arguments).is_ok_and(|input| input.is_object()) {
                        return Err(format!("arguments that are no object: {arguments}"));
                    }
                    owed.push(call["id"].as_str().ok_or("a call without an id")?);
                }
            }
            other => return Err(format!("a message of {other:?}")),
        }
        before = role;
    }
    if owed.is_empty() { Ok(()) } else { Err(format!("no result for {owed:?}")) }
}
