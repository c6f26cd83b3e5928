//! The page as a person uses it: what it shows, by its roles and attributes, and what can be pressed.

use agent::record::Entry;
use e2e::browser::{Options, Tab};
use e2e::runner::Runner;

use crate::play::Stage;

/// A tab with the page in it.
pub(crate) struct Page {
    pub(crate) tab: Tab,
}

const LIVE: &str = "return document.querySelector('.link-state')?.dataset.state === 'live'
    && !document.querySelector('#composer')?.disabled";
const IDLE: &str =
    "return document.querySelector('.doing')?.dataset.state === 'idle' && !document.querySelector('.shelf')";
const OVER: &str =
    "return document.querySelector('.doing')?.dataset.state === 'idle' && !document.querySelector('.shelf')
    && !document.querySelector('.tasks .task[data-state=running], .tasks .task[data-state=queued]')";
const SAYS: &str = "return [...document.querySelectorAll('.log .prose:not([data-live])')].some(said => said.innerText.includes(arguments[0]))";
const LOG: &str = "
    const session = new URLSearchParams(location.hash.slice(1)).get('s');
    return new Promise((done, fail) => {
        const open = indexedDB.open('meanwhile');
        open.onerror = () => fail(open.error);
        open.onsuccess = () => {
            const all = open.result.transaction('entries').objectStore('entries').getAll();
            all.onerror = () => fail(all.error);
            all.onsuccess = () => {
                open.result.close();
                done(all.result.filter(row => row.session === session).map(row => JSON.parse(row.text)));
            };
        };
    })";

impl Page {
    /// A fresh browser, paired by the runner's own link.
    pub(crate) async fn open(stage: &Stage, runner: &Runner) -> Self {
        Self::open_with(stage, runner, &Options::default()).await
    }

    pub(crate) async fn open_with(stage: &Stage, runner: &Runner, options: &Options) -> Self {
        let tab = stage.browser_with(options).await;
        tab.open(runner.link()).await;
        Self::ready(tab).await
    }

    /// A further tab of the same browser, which is paired already.
    pub(crate) async fn beside(&self, address: &str) -> Self {
        let tab = self.tab.browser().new_tab().await;
        tab.open(address).await;
        Self { tab }
    }

    /// Waits until the page can be used.
    pub(crate) async fn ready(tab: Tab) -> Self {
        tab.until("the page is connected and can be written in", LIVE, &[]).await;
        Self { tab }
    }

    pub(crate) async fn live(&self) {
        self.tab.until("the runner is there", LIVE, &[]).await;
    }

    pub(crate) async fn down(&self) {
        let down = "return document.querySelector('.link-state')?.dataset.state !== 'live'";
        self.tab.until("the page says that the runner is away", down, &[]).await;
    }

    /// Chooses what needs an approval: nothing.
    pub(crate) async fn ask_nothing(&self) {
        self.tab.click("select[aria-label='What needs your approval'] option[value='Asks nothing']").await;
        let chosen = "return document.querySelector('[aria-label=\"What needs your approval\"]').value === 'Asks nothing'";
        self.tab.until("nothing needs an approval", chosen, &[]).await;
    }

    /// Says something, as a person does.
    pub(crate) async fn say(&self, words: &str) {
        self.tab.click("#composer").await;
        self.tab.type_keys(words).await;
        self.tab.type_keys(thirtyfour::Key::Enter + "").await;
    }

    /// Presses one of the examples of an empty session: 1, 2 or 3.
    pub(crate) async fn example(&self, n: usize) {
        self.tab.click(&format!(".welcome li:nth-child({n}) button")).await;
    }

    pub(crate) async fn idle(&self) {
        self.tab.until("it is idle", IDLE, &[]).await;
    }

    /// Waits until a finished message of the model's holds this.
    pub(crate) async fn says(&self, words: &str) {
        self.tab.until(words, SAYS, &[words.into()]).await;
    }

    /// Waits until nothing runs and nothing waits, and allows on the way whatever asks.
    pub(crate) async fn over(&self, results: usize) {
        let over_or_asks = format!(
            "if (document.querySelector('#approval')) return 'asks';
             return (() => {{ {OVER} }})() && document.querySelectorAll('.drained li').length >= arguments[0] ? 'over' : null"
        );
        let what = "all is over";
        while self.tab.until(what, &over_or_asks, &[results.into()]).await == "asks" {
            let asked = self.text_of("#approval pre").await;
            self.tab.click("#approval .answers .primary").await;
            let other = "const asks = document.querySelector('#approval pre'); return !asks || asks.innerText !== arguments[0]";
            self.tab.until("the approval is taken", other, &[asked.into()]).await;
        }
    }

    /// The text of an element that is there.
    pub(crate) async fn text_of(&self, selector: &str) -> String {
        let text = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.tab.script(text, &[selector.into()]).await.as_str().unwrap_or_default().to_owned()
    }

    /// The texts of all such elements.
    pub(crate) async fn texts_of(&self, selector: &str) -> Vec<String> {
        let texts = "return [...document.querySelectorAll(arguments[0])].map(found => found.innerText)";
        let found = self.tab.script(texts, &[selector.into()]).await;
        serde_json::from_value(found).expect("texts are texts")
    }

    /// How many such elements there are.
    pub(crate) async fn count(&self, selector: &str) -> u64 {
        let count = "return document.querySelectorAll(arguments[0]).length";
        self.tab.script(count, &[selector.into()]).await.as_u64().expect("a count is a number")
    }

    /// Waits until there are exactly so many.
    pub(crate) async fn until_count(&self, selector: &str, count: u64) {
        let is = "return document.querySelectorAll(arguments[0]).length === arguments[1]";
        self.tab.until(selector, is, &[selector.into(), count.into()]).await;
    }

    /// The session's log as this browser keeps it.
    pub(crate) async fn log(&self) -> Vec<Entry> {
        let log = self.tab.script(LOG, &[]).await;
        serde_json::from_value(log.clone())
            .unwrap_or_else(|error| panic!("the log is not what it should be: {error}\n{log}"))
    }

    /// The session that the tab has.
    pub(crate) async fn session(&self) -> String {
        let session =
            self.tab.script("return new URLSearchParams(location.hash.slice(1)).get('s')", &[]).await;
        session.as_str().map(str::to_owned).unwrap_or_else(|| panic!("the tab names no session: {session}"))
    }

    /// Looks at the call of the last slip of results, and returns what of it is marked as put in.
    pub(crate) async fn injected(&self) -> Vec<String> {
        let last = "const all = document.querySelectorAll('.drained header button'); all[all.length - 1].click(); return true";
        self.tab.script(last, &[]).await;
        self.tab
            .until("the call is shown", "return !!document.querySelector('dialog[open] .messages')", &[])
            .await;
        let in_last = self.texts_of("dialog[open] .messages > li:last-child .injected pre").await;
        self.tab.type_keys(thirtyfour::Key::Escape + "").await;
        self.tab.until("the dialog is closed", "return !document.querySelector('dialog[open]')", &[]).await;
        in_last
    }
}
