//! Reloads in the middle of things. Nothing is lost, nothing doubled.

use agent::record::{Entry, Record};
use e2e::log::each_completion_is_in_the_next_call;

use crate::page::{Page, completions, scene, until_go};

/// After all is over: a further reload shows the very same.
async fn stays(page: &Page) {
    let rows = page.rows().await;
    page.reload().await;
    page.shows_rows(&rows).await;
    page.idle().await;
}

fn count(log: &[Entry], fits: impl Fn(&Record) -> bool) -> usize {
    log.iter().filter(|entry| fits(&entry.record)).count()
}

#[test]
fn while_a_task_runs() {
    scene("while_a_task_runs", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        page.tasks("running", 1).await;
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
        page.tasks("running", 1).await;
        scene.write("go", "");
        page.shows("It printed over.").await;
        page.over().await;
        page.tasks("good", 1).await;
        for (before, now) in rows.iter().zip(page.rows().await) {
            if before.0 == "tool" {
                assert!(now.1.contains("exit 0"), "its card says how the task ended: {now:?}");
            } else {
                assert_eq!(now, *before, "what was there stays");
            }
        }
        assert_eq!((page.drained().await, page.count("It printed over.").await), ((1, 1), 1));
        each_completion_is_in_the_next_call(&page.log().await);
        stays(page).await;
    });
}

#[test]
fn while_an_approval_waits() {
    scene("while_an_approval_waits", async |_, scene| {
        let page = &scene.page;
        page.send_message("$ date >> times.txt; cat times.txt").await;
        page.tab.find("#approval").await;
        page.reload().await;
        page.tab.find("#approval").await;
        page.reload().await;
        assert_eq!(scene.read("times.txt"), None, "nothing runs before it is allowed");
        page.press("Allow once").await;
        page.shows("is done (exit 0").await;
        page.idle().await;
        stays(page).await;
        let times = scene.read("times.txt").expect("it ran");
        assert_eq!(times.lines().count(), 1, "it ran once: {times}");
        let log = page.log().await;
        assert_eq!(count(&log, |record| matches!(record, Record::ApprovalResolved { .. })), 1);
        assert_eq!(count(&log, |record| matches!(record, Record::ToolDone { .. })), 1);
    });
}

#[test]
fn between_an_end_and_the_next_call() {
    scene("between_an_end_and_the_next_call", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        // An approval holds the turn; the end comes and waits.
        page.mode("Asks before commands").await;
        page.send_message("$ touch there").await;
        page.tab.find("#approval").await;
        scene.write("go", "");
        let waits = "return document.querySelectorAll('.queue .chip').length === 1";
        page.until("the end waits", waits).await;
        page.reload().await;
        page.tab.find("#approval").await;
        page.until("the end still waits, once", waits).await;
        page.press("Allow once").await;
        page.shows("It printed over.").await;
        page.over().await;
        assert!(scene.read("there").is_some());
        assert_eq!((page.drained().await, page.count("It printed over.").await), ((1, 1), 1));
        let log = page.log().await;
        assert_eq!(completions(&log, "over").len(), 1);
        each_completion_is_in_the_next_call(&log);
        stays(page).await;
    });
}
