//! An idle session is woken by what ends, and no oftener than needed.

use agent::record::{Entry, Record, Trigger};

use e2e::log::each_completion_is_in_the_next_call;
use e2e::wait;

use crate::page::{completions, scene, until_go};

/// The calls by their causes.
fn causes(log: &[Entry]) -> Vec<Trigger> {
    let cause = |entry: &Entry| {
        let Record::RequestSent { cause, .. } = entry.record else { return None };
        Some(cause)
    };
    log.iter().filter_map(cause).collect()
}

#[test]
fn an_idle_session_is_woken_once() {
    scene("an_idle_session_is_woken_once", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        assert_eq!(causes(&page.log().await), [Trigger::User, Trigger::Tools]);
        scene.write("go", "");
        page.shows("It printed over.").await;
        page.over().await;
        // Another turn, and a reload: neither tells it again.
        page.reload().await;
        page.send_message("$ echo again").await;
        page.shows("echo again is done (exit 0)").await;
        page.over().await;
        let log = page.log().await;
        assert_eq!(
            causes(&log),
            [Trigger::User, Trigger::Tools, Trigger::Wake, Trigger::User, Trigger::Tools]
        );
        each_completion_is_in_the_next_call(&log);
        assert_eq!((page.drained().await, page.count("It printed over.").await), ((1, 1), 1));
    });
}

#[test]
fn ten_ends_at_once_make_one_turn() {
    scene("ten_ends_at_once_make_one_turn", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        let commands = vec![format!("\"{}; echo one >> ended\"", until_go("over")); 10].join(", ");
        page.send_message(&format!("Start 10 background tasks: {commands}. Check their status.")).await;
        page.shows("the results come by themselves").await;
        page.idle().await;
        page.tasks("running", 10).await;
        // What ends while the runner stands still ends at once for it, however busy this machine is.
        scene.runner.freeze();
        scene.write("go", "");
        let all = || scene.read("ended").filter(|ended| ended.lines().count() == 10).map(drop);
        wait::until("all ten end", all).await;
        scene.runner.resume();
        page.shows("All 10 are done.").await;
        page.over().await;
        page.tasks("good", 10).await;
        let log = page.log().await;
        assert_eq!(completions(&log, "over").len(), 10);
        assert_eq!(
            causes(&log),
            [Trigger::User, Trigger::Tools, Trigger::Tools, Trigger::Wake],
            "all ten make one turn"
        );
        assert_eq!(page.drained().await, (1, 10));
        each_completion_is_in_the_next_call(&log);
    });
}
