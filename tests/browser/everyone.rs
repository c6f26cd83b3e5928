//! What must not hang on a pointer, on one direction of writing, or on the size of the letters.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, refuse, text_answer};
use e2e::runner::Options;
use serde_json::json;
use thirtyfour::Key;

use crate::page::{Page, Scene, scene};
use crate::play::play;

#[test]
fn what_a_pointer_would_show_is_there_without_one() {
    scene("what_a_pointer_would_show_is_there_without_one", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        let end = "and this is how it ends";
        page.send_message(&format!(
            "$ echo a command that is longer than what one line of a card can hold: {}{end}",
            "on ".repeat(30)
        ))
        .await;
        page.shows("is done (exit 0").await;
        page.idle().await;
        // When one said it stands beside the words, and is said with them.
        let time = "return /^\\d{1,2}:\\d\\d(\\s[AP]M)?$/.test(document.querySelector('.me time').innerText)";
        page.until("one's own words have a time", time).await;
        // The whole command, by the keyboard alone.
        let shown = "const subject = document.querySelector('.tool .subject'); return subject.scrollWidth <= subject.clientWidth";
        assert_eq!(page.tab.script(shown, &[]).await, false, "a line of it shows");
        page.tab.script("document.querySelector('.tool .subject').focus()", &[]).await;
        page.tab.type_keys(Key::Enter + "").await;
        page.until("all of it shows", shown).await;
        let all = page.tab.script("return document.querySelector('.tool .subject').innerText", &[]).await;
        assert!(all.as_str().is_some_and(|all| all.ends_with(end)), "{all}");
        // The marks of the list of sessions say what they mean.
        let first = page.tab.url().await;
        let other = Page { tab: page.tab.browser().new_tab().await };
        other.open(&scene.runner.origin()).await;
        assert_ne!(other.tab.url().await, first);
        let marks = "return document.querySelector('.sessions li:not([data-current])')?.innerText.replace(/\\s+/g, ' ')";
        let says = "return document.querySelector('.sessions li:not([data-current])')?.innerText.includes('other tab')";
        other.until("it says that another tab has it", says).await;
        let marks = other.tab.script(marks, &[]).await;
        assert!(marks.as_str().is_some_and(|marks| marks.contains("last used")), "{marks}");
    });
}

#[test]
fn each_line_is_written_as_its_language_is() {
    play("each_line_is_written_as_its_language_is", async |stage| {
        let model =
            FakeAnthropic::steps([text_answer("שלום עולם\n\nHello world\n\n- פריט אחד\n- פריט שני\n")]).await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.send_message("שלום").await;
        page.shows("Hello world").await;
        page.idle().await;
        // Where the letters of an element stand: nearer to its left or to its right edge.
        let sides = "return [...document.querySelectorAll('.prose p, .prose ul > li')].map(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            const [text, all] = [range.getBoundingClientRect(), one.getBoundingClientRect()];
            return text.left - all.left > all.right - text.right ? 'right' : 'left';
        })";
        assert_eq!(page.tab.script(sides, &[]).await, json!(["right", "left", "right", "right"]));
        let list = "return getComputedStyle(document.querySelector('.prose ul')).direction";
        assert_eq!(page.tab.script(list, &[]).await, "rtl", "its signs stand at the right too");
        stage.finish().await;
    });
}

#[test]
fn a_magnified_page_can_be_used_while_a_call_is_tried_again() {
    play("a_magnified_page_can_be_used_while_a_call_is_tried_again", async |stage| {
        let reason = "overloaded ".repeat(30);
        let model = FakeAnthropic::steps([
            refuse(529).retry_after(3).header("x-reason", &reason),
            answer().text("At last."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.send_message("Go").await;
        // Why, and when it is tried again: all of it, whatever the width.
        page.tab.find(".doing[data-state=retries]").await;
        for (width, height) in [(1440, 900), (390, 844), (320, 256)] {
            page.tab.resize(width, height).await;
            let whole = "const doing = document.querySelector('.doing');
                return doing.dataset.state === 'idle' || doing.innerText.includes('Tries again in') && doing.scrollWidth <= doing.clientWidth";
            page.until("one reads why it waits", whole).await;
            let stands = "const [foot, tabs] = ['.foot', '.tabs'].map(one => document.querySelector(one).getBoundingClientRect());
                return foot.bottom <= (tabs.height ? tabs.top : innerHeight) + 0.5";
            page.until("the box covers nothing", stands).await;
        }
        page.tab.resize(1440, 900).await;
        page.shows("At last.").await;
        stage.finish().await;
    });
}
