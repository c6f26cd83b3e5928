//! A task while it runs: its output, and what stops it and what does not.

use std::time::Instant;

use e2e::process;
use e2e::wait;
use thirtyfour::Key;

use crate::page::{Page, scene, until_go};

/// A number of seconds that no other process sleeps for.
fn odd_time() -> String {
    format!("300.{:09}", uuid::Uuid::new_v4().as_u128() % 1_000_000_000)
}

/// Opens the first task's card.
async fn open_task(page: &Page) {
    page.tab.click(".task button.open").await;
    page.tab.find(".task .actions").await;
}

/// What the opened card says of its task.
async fn facts(page: &Page) -> String {
    let facts = "return [...document.querySelectorAll('.task .facts dt')].map(name =>
        name.innerText + ' ' + name.nextElementSibling.innerText).join('; ')";
    page.until("the task's facts are shown", facts).await.as_str().unwrap_or_default().to_owned()
}

#[test]
fn output_is_live_and_coloured() {
    scene("output_is_live_and_coloured", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        let command = format!("printf 'plain \\033[31mred\\033[0m\\n'; {}", until_go("over"));
        page.send_message(&format!("& {command}")).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        open_task(page).await;
        let red = "return [...document.querySelectorAll('.screen [data-fg=\"1\"]')].some(run => run.innerText === 'red')";
        page.until("its output is there in colour, while it runs", red).await;
        page.tasks("running", 1).await;
        scene.write("go", "");
        page.until("the rest follows", "return document.querySelector('.screen').innerText.includes('over')")
            .await;
        page.tasks("good", 1).await;
        page.over().await;
    });
}

#[test]
fn a_task_ends_with_its_children() {
    scene("a_task_ends_with_its_children", async |_, scene| {
        let page = &scene.page;
        let time = odd_time();
        page.mode("Asks nothing").await;
        page.send_message(&format!("& sh -c 'sleep {time} & sleep {time} & wait'")).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        wait::until("both children are there", || (process::with_argument(&time).len() == 2).then_some(()))
            .await;
        open_task(page).await;
        page.press("Stop").await;
        page.tasks("ended", 1).await;
        assert_eq!(process::holding(&time), [], "stopped is said when it is true");
        let facts = facts(page).await;
        assert!(facts.contains("Stopped by you with SIGTERM;"), "{facts}");
    });
}

#[test]
fn a_task_that_does_not_listen_is_killed_at_the_second_press() {
    scene("a_task_that_does_not_listen_is_killed_at_the_second_press", async |_, scene| {
        let page = &scene.page;
        let time = odd_time();
        page.mode("Asks nothing").await;
        let deaf = format!("trap '' TERM; touch deaf; while :; do sleep 0.1; done; sleep {time}");
        page.send_message(&format!("& {deaf}")).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        scene.until_file("deaf").await;
        open_task(page).await;
        page.press("Stop").await;
        let pressed = Instant::now();
        page.press("Kill now").await;
        page.tasks("ended", 1).await;
        assert!(pressed.elapsed().as_secs() < 5, "it took {:?}", pressed.elapsed());
        assert_eq!(process::holding(&time), []);
        let facts = facts(page).await;
        assert!(facts.contains("Stopped by you with SIGKILL;"), "{facts}");
    });
}

#[test]
fn stopping_the_reply_keeps_the_tasks() {
    scene("stopping_the_reply_keeps_the_tasks", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        page.send_message(&format!("$ {}", until_go("waited"))).await;
        page.tab.find(".tool[data-state=running]").await;
        page.tasks("running", 1).await;
        page.press("Stop reply").await;
        page.idle().await;
        page.tasks("running", 2).await;
        scene.write("go", "");
        page.shows("It printed over.").await;
        page.shows("It printed waited.").await;
        page.over().await;
        page.tasks("good", 2).await;
    });
}

#[test]
fn a_command_that_escape_left_running_says_so_shows_its_output_and_can_be_stopped() {
    scene(
        "a_command_that_escape_left_running_says_so_shows_its_output_and_can_be_stopped",
        async |_, scene| {
            let page = &scene.page;
            page.mode("Asks nothing").await;
            page.send_message("$ echo first; while [ ! -e go ]; do sleep 0.1; done; echo second; sleep 300")
                .await;
            page.tab.find(".tool[data-state=running]").await;
            page.tab.click("#composer").await;
            page.tab.type_keys(Key::Escape + "").await;
            page.idle().await;
            let card = async |what: &str| {
                let body = "const card = document.querySelector('.tool');
                    const struck = [...card.querySelectorAll('.subject')].some(one => getComputedStyle(one).textDecorationLine.includes('line-through'));
                    return !struck && card.innerText.includes(arguments[0])";
                page.tab.until(&format!("the card says {what:?}"), body, &[what.into()]).await;
            };
            card("moved to the background").await;
            card("first").await;
            assert_eq!(page.count("stopped ·").await, 0);
            // The panel shows the same output; closing it there takes nothing from the card.
            page.tasks("running", 1).await;
            page.tab.click(".task .open").await;
            page.until("both show it", "return document.querySelectorAll('.screen .line').length === 2")
                .await;
            page.tab.click(".task .open").await;
            page.until("the panel is closed", "return !document.querySelector('.task .screen')").await;
            scene.write("go", "");
            card("second").await;
            page.press("Stop").await;
            page.tasks("ended", 1).await;
            card("stopped").await;
            card("second").await;
            page.until("nothing more to stop", "return !document.querySelector('.tool header .small')").await;
        },
    );
}

/// Escape was faster than the runner's word that it has started the command.
#[test]
fn a_command_that_began_after_escape_is_known_by_its_card() {
    scene("a_command_that_began_after_escape_is_known_by_its_card", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        scene.runner.freeze();
        page.send_message("$ echo first; sleep 300").await;
        page.tab.find(".tool[data-state=running]").await;
        page.tab.click("#composer").await;
        page.tab.type_keys(Key::Escape + "").await;
        page.tab.find(".tool[data-state=skipped]").await;
        page.idle().await;
        scene.runner.resume();
        page.tab.find(".tool[data-state=moved][data-task=running]").await;
        page.tasks("running", 1).await;
        let shows = "return document.querySelector('.tool').innerText.includes('first')";
        page.until("the card shows its output", shows).await;
        page.press("Stop").await;
        page.tasks("ended", 1).await;
    });
}

#[test]
fn a_background_task_that_failed_is_not_green_where_it_was_started() {
    scene("a_background_task_that_failed_is_not_green_where_it_was_started", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}; exit 3", until_go("over"))).await;
        page.tab.find(".tool[data-state=done][data-task=running]").await;
        // Who does not see its colour hears how it stands, of the card and of the bar.
        let heard = "return document.querySelector('.tool > header > .sr-only').textContent === arguments[0]";
        let bar = "const says = [...document.querySelectorAll('.lanes svg [aria-label^=task]')].map(bar => bar.getAttribute('aria-label'));
            return says.length === 1 && says[0].includes(arguments[0]) && says[0].includes(' · failed') === arguments[1]";
        page.tab.until("a running one is heard as running", heard, &["running".into()]).await;
        page.tab.until("its bar goes on", bar, &["goes on".into(), false.into()]).await;
        scene.write("go", "");
        page.tab.find(".tool[data-task=bad]").await;
        page.over().await;
        page.tab.until("a failed one is heard as failed", heard, &["failed".into()]).await;
        page.tab.until("its bar failed", bar, &["task".into(), true.into()]).await;
        let says =
            "return document.querySelector('.tool[data-task=bad] .result').innerText.includes('exit 3')";
        page.until("its card says how it ended", says).await;
        // What the runner has forgotten stays known.
        page.press("Clear ended").await;
        page.until("none is left", "return document.querySelectorAll('.task').length === 0").await;
        page.tab.find(".tool[data-task=bad]").await;
        page.reload().await;
        page.tab.find(".tool[data-task=bad]").await;
    });
}

#[test]
fn only_what_went_to_the_background_is_a_task_of_its_own() {
    scene("only_what_went_to_the_background_is_a_task_of_its_own", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message("$ echo quick").await;
        page.shows("echo quick is done (exit 0)").await;
        page.idle().await;
        assert_eq!(page.cards_and_lanes().await, (0, 0), "a command is no task");
        page.send_message(&format!("$ {}", until_go("over"))).await;
        page.tab.find(".tool[data-state=running]").await;
        assert_eq!(page.cards_and_lanes().await, (0, 0), "nor is one that is waited for");
        page.press("Send to background").await;
        page.tasks("running", 1).await;
        scene.write("go", "");
        page.tasks("good", 1).await;
        page.shows("It printed over.").await;
        page.idle().await;
        assert_eq!(page.cards_and_lanes().await, (1, 1));
        page.over().await;
    });
}

#[test]
fn a_paused_task_stands_still_until_it_is_resumed() {
    scene("a_paused_task_stands_still_until_it_is_resumed", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        open_task(page).await;
        page.press("Pause").await;
        page.tasks("paused", 1).await;
        scene.write("go", "");
        page.press("Resume").await;
        page.tasks("good", 1).await;
        page.shows("It printed over.").await;
        page.over().await;
    });
}
