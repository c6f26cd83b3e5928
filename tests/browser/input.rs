//! Tasks that are spoken to, run again and forgotten.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::runner::Options;
use serde_json::json;

use crate::page::Scene;
use crate::play::play;

#[test]
fn a_task_reads_what_one_sends_and_can_be_run_again_and_forgotten() {
    play("a_task_reads_what_one_sends_and_can_be_run_again_and_forgotten", async |stage| {
        let command = "printf 'Name: '; read -r name; echo \"hello $name\"; while read -r line; do echo \"got $line\"; done; echo over";
        let model = FakeAnthropic::steps([
            answer().tool("background_run", json!({"command": command, "stdin": true})),
            text_answer("It reads."),
            text_answer("The first has ended."),
            text_answer("The second has ended."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        let shows = async |text: &str| {
            let body = "return [...document.querySelectorAll('.task .screen')].some(one => one.innerText.includes(arguments[0]))";
            page.tab.until(&format!("the output holds {text:?}"), body, &[text.into()]).await;
        };
        page.mode("Asks nothing").await;
        page.send_message("Start it").await;
        page.shows("It reads.").await;
        page.idle().await;
        page.tab.click(".task .open").await;
        // What it has printed moves the buttons below.
        shows("Name:").await;
        page.press("Send input").await;
        page.until("one can write at once", "return document.activeElement.matches('.task .input input')")
            .await;
        let flag =
            "return document.querySelector('.task').innerText.includes('It may be waiting for input.')";
        page.until("its question is seen", flag).await;
        page.tab.type_keys("Ada" + thirtyfour::Key::Enter).await;
        shows("hello Ada").await;
        page.until("it does not wait any more", &flag.replace("return ", "return !")).await;
        page.tab.type_keys("one" + thirtyfour::Key::Enter).await;
        shows("got one").await;
        page.tab.type_keys("two").await;
        page.press("Send").await;
        shows("got two").await;
        page.tasks("running", 1).await;
        page.press("Close input").await;
        shows("over").await;
        page.tasks("good", 1).await;
        page.shows("The first has ended.").await;
        page.over().await;

        page.press("Run again").await;
        page.tasks("running", 1).await;
        page.tasks("good", 1).await;
        page.tab.click(".task[data-state=running] .open").await;
        page.until(
            "it is said whose command it runs",
            "return document.querySelector('.task[data-state=running]')
            .innerText.includes('an earlier task')",
        )
        .await;
        page.press("Send input").await;
        page.tab.find(".task[data-state=running] .input").await;
        page.press("Close input").await;
        page.tasks("good", 2).await;
        page.shows("The second has ended.").await;
        page.over().await;

        page.press("Clear ended").await;
        page.until("none is left", "return document.querySelectorAll('.task').length === 0").await;
        page.reload().await;
        page.shows("The second has ended.").await;
        page.until("none comes back", "return document.querySelectorAll('.task').length === 0").await;
        stage.finish().await;
    });
}
