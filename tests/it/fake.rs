//! The fake model itself: that it speaks the wire, and that it refuses what the API would refuse.

use agent::model::{Api, ModelEvent, Stream};
use e2e::fake_anthropic::{FakeAnthropic, KEY, answer, refuse, text_answer};
use e2e::gate::Gate;
use e2e::stage::play;
use e2e::wait;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

fn body(messages: &Value) -> Value {
    json!({"model": "claude-opus-5-5", "max_tokens": 1000, "stream": true, "messages": messages,
           "tools": [{"name": "bash", "description": "Runs.", "input_schema": {"type": "object"}}]})
}

fn hello() -> Value {
    body(&json!([{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]))
}

fn post(model: &FakeAnthropic, body: &Value) -> reqwest::RequestBuilder {
    reqwest::Client::new()
        .post(format!("{}/v1/messages", model.url()))
        .header("x-api-key", KEY)
        .header("anthropic-version", "2026-10-21")
        .header("content-type", "application/json")
        .body(body.to_string())
}

async fn stream(model: &FakeAnthropic, body: &Value) -> (Vec<ModelEvent>, Stream) {
    let answer = post(model, body).send().await.expect("the fake answers");
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("it is text").to_owned()))
        .collect();
    let mut stream = Api::Messages.stream();
    stream.head(answer.status().as_u16(), &headers);
    let mut events = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => events.extend(stream.data(&piece)),
            Err(error) => {
                stream.lost(error.to_string());
                return (events, stream);
            }
        }
    }
    events.extend(stream.end());
    (events, stream)
}

#[test]
fn an_answer_is_what_was_scripted() {
    play(async {
        let input = json!({"command": "echo \"ä\" && sleep 1"});
        let script =
            answer().thinking("Let me see.", "c2ln").text("I run ").text("it.").tool("bash", input.clone());
        let model = FakeAnthropic::steps([script]).await;
        let (_, stream) = stream(&model, &hello()).await;
        let outcome = stream.result().expect("it is whole");
        let expected = json!([
            {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
            {"type": "text", "text": "I run it."},
            {"type": "tool_use", "id": "toolu_0001_02", "name": "bash", "input": input},
        ]);
        assert_eq!(Value::from(outcome.content), expected);
        assert_eq!(model.requests()[0].first_text(), "Hello");
    });
}

#[test]
fn a_broken_rule_is_a_400_as_the_api_puts_it_and_is_remembered() {
    play(async {
        let model = FakeAnthropic::steps([]).await;
        let unanswered = json!([
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}]},
            {"role": "user", "content": "And?"},
        ]);
        let answer = post(&model, &body(&unanswered)).send().await.expect("the fake answers");
        assert_eq!(answer.status(), 400);
        let text = answer.text().await.expect("the answer is whole");
        assert!(text.contains("invalid_request_error") && text.contains("toolu_1"), "{text}");
        assert_eq!(model.take_broken().len(), 1);
    });
}

#[test]
fn a_conversation_may_grow_and_not_change() {
    play(async {
        let model = FakeAnthropic::steps([text_answer("One."), text_answer("Two.")]).await;
        let first = json!({"role": "user", "content": [{"type": "text", "text": "Hello"}]});
        let reply = json!({"role": "assistant", "content": [{"type": "text", "text": "One."}]});
        let more = json!({"role": "user", "content": [{"type": "text", "text": "More"}]});
        let send = async |messages: Value| {
            let answer = post(&model, &body(&messages)).send().await.expect("the fake answers");
            (answer.status().as_u16(), answer.text().await.expect("the answer is whole"))
        };
        assert_eq!(send(json!([first])).await.0, 200);
        assert_eq!(send(json!([first, reply, more])).await.0, 200);
        let other = json!({"role": "assistant", "content": [{"type": "text", "text": "Uno."}]});
        let (status, text) = send(json!([first, other, more, reply, more])).await;
        assert_eq!(status, 400);
        assert!(text.contains("bound to a different conversation") && text.contains("message 1"), "{text}");
        assert_eq!(model.take_broken().len(), 1);
    });
}

#[test]
fn an_end_that_is_told_twice_is_refused() {
    play(async {
        let word = e2e::delivered::word();
        let command = json!({"type": "tool_use", "id": "t", "name": "bash", "input": {"command": format!("echo {word}")}});
        let result = |text: &str| json!({"type": "tool_result", "tool_use_id": "t", "content": text});
        let block = |entry: &str| json!({"type": "text", "text": format!("<background-results>\nNote.\n{entry}\n</background-results>")});
        let entry = format!("[bg:aaaa0001] completed (exit 0, 1.0s):\n(command: echo {word})\n| {word}");
        for (told, doubled) in [
            (vec![result("Background task aaaa0001 started."), block(&entry)], false),
            (vec![result(&word)], false),
            (vec![result(&word), block(&entry)], true),
            (
                vec![result("Started."), block(&format!("{entry}\n[bg:aaaa0001] completed (exit 0, 1.0s):"))],
                true,
            ),
        ] {
            let model = FakeAnthropic::steps([text_answer("Started."), text_answer("So be it.")]).await;
            let user = json!({"role": "user", "content": "Hello"});
            let conversation =
                json!([user, {"role": "assistant", "content": [command]}, {"role": "user", "content": told}]);
            post(&model, &body(&json!([user]))).send().await.expect("the fake answers");
            let answer = post(&model, &body(&conversation)).send().await.expect("the fake answers");
            assert_eq!(answer.status() == 400, doubled, "{told:?}");
            assert_eq!(model.take_broken().len(), usize::from(doubled));
            if doubled {
                model.then_nothing();
            }
        }
    });
}

#[test]
fn a_request_that_carries_what_is_the_runners_is_refused() {
    play(async {
        let model = FakeAnthropic::steps([]).await;
        for (name, value) in
            [("authorization", "Bearer a"), ("cookie", "a"), ("x-meanwhile-token", "a"), ("accept", "mw_a")]
        {
            let answer = post(&model, &hello()).header(name, value).send().await.expect("the fake answers");
            assert_eq!(answer.status(), 401, "{name}");
            assert!(model.take_broken().join("").contains(name));
        }
    });
}

#[test]
fn keys_and_origins_are_asked_for_as_by_the_api() {
    play(async {
        let model = FakeAnthropic::steps([text_answer("Hi.")]).await;
        let plain =
            || reqwest::Client::new().post(format!("{}/v1/messages", model.url())).body(hello().to_string());
        assert_eq!(plain().send().await.expect("it answers").status(), 401);
        let from_page = post(&model, &hello()).header("origin", "http://127.0.0.1:1");
        let refused = from_page.send().await.expect("it answers");
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers().get("access-control-allow-origin"), None);
        let allowed = post(&model, &hello())
            .header("origin", "http://127.0.0.1:1")
            .header("anthropic-dangerous-direct-browser-access", "true");
        let allowed = allowed.send().await.expect("it answers");
        assert_eq!(allowed.status(), 200);
        assert_eq!(allowed.headers()["access-control-allow-origin"], "*");
        assert_eq!(model.take_broken().len(), 2);
    });
}

#[test]
fn it_refuses_cuts_and_waits_as_scripted() {
    play(async {
        let gate = Gate::new();
        let model = FakeAnthropic::steps([
            refuse(429).retry_after(7),
            answer().text("Half an ans").cut(),
            answer().text("Held").hold(&gate).text(" back."),
            answer().text("Oh").fail("overloaded_error", "Overloaded"),
        ])
        .await;
        let refused = post(&model, &hello()).send().await.expect("the fake answers");
        assert_eq!(
            (refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()),
            (429, &b"7"[..])
        );
        let (_, cut) = stream(&model, &hello()).await;
        assert!(cut.result().is_err());
        let body = hello();
        let (held, ()) = tokio::join!(stream(&model, &body), async {
            gate.reached().await;
            gate.open();
        });
        let held = held.1.result().expect("it is whole");
        assert_eq!(held.content, [json!({"type": "text", "text": "Held back."})]);
        let (_, failed) = stream(&model, &hello()).await;
        assert!(failed.result().is_err());
        assert_eq!(wait::soon("four requests", model.wait_for(4)).await.len(), 4);
    });
}
