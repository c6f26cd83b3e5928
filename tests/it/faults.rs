//! Models that refuse, break off, or say strange things.

use agent::event::Command;
use agent::settings::{Provider, Settings};
use e2e::fake_anthropic::{FakeAnthropic, answer, refuse, text_answer};
use e2e::gate::Gate;
use e2e::native_shell::{Session, auto};
use e2e::runner::Runner;
use e2e::stage::play;
use e2e::wait;
use serde_json::json;

use crate::scene::Scene;

#[test]
fn an_answer_that_breaks_off_is_made_again_or_kept_and_never_doubled() {
    play(async {
        let scene = Scene::by(|request| match request.n {
            1 => answer().text("The answer is forty").cut(),
            _ => text_answer("The answer is forty-two."),
        })
        .await;
        scene.session.send_message("What is the answer?");
        scene.session.shows("The answer is forty-two.").await;
        let view = scene.session.view();
        let shown = view.texts().concat();
        assert_eq!(shown.matches("The answer is forty-two.").count(), 1, "{shown}");
        // What had come is either kept, and the model was told so, or gone.
        let kept = scene.model.requests()[1].messages().len() > 1;
        assert_eq!(shown.matches("The answer is forty").count(), 1 + usize::from(kept), "{shown}");
    });
}

#[test]
fn a_tool_use_that_breaks_off_is_not_run() {
    play(async {
        let scene = Scene::by(|request| match request.n {
            1 => answer().text("I run it.").half_tool("bash", "{\"command\": \"touch ran.txt").cut(),
            _ => text_answer("I thought better of it."),
        })
        .await;
        scene.session.send_message("Run it");
        scene.session.shows("I thought better of it.").await;
        assert!(!scene.runner.workspace().join("ran.txt").exists());
    });
}

#[test]
fn at_the_limit_of_tokens_the_whole_tool_use_runs_once_and_the_half_one_never() {
    play(async {
        let scene = Scene::by(|request| match request.n {
            1 => answer()
                .text("I run both.")
                .tool("bash", json!({"command": "echo ran >> whole.txt; echo once"}))
                .half_tool("bash", "{\"command\": \"touch half.txt")
                .stop("max_tokens"),
            2 => text_answer("The first is done."),
            _ => text_answer("I went on."),
        })
        .await;
        scene.session.send_message("Run both");
        scene.session.shows("The first is done.").await;
        scene.session.idle().await;
        scene.session.send_message("go on");
        scene.session.shows("I went on.").await;
        let requests = scene.model.requests();
        // The fake model checks each request against the message rules; here is what they hold.
        let [_, second, third] = requests.as_slice() else { panic!("{} requests", requests.len()) };
        let uses: Vec<_> = second.messages()[1]["content"]
            .as_array()
            .expect("the answer is echoed as blocks")
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .collect();
        assert_eq!(uses.len(), 1, "the half tool use is not sent back: {uses:?}");
        let results = second.results();
        assert_eq!(results.len(), 1, "{results:?}");
        assert!(
            results[0].0 == uses[0]["id"] && results[0].1.contains("once") && !results[0].2,
            "{results:?}"
        );
        assert_eq!(third.said()[..2], second.said()[..2], "what was said stays as it was");
        assert_eq!(third.body.to_string().matches("tool_result").count(), 1);
        let read = |name: &str| std::fs::read_to_string(scene.runner.workspace().join(name));
        assert_eq!(read("whole.txt").expect("the whole one ran"), "ran\n");
        assert!(read("half.txt").is_err(), "the half one ran");
    });
}

#[test]
fn an_error_in_the_stream_is_a_fault() {
    play(async {
        let scene = Scene::by(|request| match request.n {
            1 => answer().text("One mo").fail("overloaded_error", "Overloaded"),
            _ => text_answer("Sorry for that."),
        })
        .await;
        scene.session.send_message("Hello");
        scene.session.shows("Sorry for that.").await;
    });
}

#[test]
fn unknown_blocks_and_events_are_echoed_and_passed_over() {
    play(async {
        let strange = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "telepathy", "input": {"to": "you"}});
        let scene = Scene::steps([
            answer()
                .thinking("Hm.", "c2lnbmF0dXJl")
                .event("weather", json!({"type": "weather", "sky": "blue"}))
                .block(strange.clone())
                .text("I sensed something.")
                .tool("bash", json!({"command": "echo here"})),
            text_answer("It was nothing."),
        ])
        .await;
        scene.session.send_message("Sense");
        scene.session.shows("It was nothing.").await;
        let echoed = scene.model.requests()[1].messages()[1]["content"].clone();
        assert_eq!(echoed[0], json!({"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmF0dXJl"}));
        assert_eq!(echoed[1], strange);
        assert_eq!(echoed[2]["text"], "I sensed something.");
    });
}

#[test]
fn a_stop_breaks_the_relayed_call_off() {
    play(async {
        let hold = Gate::new();
        let scene = Scene::steps([answer().text("On and on").hold(&hold).text(" and on.")]).await;
        scene.session.send_message("Talk");
        hold.reached().await;
        scene.session.user(Command::StopReply);
        scene.session.idle().await;
        scene.model.then([text_answer("Yes?")]);
        scene.session.send_message("Still there?");
        scene.session.shows("Yes?").await;
        let hung_up = || (scene.model.hang_ups() == 1).then_some(());
        wait::until("the relay hangs up on the model", hung_up).await;
        hold.open();
    });
}

#[test]
fn a_call_can_go_straight_to_the_model() {
    play(async {
        let model = FakeAnthropic::steps([
            refuse(429).retry_after(1),
            answer().tool("bash", json!({"command": "echo direct"})),
            text_answer("It went straight."),
        ])
        .await;
        let runner = Runner::start().await;
        let client = runner.pair().await;
        let settings = Settings { has_key: true, base_url: model.url(), ..auto(Provider::Direct) };
        let session = Session::open(&client, settings).await;
        session.send_message("Go");
        session.shows("It went straight.").await;
        let requests = model.requests();
        assert_eq!(requests[0].headers["anthropic-dangerous-direct-browser-access"], "true");
        assert!(requests[2].results()[0].1.contains("direct"));
    });
}

#[test]
fn the_relay_passes_on_nothing_of_the_page() {
    play(async {
        let scene = Scene::steps([text_answer("Hi.")]).await;
        scene.session.send_message("Hello");
        scene.session.shows("Hi.").await;
        let request = &scene.model.requests()[0];
        for name in ["origin", "referer", "cookie", "sec-fetch-site"] {
            assert!(!request.headers.contains_key(name), "{name} was passed on");
        }
        let credential = &scene.client.credential;
        let leaks = request
            .headers
            .values()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains(credential));
        assert!(!leaks && !request.body.to_string().contains(credential));
        let view = scene.session.view();
        let status = view.status.as_ref().expect("there is a status");
        assert_eq!(status.relay, ["anthropic"]);
    });
}

#[test]
fn the_relay_over_http_streams_and_counts() {
    play(async {
        let model = FakeAnthropic::steps([text_answer("Over HTTP.")]).await;
        let runner = Runner::with(e2e::runner::Options::default().relay(&model)).await;
        let client = runner.pair().await;
        let body = json!({"model": "claude-opus-5-5", "max_tokens": 100, "stream": true,
                          "messages": [{"role": "user", "content": "Hello"}]});
        let post = async |path: &str, credential: &str| {
            let request = reqwest::Client::new()
                .post(format!("{}/relay/anthropic{path}", runner.origin()))
                .header("authorization", format!("Bearer {credential}"))
                .header("anthropic-version", "2026-10-21")
                .header("content-type", "application/json")
                .body(body.to_string());
            let answer = request.send().await.expect("the runner answers");
            (answer.status().as_u16(), answer.text().await.expect("the answer is whole"))
        };
        let (status, text) = post("/v1/messages", &client.credential).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("event: message_stop") && text.contains("Over HTT"), "{text}");
        let (status, text) = post("/v1/messages/count_tokens", &client.credential).await;
        assert!(status == 200 && text.contains("input_tokens"), "{status} {text}");
        assert_eq!(post("/v1/messages", "mw_wrong").await.0, 401);
        let (status, text) = post("/v1/complete", &client.credential).await;
        assert!(matches!(status, 404 | 405), "a path that is not listed goes nowhere: {status} {text}");
        assert_eq!(model.requests().len(), 1);
    });
}
