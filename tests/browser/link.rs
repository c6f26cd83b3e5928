//! The line to the runner is cut, and the runner itself goes and comes back. The page says so truly, and
//! tells each result once.

use e2e::browser;
use e2e::cable::Cable;
use e2e::log::each_completion_is_in_the_next_call;
use e2e::runner;
use shared::task::TaskState;

use crate::page::{Scene, completions, scene, until_go};
use crate::play::play;

/// What the page says of its line, to everybody.
const LINK: &str = "return document.querySelector('.link-state').innerText.replaceAll('\\n', ' ')";

#[test]
fn a_cut_line_loses_and_doubles_nothing() {
    play("a_cut_line_loses_and_doubles_nothing", async |stage| {
        let cable = Cable::socks().await;
        let proxied = browser::Options { proxy: Some(cable.address()), ..browser::Options::default() };
        let scene = Scene::open(stage, runner::Options::default(), &proxied).await;
        let page = &scene.page;
        // The browser's own words about a line that is cut; nobody can silence them.
        page.tab.browser().expect_console("net::ERR_");
        page.tab.browser().expect_console("WebSocket connection to");
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}; touch ended", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;

        cable.cut().await;
        // Between two tries it says that it connects.
        page.until("the page speaks of its line", &format!("{LINK}.includes('runner away')")).await;
        scene.write("go", "");
        scene.until_file("ended").await;
        page.tasks("running", 1).await;
        assert_eq!(page.drained().await, (0, 0), "the page cannot know of the end");

        cable.plug();
        page.ready().await;
        page.shows("It printed over.").await;
        page.over().await;
        page.tasks("good", 1).await;
        assert_eq!((page.drained().await, page.count("It printed over.").await), ((1, 1), 1));
        let log = page.log().await;
        assert_eq!(completions(&log, "over").len(), 1);
        each_completion_is_in_the_next_call(&log);
        stage.finish().await;
    });
}

#[test]
fn a_runner_that_comes_back_tells_what_was_lost() {
    scene("a_runner_that_comes_back_tells_what_was_lost", async |_, scene| {
        let page = scene.page.clone();
        page.tab.browser().expect_console("net::ERR_");
        page.tab.browser().expect_console("WebSocket connection to");
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;

        scene.runner.stop();
        page.until("it is said", &format!("{LINK}.includes('runner away')")).await;
        page.tab.click("button.link.link-why").await;
        page.until(
            "why is told",
            "return document.querySelector('#link-why:popover-open')?.innerText.length > 10",
        )
        .await;
        scene.runner.start_again().await;
        page.ready().await;
        page.tasks("ended", 1).await;

        // It starts no turn by itself, and goes into the next one, once.
        page.until("its end waits", "return document.querySelectorAll('.queue .chip').length === 1").await;
        page.send_message("$ echo next").await;
        page.shows("echo over was ").await;
        page.shows("echo next is done (exit 0)").await;
        page.over().await;
        page.reload().await;
        page.tasks("ended", 1).await;
        page.send_message("$ echo last").await;
        page.shows("echo last is done (exit 0)").await;
        page.over().await;
        assert_eq!(
            (page.drained().await, page.count("echo over was ").await),
            ((1, 1), 1),
            "it is told once"
        );
        let log = page.log().await;
        each_completion_is_in_the_next_call(&log);
        let states: Vec<TaskState> = completions(&log, "over").into_iter().map(|task| task.state).collect();
        assert!(
            matches!(states.as_slice(), [TaskState::Lost { .. } | TaskState::Stopped { .. }]),
            "{states:?}"
        );
    });
}
