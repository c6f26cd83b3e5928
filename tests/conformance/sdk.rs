//! The official SDK as a client: of our fake model, so that the fake is not merely true to itself, and of the
//! runner's relay.
//!
//! Each scenario of `client.mjs` runs twice: directly, and through the relay of a real runner whose upstream
//! is the fake. What the SDK's user got and what reached the fake must both be right, and the same on both
//! ways.

use std::ffi::OsString;
use std::time::Duration;

use e2e::fake_anthropic::{Answer, FakeAnthropic, KEY, Request, answer, refuse, text_answer};
use e2e::runner::{Options, Runner};
use e2e::stage::play;
use serde_json::{Value, json};

use crate::{Case, node};

pub(crate) const CASES: &[Case] = &[
    Case { name: "a loop over tools, directly", run: || tool_loop(Way::Direct, "loop") },
    Case { name: "a loop over tools, through the relay", run: || tool_loop(Way::Relay, "loop") },
    Case { name: "the SDK's own loop over tools, directly", run: || tool_loop(Way::Direct, "runner") },
    Case {
        name: "the SDK's own loop over tools, through the relay",
        run: || tool_loop(Way::Relay, "runner"),
    },
    Case { name: "429, then success, directly", run: || retried(Way::Direct) },
    Case { name: "429, then success, through the relay", run: || retried(Way::Relay) },
    Case { name: "a broken rule, directly", run: || broken(Way::Direct) },
    Case { name: "a broken rule, through the relay", run: || broken(Way::Relay) },
    Case { name: "models, token counts, unstreamed answers, directly", run: || rest(Way::Direct) },
    Case { name: "models, token counts, unstreamed answers, through the relay", run: || rest(Way::Relay) },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Relay,
}

/// Plays a scenario, and looks at what the SDK's user got, what the fake was asked, and the fake itself.
fn scene<T>(
    way: Way,
    scenario: &str,
    steps: Vec<Answer>,
    look: impl FnOnce(&Value, &[Request], &FakeAnthropic) -> T,
) -> T {
    play(async {
        let model = FakeAnthropic::steps(steps).await;
        let runner = match way {
            Way::Direct => None,
            Way::Relay => Some(Runner::with(Options::default().relay(&model)).await),
        };
        let (url, token) = match &runner {
            None => (model.url(), KEY.to_owned()),
            Some(runner) => (format!("{}/relay/anthropic", runner.origin()), runner.pair().await.credential),
        };
        let environment =
            [("CONFORMANCE_URL", OsString::from(url)), ("CONFORMANCE_TOKEN", OsString::from(&token))];
        let got = node::script("client.mjs", scenario, &environment).await;
        let requests = model.requests();
        for request in requests.iter().filter(|_| way == Way::Relay) {
            let leaked = request
                .headers
                .values()
                .any(|value| value.to_str().is_ok_and(|value| value.contains(&token)));
            assert!(!leaked, "the credential reached the upstream: {:?}", request.headers);
        }
        look(&got, &requests, &model)
    })
}

fn tool_loop(way: Way, scenario: &str) -> String {
    let steps = vec![
        answer()
            .thinking("Shout first.", "c2ln")
            .text("I shout ä, 日本 and 😀.")
            .tool("upper", json!({"text": "grün \"und\" \\ 😀"}))
            .tool("upper", json!({"text": "zwei"})),
        answer().tool("join", json!({"one": "GRÜN", "two": "\n"})),
        text_answer("Joined."),
    ];
    scene(way, scenario, steps, |got, requests, _| {
        let expected = json!([
            [{"type": "thinking", "thinking": "Shout first.", "signature": "c2ln"},
             {"type": "text", "text": "I shout ä, 日本 and 😀."},
             {"type": "tool_use", "id": "toolu_0001_02", "name": "upper", "input": {"text": "grün \"und\" \\ 😀"}},
             {"type": "tool_use", "id": "toolu_0001_03", "name": "upper", "input": {"text": "zwei"}}],
            [{"type": "tool_use", "id": "toolu_0002_00", "name": "join", "input": {"one": "GRÜN", "two": "\n"}}],
            [{"type": "text", "text": "Joined."}],
        ]);
        let answers = got["answers"].as_array().unwrap_or_else(|| panic!("the SDK failed: {got}"));
        let contents: Value = answers.iter().map(|answer| answer["content"].clone()).collect();
        assert_eq!(contents, expected);
        let stops: Vec<&Value> = answers.iter().map(|answer| &answer["stop"]).collect();
        assert_eq!(stops, ["tool_use", "tool_use", "end_turn"]);
        assert!(answers.iter().all(|answer| answer["usage"]["input_tokens"].as_u64() > Some(0)), "{got}");
        let deltas = got["deltas"].as_array().map_or(0, Vec::len);
        assert!(deltas > 3, "the text came in {deltas} pieces");
        let results: Vec<Vec<String>> = requests
            .iter()
            .map(|request| request.results().into_iter().map(|(_, text, _)| text).collect())
            .collect();
        assert_eq!(
            results,
            [vec![], vec!["GRÜN \"UND\" \\ 😀".to_owned(), "ZWEI".to_owned()], vec!["GRÜN\n".to_owned()]]
        );
        assert!(requests.iter().all(|request| request.body["stream"] == true), "all were streamed");
        format!("{} streamed answers, 3 tool uses, every block as scripted", answers.len())
    })
}

fn retried(way: Way) -> String {
    let steps = vec![refuse(429).retry_after(2), text_answer("Here I am.")];
    scene(way, "ask", steps, |got, requests, _| {
        assert_eq!(got["content"], json!([{"type": "text", "text": "Here I am."}]), "{got}");
        assert_eq!(got["request_id"], format!("req_{:024}", 2), "the answer's request id");
        let waited = requests[1].at.duration_since(requests[0].at);
        // By itself the SDK tries again after half a second.
        assert!(waited >= Duration::from_millis(1900), "`retry-after` was not heard: {waited:?}");
        let count = requests[1].headers.get("x-stainless-retry-count");
        format!(
            "asked again after {:.1} s as told, {} retry",
            waited.as_secs_f64(),
            count.map_or("one", |_| "counted as one")
        )
    })
}

fn broken(way: Way) -> String {
    scene(way, "broken", vec![], |got, requests, model| {
        let error = &got["error"];
        assert_eq!(error["class"], "BadRequestError", "{got}");
        assert_eq!(error["status"], 400);
        let told = model.take_broken();
        assert_eq!(told.len(), 1, "{told:?}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains("tool_use") && message.contains("toolu_1"), "the API's words: {message}");
        assert!(requests.is_empty(), "nothing was answered");
        "a BadRequestError in the API's words, not tried again".to_owned()
    })
}

fn rest(way: Way) -> String {
    scene(
        way,
        "rest",
        vec![answer().text("Whole.").tool("upper", json!({"text": "a"}))],
        |got, requests, _| {
            assert_eq!(got["models"], json!(["claude-opus-5-5", "claude-haiku-5-5"]), "{got}");
            assert!(got["tokens"].as_u64() > Some(0), "{got}");
            assert_eq!(got["content"][0]["text"], "Whole.");
            assert_eq!(got["content"][1]["input"], json!({"text": "a"}));
            assert_ne!(requests[0].body["stream"], true);
            format!("{} models, a count, one answer as a whole", got["models"].as_array().map_or(0, Vec::len))
        },
    )
}
