//! Several tabs of one browser on one runner.

use agent::record::Record;

use e2e::browser::Options;
use e2e::log::each_completion_is_in_the_next_call;

use crate::page::{Page, completions, scene};

const FOLLOWS: &str =
    "return document.querySelector('.banners')?.innerText.includes('Another tab drives this session')
    && document.querySelector('#composer').disabled && document.querySelector('.composer[data-off]')
    && document.querySelector('#composer').placeholder.includes('take over to write here')";
const DRIVES: &str = "return !document.querySelector('.banners')?.innerText.trim() && !document.querySelector('#composer').disabled";

/// Both work at once; each has its own tasks and results, and sees the other's tasks as the other's.
async fn never_cross(apples: &Page, pears: &Page) {
    apples.send_message("& sleep 3; echo apples").await;
    pears.send_message("& sleep 3; echo pears").await;
    for (page, own, other) in [(apples, "apples", "pears"), (pears, "pears", "apples")] {
        page.shows(&format!("It printed {own}.")).await;
        page.over().await;
        page.tasks("good", 1).await;
        assert_eq!(page.count(other).await, 0, "nothing of the other is said");
        assert_eq!(page.drained().await, (1, 1));
        let log = page.log().await;
        each_completion_is_in_the_next_call(&log);
        assert_eq!(completions(&log, "").len(), 1);
        // The other's task is seen, and marked as the other's.
        let theirs = "return [...document.querySelectorAll('.task:not([data-own])')].map(task => task.ariaLabel).join()";
        let theirs = page.until("the other's task is seen", theirs).await;
        assert_eq!(theirs.as_str(), Some(format!("sleep 3; echo {other}").as_str()));
    }
    assert_ne!(apples.tab.url().await, pears.tab.url().await, "each has a session of its own");
}

#[test]
fn two_tabs_do_not_cross() {
    scene("two_tabs_do_not_cross", async |_, scene| {
        let other = Page { tab: scene.page.tab.browser().new_tab().await };
        other.open(&scene.runner.origin()).await;
        never_cross(&scene.page, &other).await;
    });
}

#[test]
fn two_browsers_do_not_cross() {
    scene("two_browsers_do_not_cross", async |stage, scene| {
        let other = Page { tab: stage.browser_with(&Options::default()).await };
        other.open(&scene.runner.fresh_link().await).await;
        never_cross(&scene.page, &other).await;
    });
}

#[test]
fn one_session_in_two_tabs_is_driven_by_one() {
    scene("one_session_in_two_tabs_is_driven_by_one", async |_, scene| {
        let first = scene.page.clone();
        first.send_message("$ echo one").await;
        first.shows("echo one is done (exit 0)").await;
        first.idle().await;
        let second = Page { tab: first.tab.browser().new_tab().await };
        second.tab.open(&first.tab.url().await).await;
        second.until("the second tab follows", FOLLOWS).await;
        second.shows_rows(&first.rows().await).await;

        // What happens in the first is seen live in the second: while it runs, and when it is over.
        first.send_message("$ sleep 6 && echo two").await;
        second.tab.find(".tool[data-state=running]").await;
        second.shows("echo two is done (exit 0)").await;
        first.idle().await;
        second.shows_rows(&first.rows().await).await;

        second.press("Take over").await;
        second.until("the second tab drives", DRIVES).await;
        first.until("the first tab follows", FOLLOWS).await;
        second.send_message("& sleep 1; echo three").await;
        first.shows("It printed three.").await;
        second.over().await;
        first.shows_rows(&second.rows().await).await;

        // Closing the driver gives the session back.
        let rows = second.rows().await;
        second.tab.close().await;
        first.until("the first tab drives again", DRIVES).await;
        first.shows_rows(&rows).await;
        first.send_message("$ echo four").await;
        first.shows("echo four is done (exit 0)").await;
        first.idle().await;
        let log = first.log().await;
        each_completion_is_in_the_next_call(&log);
        let said = log.iter().filter(|entry| matches!(entry.record, Record::Queued { .. })).count();
        assert_eq!((said, completions(&log, "three").len()), (4, 1));
    });
}

#[test]
fn two_tabs_that_watch_one_task_do_not_freeze_each_other() {
    scene("two_tabs_that_watch_one_task_do_not_freeze_each_other", async |_, scene| {
        let first = scene.page.clone();
        first.mode("Asks nothing").await;
        // A line for each file that is made.
        let lines = "n=1; while [ ! -e go ]; do if [ -e $n ]; then echo line $n; n=$((n+1)); else sleep 0.05; fi; done; echo over";
        first.send_message(&format!("& {lines}")).await;
        first.shows("its result comes by itself").await;
        first.idle().await;
        let follower = async || {
            let tab = Page { tab: first.tab.browser().new_tab().await };
            tab.tab.open(&first.tab.url().await).await;
            tab.until("it follows", FOLLOWS).await;
            tab
        };
        let opens = async |page: &Page| {
            page.tab.click(".task .open").await;
            page.tab.find(".task .screen").await;
        };
        let closes = async |page: &Page| {
            page.tab.click(".task .open").await;
            page.until("it is closed", "return !document.querySelector('.task .screen')").await;
        };
        let line = async |n: u32, pages: &[&Page]| {
            scene.write(&n.to_string(), "");
            for page in pages {
                let body = "const lines = [...document.querySelectorAll('.task .screen .line')].map(one => one.innerText).filter(one => one);
                    return JSON.stringify(lines) === JSON.stringify(Array.from({length: arguments[0]}, (_, n) => 'line ' + (n + 1)))";
                page.tab.until(&format!("lines to {n} are there, each once"), body, &[n.into()]).await;
            }
        };
        let second = follower().await;
        opens(&first).await;
        opens(&second).await;
        line(1, &[&first, &second]).await;
        closes(&second).await;
        line(2, &[&first]).await;
        opens(&second).await;
        line(3, &[&first, &second]).await;
        closes(&first).await;
        line(4, &[&second]).await;
        // Nor does a tab that goes without a word, or one that comes.
        let third = follower().await;
        opens(&third).await;
        line(5, &[&second, &third]).await;
        second.tab.close().await;
        line(6, &[&third]).await;
        opens(&first).await;
        line(7, &[&first, &third]).await;
        third.tab.close().await;
        line(8, &[&first]).await;
        scene.write("go", "");
        first.shows("is done (exit 0").await;
        first.over().await;
    });
}
