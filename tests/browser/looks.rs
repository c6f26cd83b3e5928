//! How the page looks and feels: sizes, keyboard, speed, pictures.

use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;

use e2e::browser::{Options as BrowserOptions, Tab};
use e2e::fake_anthropic::{FakeAnthropic, answer, say};
use e2e::runner::{Options, Runner};
use serde_json::json;
use thirtyfour::Key;

use crate::notices::{release, until_file};
use crate::page::Page;
use crate::play::{play, target};

/// Nothing may be wider than the page. Panels that scroll by themselves may hold more.
const OVERFLOWS: &str = "
    const root = document.scrollingElement;
    return root.scrollWidth > window.innerWidth ? root.scrollWidth + ' > ' + window.innerWidth : null";

/// A conversation with everything in it: words, cards, a diff, a slip, an approval, tasks of all kinds.
async fn full(stage: &crate::play::Stage) -> (Page, Rc<Runner>, FakeAnthropic) {
    let model = FakeAnthropic::steps([
        answer()
            .text("I start the tests in the background and write the config meanwhile.")
            .tool("background_run", json!({"command": format!("echo 'running 214 tests'; {}", until_file("go"))}))
            .tool("background_run", json!({"command": "echo '3 tests failed'; exit 1"}))
            .tool("write_file", json!({"path": "config/atlas.toml", "content": "[server]\nport = 8080\nworkers = 4\n"})),
        answer()
            .text("The config is written. One thing failed:\n\n- `smoke` wants a *port*\n\n```sh\nPORT=8080 npm test\n```")
            .tool("bash", json!({"command": "PORT=8080 touch smoke.txt && echo 'a line that is rather long so that it has to be cut or wrapped somewhere on a small screen'"})),
    ])
    .await;
    let runner = stage.runner(Options::default().relay(&model)).await;
    let page = Page::open(stage, &runner).await;
    page.say("Run the tests, and while that runs create the config file.").await;
    page.tab.find("#approval").await;
    // The commands of the background tasks ask too, one after the other, until the last one.
    let last = "return document.querySelector('#approval pre')?.innerText.includes('PORT=8080')";
    while page.tab.script(last, &[]).await != true {
        let asked = page.text_of("#approval pre").await;
        if !asked.contains("PORT=8080") && !asked.is_empty() {
            page.tab.click("#approval .primary").await;
        }
        let moved = "const asks = document.querySelector('#approval pre'); return !!asks && asks.innerText !== arguments[0]";
        page.tab.until("the next approval", moved, &[asked.into()]).await;
    }
    page.tab.find(".tasks .task[data-state=bad]").await;
    (page, runner, model)
}

async fn widths(tab: &Tab, what: &str) {
    for width in [390, 1440, 2560] {
        tab.resize(width, 900).await;
        let overflow = tab.script(OVERFLOWS, &[]).await;
        assert!(overflow.is_null(), "{what} overflows at {width}: {overflow}");
    }
}

#[test]
fn it_fits_any_width_and_is_drawn_in_light_and_dark() {
    play("widths", async |stage| {
        let (page, runner, model) = full(stage).await;
        widths(&page.tab, "the conversation").await;
        let pictures = target().join("screenshots");
        for scheme in ["light", "dark"] {
            page.tab.prefer(scheme).await;
            for (width, height) in [(1440, 900), (390, 844)] {
                page.tab.resize(width, height).await;
                page.tab.screenshot(&pictures.join(format!("{scheme}-{width}.png"))).await;
            }
        }
        page.tab.resize(390, 844).await;
        for panel in ["Sessions", "Tasks", "Timeline", "Conversation"] {
            let press = "const tab = [...document.querySelectorAll('.tabs button')].find(tab => tab.innerText.startsWith(arguments[0]));
                         tab.click(); return true";
            page.tab.script(press, &[panel.into()]).await;
            widths(&page.tab, panel).await;
        }
        page.tab.resize(1440, 900).await;
        if std::env::var_os("MEANWHILE_WRITE_SCREENSHOT").is_some() {
            page.tab.prefer("light").await;
            let root = target();
            let docs = root.parent().map(|root| root.join("docs")).expect("target lies in the workspace");
            page.tab.screenshot(&docs.join("screenshot.png")).await;
        }
        model.then([say("The smoke test passed."), say("All tests ended.")]);
        page.tab.click("#approval .primary").await;
        page.says("The smoke test passed.").await;
        release(&runner, "go");
        page.says("All tests ended.").await;
    });
}

#[test]
fn an_unpaired_browser_and_the_dialogs_fit_too() {
    play("dialogs", async |stage| {
        let runner = stage.runner(Options::default()).await;
        let stranger = stage.browser_with(&BrowserOptions::default()).await;
        stranger.open(&format!("{}/", runner.origin())).await;
        stranger.find(".unpaired").await;
        widths(&stranger, "the pairing screen").await;
        stranger.resize(1440, 900).await;
        stranger.open(runner.link()).await;
        let page = Page::ready(stranger).await;
        for dialog in ["Settings", "Keys and help (?)"] {
            page.tab.click(&format!("button[aria-label='{dialog}']")).await;
            page.tab.find("dialog[open]").await;
            widths(&page.tab, dialog).await;
            page.tab.resize(1440, 900).await;
            page.tab.type_keys(Key::Escape + "").await;
            page.until_count("dialog[open]", 0).await;
        }
    });
}

#[test]
fn everything_can_be_done_with_the_keyboard() {
    play("keyboard", async |stage| {
        let model = FakeAnthropic::steps([
            answer()
                .tool("background_run", json!({"command": until_file("go")}))
                .tool("bash", json!({"command": "touch ran.txt"})),
            say("Both were allowed."),
            answer().text("The task ended."),
            say("Here is more."),
        ])
        .await;
        let runner = stage.runner(Options::default().relay(&model)).await;
        let page = Page::open(stage, &runner).await;
        let tab = &page.tab;
        // Tab reaches everything, and the focus can be seen.
        let mut reached = std::collections::BTreeSet::new();
        for _ in 0..40 {
            tab.type_keys(Key::Tab + "").await;
            let place = "const e = document.activeElement; const style = getComputedStyle(e);
                return [e.id || e.getAttribute('aria-label') || e.innerText.trim().slice(0, 30),
                        style.outlineStyle !== 'none' || style.boxShadow !== 'none' || style.borderColor !== '']";
            let place = tab.script(place, &[]).await;
            assert_eq!(place[1], true, "the focus on {} cannot be seen", place[0]);
            reached.insert(place[0].as_str().unwrap_or_default().to_owned());
        }
        for place in ["composer", "Settings", "What needs your approval"] {
            assert!(reached.contains(place), "Tab does not reach {place}: {reached:?}");
        }
        assert!(reached.iter().any(|place| place.starts_with("New session")), "{reached:?}");

        tab.script("document.activeElement.blur(); return true", &[]).await;
        tab.type_keys("/").await;
        tab.until("the composer has the focus", "return document.activeElement.id === 'composer'", &[]).await;
        tab.type_keys("Start it" + Key::Enter).await;
        for command in ["while", "touch ran.txt"] {
            let asks = "return document.querySelector('#approval pre')?.innerText.includes(arguments[0])";
            tab.until("it asks", asks, &[command.into()]).await;
            tab.chord(Key::Control, ".").await;
            tab.until("the approval has the focus", "return document.activeElement.id === 'approval'", &[])
                .await;
            tab.type_keys("y").await;
        }
        page.says("Both were allowed.").await;
        release(&runner, "go");
        page.says("The task ended.").await;
        tab.chord(Key::Alt, "3").await;
        tab.until(
            "the tasks have the focus",
            "return document.querySelector('#tasks').contains(document.activeElement)",
            &[],
        )
        .await;
        let mut tries = 0;
        while tab.script("return document.activeElement.matches('.task button.open')", &[]).await != true {
            tries += 1;
            assert!(tries < 10, "Tab does not reach the task");
            tab.type_keys(Key::Tab + "").await;
        }
        tab.type_keys(Key::Enter + "").await;
        let output = "return document.querySelector('.screen')?.innerText.includes('done go')";
        tab.until("its output is shown", output, &[]).await;
        tab.chord(Key::Control, "j").await;
        tab.until("a new session is there", "return !!document.querySelector('.welcome')", &[]).await;
        page.live().await;
        tab.type_keys("/").await;
        tab.until("the composer has the focus", "return document.activeElement.id === 'composer'", &[]).await;
        tab.type_keys("And more?" + Key::Enter).await;
        page.says("Here is more.").await;
    });
}

#[test]
fn it_is_usable_soon() {
    play("usable", async |stage| {
        let runner = stage.runner(Options::default()).await;
        let page = Page::open(stage, &runner).await;
        let watch = "
            const seen = () => {
                if (window.__usable || !document.querySelector('#composer:not([disabled])')) return;
                if (document.querySelector('.link-state')?.dataset.state !== 'live') return;
                const first = performance.getEntriesByType('navigation')[0].responseStart;
                window.__usable = performance.now() - first;
            };
            new MutationObserver(seen).observe(document, {subtree: true, childList: true, attributes: true});";
        page.tab.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": watch})).await;
        let mut times = Vec::new();
        for _ in 0..3 {
            page.tab.open(&format!("{}/", runner.origin())).await;
            page.tab.reload().await;
            let usable = page.tab.until("it is usable", "return window.__usable", &[]).await;
            times.push(usable.as_f64().expect("it is a time"));
        }
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        // On the terminal also when the test passes.
        let _told = writeln!(std::io::stderr(), "usable after {times:.0?} ms, best {best:.0} ms");
        assert!(best < 5_000.0, "even the best of three took {best} ms");
        let written = target().join("screenshots");
        page.tab.screenshot(&written.join(Path::new("empty.png"))).await;
    });
}
