//! Our loop against a model server that is not ours: aimock, in pieces of seven characters, scripted in its
//! own JSON.
//!
//! The loop is the real core in the native shell, with a real runner and real commands. It goes once through
//! the relay and once directly. aimock refuses every request that its script does not foresee, and its
//! journal says what reached it.

use std::net::SocketAddr;
use std::process::Stdio;

use agent::model::Api;
use agent::settings::{Direct, Provider};
use e2e::fake_anthropic::KEY;
use e2e::native_shell::{Session, auto};
use e2e::runner::{Options, Runner};
use e2e::stage::play;
use e2e::{process, wait};
use serde_json::{Value, json};
use shared::task::TaskState;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::{Case, node};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a scripted conversation, through the relay",
        run: || conversation(Provider::Relay, Api::Messages),
    },
    Case { name: "a scripted conversation, directly", run: || conversation(Provider::Direct, Api::Messages) },
    Case { name: "the same by chat completions", run: || conversation(Provider::Direct, Api::Chat) },
];

/// Ends when the file is there, or after a minute, so that nothing is left.
const COMMAND: &str =
    "n=0; while [ ! -e go ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done; echo 3 passed";
const SURPRISE: &str = "123456😀 and the rest";

fn script() -> Value {
    let turn = |n: u32, response: Value| json!({"match": {"turnIndex": n}, "response": response});
    let tool = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    json!({"fixtures": [
        {"match": {"userMessage": "Are you busy?", "sequenceIndex": 0},
         "response": {"status": 429, "retryAfter": 1,
                      "error": {"type": "rate_limit_error", "message": "Slow down."}}},
        {"match": {"userMessage": "Are you busy?", "sequenceIndex": 1}, "response": {"content": SURPRISE}},
        {"match": {"turnIndex": 3, "userMessage": "3 passed"},
         "response": {"content": "All 3 tests passed, as the notice says."}},
        turn(0, json!({"content": "I start the tests — läuft schon.", "toolCalls": [
            tool("background_run", json!({"command": COMMAND})),
            tool("write_file", json!({"path": "notes.txt", "content": "eins\nzwei \"drei\"\n"})),
        ]})),
        turn(1, json!({"toolCalls": [tool("bash", json!({"command": "cat notes.txt"}))]})),
        turn(2, json!({"content": "The notes are written; the tests still run."})),
    ]})
}

fn conversation(way: Provider, api: Api) -> String {
    play(async {
        let mock = Mock::start(&script()).await;
        let mut options = Options::default();
        options.environment.insert("ANTHROPIC_BASE_URL".to_owned(), mock.url());
        options.environment.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
        let runner = Runner::with(options).await;
        let client = runner.pair().await;
        let mut settings = auto(way);
        settings.model.api = api;
        settings.set_direct(api, Direct { has_key: true, base_url: mock.url() });
        let session = Session::open(&client, settings).await;

        session.send_message("Run the tests in the background and take notes.");
        session.shows("the tests still run.").await;
        let view = session.view();
        assert_eq!(view.texts()[0], "I start the tests — läuft schon.");
        let names: Vec<&str> = view.tools().iter().map(|card| card.name.as_str()).collect();
        assert_eq!(names, ["background_run", "write_file", "bash"]);
        let notes = std::fs::read_to_string(runner.workspace().join("notes.txt")).expect("it was written");
        assert_eq!(notes, "eins\nzwei \"drei\"\n");
        let state = view.task("3 passed").map(|task| task.state.clone());
        assert_eq!(state, Some(TaskState::Running), "it runs while the model speaks");

        std::fs::write(runner.workspace().join("go"), "").expect("the workspace can be written");
        session.shows("All 3 tests passed").await;
        let view = session.view();
        assert_eq!(view.task("3 passed").map(|task| task.state.clone()), Some(TaskState::Completed));
        assert_eq!(view.drained(), (1, 1), "one result, injected once");

        session.send_message("Are you busy?");
        session.shows("and the rest").await;
        let all = session.view().texts().join("\n");
        assert!(all.contains("123456"), "a character that was cut in two does no harm: {all}");

        check_journal(&mock.journal().await, api.codec().wire().path);
        "6 requests: 3 tools with real commands, a background task's result injected once by itself, \
         a 429 waited for and tried again"
            .to_owned()
    })
}

fn check_journal(journal: &Value, path: &str) {
    let entries = journal.as_array().unwrap_or_else(|| panic!("no journal: {journal}"));
    let calls: Vec<&Value> = entries.iter().filter(|entry| entry["path"] == path).collect();
    let statuses: Vec<u64> = calls.iter().filter_map(|call| call["response"]["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 200], "{journal}");
    // The system prompt, which the journal shows among the messages, speaks of such notices too.
    let users = |call: &Value| -> Value {
        let messages = call["body"]["messages"].as_array().into_iter().flatten();
        messages.filter(|message| message["role"] == "user").cloned().collect()
    };
    let notices = |call: &Value| users(call).to_string().matches("<background-results>").count();
    let counts: Vec<usize> = calls.iter().map(|call| notices(call)).collect();
    assert_eq!(counts, [0, 0, 0, 1, 1, 1], "the result is in the first call after its task's end");
}

/// A running aimock.
struct Mock {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Mock {
    async fn start(script: &Value) -> Self {
        let folder = node::home();
        let file = folder.path().join("script.json");
        std::fs::write(&file, script.to_string()).expect("a fresh folder takes files");
        let program = node::packages().join("node_modules/@copilotkit/aimock/dist/cli.js");
        let mut command = node::command(&program, &folder);
        command.args(["-p", "0", "-c", "7", "--strict", "--validate-on-load", "-f"]).arg(&file);
        command.env("AIMOCK_STRICT_TURN_INDEX", "1").stdout(Stdio::piped());
        let mut process = command.spawn().expect("node starts");
        let output = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let address = wait::soon("aimock to listen", async {
            loop {
                let line = lines.next_line().await.expect("its output is text");
                let line = line.expect("aimock ended before it listened; its reason stands above");
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return address.trim().parse().expect("it is an address");
                }
            }
        })
        .await;
        // It goes on writing; a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { process, address, _folder: folder }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn journal(&self) -> Value {
        let request = reqwest::Client::new().get(format!("{}/__aimock/journal", self.url())).send();
        let answer = wait::soon("aimock's journal", request).await.expect("aimock answers");
        let text = wait::soon("aimock's journal", answer.text()).await.expect("it is whole");
        serde_json::from_str(&text).expect("it is JSON")
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            process::kill_all(&[pid]);
        }
    }
}
