//! What the conversation shows of what a model and its tools say.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, say};
use e2e::gate::Gate;
use e2e::runner::Options;
use serde_json::json;

use crate::page::Scene;
use crate::play::play;

#[test]
fn markup_is_text_whoever_writes_it() {
    play("markup_is_text_whoever_writes_it", async |stage| {
        let image = "<img src=x onerror=\"window.hurt = 1\">";
        let script = "<script>window.hurt = 1</script>";
        let model = FakeAnthropic::steps([
            answer()
                .text(&format!("{image}\n\nHere {image} and {script}.\n\n{script}\n\n- [a link](javascript:window.hurt=1)\n\n`{image}`"))
                .tool("bash", json!({"command": format!("cat <<'END'\n{image}{script}\nEND")})),
            say(&format!("| {image} |\n|---|\n| {script} |\n\n```html\n{image}\n```\n")),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.say(&format!("What is {image}?")).await;
        page.says("html").await;
        page.idle().await;
        // One's own words; four in the answer's two parts, the command and its output, and two more at the end.
        for (what, times) in [(image, 8), (script, 5)] {
            assert_eq!(page.count(what).await, times, "{what} in {:#?}", page.rows().await);
        }
        let made = "return [...document.querySelectorAll('#root img, main img, main script, header img, nav img, [href^=javascript]')]
            .map(one => one.outerHTML)";
        assert_eq!(page.tab.script(made, &[]).await, json!([]));
        page.reload().await;
        page.says("html").await;
        assert_eq!(page.tab.script(made, &[]).await, json!([]), "nor after a reload");
        assert_eq!(page.tab.script("return window.hurt ?? null", &[]).await, json!(null));
        stage.finish().await;
    });
}

#[test]
fn a_change_of_a_file_shows_what_was_changed() {
    play("a_change_of_a_file_shows_what_was_changed", async |stage| {
        let edit = json!({"path": "poem.txt", "old_text": "two\n", "new_text": "second\nand a half\n"});
        let model = FakeAnthropic::steps([
            answer().tool("read_file", json!({"path": "poem.txt"})),
            answer().tool("edit_file", edit),
            say("It is changed."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        scene.write("poem.txt", "one\ntwo\nthree\n");
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.say("Change the poem").await;
        page.says("It is changed.").await;
        page.idle().await;
        assert_eq!(scene.read("poem.txt").as_deref(), Some("one\nsecond\nand a half\nthree\n"));
        let lines = "return [...document.querySelectorAll('.tool .diff .line')].map(line => [line.dataset.kind, line.textContent])";
        let expected = json!([
            ["place", "@@ -1,3 +1,4 @@\n"],
            ["same", " one\n"],
            ["removed", "-two\n"],
            ["added", "+second\n"],
            ["added", "+and a half\n"],
            ["same", " three\n"],
        ]);
        assert_eq!(page.tab.script(lines, &[]).await, expected);
        assert_eq!(page.count("+2 −1").await, 1, "{:?}", page.rows().await);
        stage.finish().await;
    });
}

#[test]
fn who_reads_further_up_is_left_there_and_told_of_news() {
    play("who_reads_further_up_is_left_there_and_told_of_news", async |stage| {
        let (more, last) = (Gate::new(), Gate::new());
        let long = "A line.\n\n".repeat(80);
        let model = FakeAnthropic::steps([answer()
            .text(&format!("{long}The middle."))
            .hold(&more)
            .text(&format!("\n\n{long}The news."))
            .hold(&last)
            .text(&format!("\n\n{long}The end."))])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        let at_end = "const log = document.querySelector('.log');
            return log.scrollTop > 0 && log.scrollHeight - log.scrollTop - log.clientHeight < 40 && !document.querySelector('.below')";
        page.say("Tell me much").await;
        page.says("The middle.").await;
        page.until("the end is in view", at_end).await;
        page.tab.script("document.querySelector('.log').scrollTop = 0", &[]).await;
        page.tab.find(".below button").await;
        more.open();
        page.says("The news.").await;
        page.until("one is left where one reads", "return document.querySelector('.log').scrollTop === 0")
            .await;
        page.press("New below ↓").await;
        page.until("the end is in view again", at_end).await;
        last.open();
        page.says("The end.").await;
        page.idle().await;
        page.until("the end stays in view", at_end).await;
        stage.finish().await;
    });
}
