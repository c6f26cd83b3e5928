//! The page as a person uses it: words for what they do, and for what they see.
//!
//! [`scene`] gives a test a runner, a browser and the page in it, ready to be used, and ends them in the
//! order in which nothing complains: the browser before the runner that it talks to. [`Page`] knows the
//! page's roles and attributes; tests know only it.

use agent::record::Entry;
use e2e::browser::{self, Tab};
use e2e::log;
use e2e::runner::{self, Runner};
use e2e::wait;
use serde_json::{Value, json};
use shared::task::Task;
use thirtyfour::Key;

use crate::play::{Stage, play};

/// A runner and a page that is paired with it.
pub(crate) struct Scene {
    pub(crate) page: Page,
    pub(crate) runner: Runner,
}

/// Plays a test with a page of its own and the demo model.
pub(crate) fn scene(name: &'static str, test: impl AsyncFnOnce(&Stage, &mut Scene)) {
    play(name, async |stage| {
        let mut scene = Scene::open(stage, runner::Options::default(), &browser::Options::default()).await;
        test(stage, &mut scene).await;
        stage.finish().await;
    });
}

impl Scene {
    /// A runner and a page with these options. Before it is dropped, [`Stage::finish`] must end the browser.
    pub(crate) async fn open(stage: &Stage, runner: runner::Options, browser: &browser::Options) -> Self {
        let runner = Runner::with(runner).await;
        let page = Page { tab: stage.browser_with(browser).await };
        page.open(runner.link()).await;
        Self { page, runner }
    }

    /// Makes a file in the workspace.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.runner.workspace().join(name), content).expect("the workspace can be written");
    }

    /// A file of the workspace; nothing while it is not there.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.runner.workspace().join(name)).ok()
    }

    /// Waits until a file is in the workspace.
    pub(crate) async fn until_file(&self, name: &str) {
        let file = self.runner.workspace().join(name);
        wait::until(name, || file.exists().then_some(())).await;
    }
}

/// A command that goes on until the test makes a file named `go`, and then says this word.
pub(crate) fn until_go(word: &str) -> String {
    format!("while [ ! -e go ]; do sleep 0.1; done; echo {word}")
}

/// One row of the conversation: what kind, and what one can read there.
pub(crate) type Row = (String, String);

/// The page in a tab.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) tab: Tab,
}

/// The log of the session that the address names, as texts.
const LOG: &str = "return new Promise((resolve, reject) => {
    const session = new URLSearchParams(location.hash.slice(1)).get('s');
    const open = indexedDB.open('meanwhile');
    open.onerror = () => reject(open.error);
    open.onsuccess = () => {
        const all = open.result.transaction('entries').objectStore('entries').getAll();
        all.onerror = () => reject(all.error);
        all.onsuccess = () => {
            open.result.close();
            resolve(all.result.filter(row => row.session === session).map(row => row.text));
        };
    };
});";

/// The conversation's rows. What a clock moves (durations of what runs) is in none of the texts.
const ROWS: &str = "return [...document.querySelectorAll('#conversation .column > *')]
    .filter(row => !row.matches('.welcome'))
    .map(row => [row.className, row.innerText.trim()]);";

impl Page {
    /// Opens an address and waits until the page can be used.
    pub(crate) async fn open(&self, url: &str) {
        self.tab.open(url).await;
        self.ready().await;
    }

    /// Loads the page again and waits until it can be used.
    pub(crate) async fn reload(&self) {
        self.tab.reload().await;
        self.ready().await;
    }

    /// Waits until the page is connected and one can write.
    pub(crate) async fn ready(&self) {
        self.link("live").await;
        self.tab.find("#composer:enabled").await;
    }

    /// Waits until the page says so of its line to the runner.
    pub(crate) async fn link(&self, state: &str) {
        self.tab.find(&format!(".link-state[data-state={state}]")).await;
    }

    /// Writes a message into the box and sends it.
    pub(crate) async fn send_message(&self, text: &str) {
        self.tab.click("#composer").await;
        self.tab.type_keys(text.to_owned() + Key::Enter).await;
        let there = "return [...document.querySelectorAll('.me, .queue .messages')].some(row => row.innerText.includes(arguments[0]))";
        self.tab.until("one's own words are shown", there, &[text.into()]).await;
    }

    /// Presses the button of one of the lesson's examples, counted from 0.
    pub(crate) async fn example(&self, n: usize) {
        self.tab.click(&format!(".welcome li:nth-child({}) button", n + 1)).await;
    }

    /// Chooses what needs an approval.
    pub(crate) async fn mode(&self, name: &str) {
        self.tab.click(&format!(".composer select option[value='{name}']")).await;
        let mode = match name {
            "Asks nothing" => "auto",
            "Asks before commands" => "ask_commands",
            "Asks before everything" => "ask_all",
            other => panic!("no mode is called {other:?}"),
        };
        // That nothing is asked is confirmed, once a session.
        let is = "document.querySelector('.composer select.mode').dataset.mode === arguments[0]";
        let either =
            format!("return {is} || (arguments[0] === 'auto' && !!document.querySelector('dialog[open]'))");
        self.tab.until("the mode is so, or is to be confirmed", &either, &[mode.into()]).await;
        if self.tab.script("return !!document.querySelector('dialog[open]')", &[]).await == json!(true) {
            self.press("Allow everything in this session").await;
        }
        let so = format!("return {is} && !document.querySelector('dialog[open]')");
        self.tab.until("the mode is so", &so, &[mode.into()]).await;
    }

    /// Presses the first button with exactly this text or this label.
    pub(crate) async fn press(&self, text: &str) {
        let mark = "const button = [...document.querySelectorAll('button')].find(button =>
                !button.disabled && button.getClientRects().length > 0 &&
                (button.innerText.trim() === arguments[0] || button.getAttribute('aria-label') === arguments[0]));
            document.querySelectorAll('[data-test]').forEach(old => old.removeAttribute('data-test'));
            button?.setAttribute('data-test', '');
            return !!button;";
        self.tab.until(&format!("there is a button {text:?}"), mark, &[text.into()]).await;
        self.tab.click("[data-test]").await;
    }

    /// Waits until a script's body returns something true.
    pub(crate) async fn until(&self, what: &str, body: &str) -> Value {
        self.tab.until(what, body, &[]).await
    }

    /// Waits until the conversation holds this text.
    pub(crate) async fn shows(&self, text: &str) {
        let body = "return document.querySelector('#conversation .column')?.innerText.includes(arguments[0])";
        self.tab.until(&format!("the conversation says {text:?}"), body, &[text.into()]).await;
    }

    /// How often the conversation holds this text.
    pub(crate) async fn count(&self, text: &str) -> usize {
        self.rows().await.iter().map(|(_, row)| row.matches(text).count()).sum()
    }

    /// Waits until the agent is idle and nothing waits.
    pub(crate) async fn idle(&self) {
        self.until(
            "the agent is idle",
            "return document.querySelector('.doing')?.dataset.state === 'idle' && !document.querySelector('.queue')",
        )
        .await;
    }

    /// Waits until the agent is idle, nothing waits, and none of the session's tasks runs.
    pub(crate) async fn over(&self) {
        self.idle().await;
        self.until("nothing runs", "return !document.querySelector('.task[data-own][data-state=running]')")
            .await;
        self.idle().await;
    }

    /// Waits until the task with this command stands so.
    pub(crate) async fn task(&self, command: &str, state: &str) {
        let body = "return [...document.querySelectorAll('.task[data-own]')].some(task =>
            task.ariaLabel === arguments[0] && task.dataset.state === arguments[1])";
        self.tab.until(&format!("{command:?} is {state}"), body, &[command.into(), state.into()]).await;
    }

    /// Waits until that many own background tasks stand so: `running`, `paused`, `good`, `bad`, `ended`.
    pub(crate) async fn tasks(&self, state: &str, count: usize) {
        let body = "return document.querySelectorAll(`.task[data-own][data-state=${arguments[0]}]`).length === arguments[1]";
        self.tab.until(&format!("{count} tasks are {state}"), body, &[state.into(), count.into()]).await;
    }

    /// How many tasks the panel shows, and how many lanes the timeline has for them.
    pub(crate) async fn cards_and_lanes(&self) -> (usize, usize) {
        let body = "return [document.querySelectorAll('.task').length, document.querySelectorAll('.lanes .names button').length]";
        serde_json::from_value(self.tab.script(body, &[]).await).expect("two numbers")
    }

    /// The rows of the conversation.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        serde_json::from_value(self.tab.script(ROWS, &[]).await).expect("rows are pairs of texts")
    }

    /// Waits until the conversation shows exactly these rows.
    pub(crate) async fn shows_rows(&self, rows: &[Row]) {
        let body = format!("return JSON.stringify((() => {{ {ROWS} }})()) === JSON.stringify(arguments[0])");
        let what = format!("the conversation is {rows:#?}");
        self.tab.until(&what, &body, &[json!(rows)]).await;
    }

    /// How many rows of drained results there are, and how many results they hold together.
    pub(crate) async fn drained(&self) -> (usize, usize) {
        let body = "return [document.querySelectorAll('.completions').length, document.querySelectorAll('.completions li').length]";
        serde_json::from_value(self.tab.script(body, &[]).await).expect("they are counts")
    }

    /// The session's log as the browser keeps it.
    pub(crate) async fn log(&self) -> Vec<Entry> {
        let texts: Vec<String> =
            serde_json::from_value(self.tab.script(LOG, &[]).await).expect("the log is texts");
        texts.iter().map(|text| serde_json::from_str(text).expect("each is an entry")).collect()
    }
}

/// The tasks whose completions were taken in and whose command holds this word, in their order.
pub(crate) fn completions(log: &[Entry], word: &str) -> Vec<Task> {
    let completions = log.iter().filter_map(log::completion);
    completions.filter(|task| task.command.contains(word)).cloned().collect()
}
