//! Where commands run and files change: a runner that is confined to its workspace, and a workspace that is
//! no project's folder.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::runner::Options;
use serde_json::json;

use crate::looks::draw;
use crate::page::Scene;
use crate::play::play;

#[test]
fn a_confined_runner_says_so_and_is() {
    play("a_confined_runner_says_so_and_is", async |stage| {
        let mut options = Options::default();
        options.arguments.push("--confine".to_owned());
        let scene = Scene::open(stage, options, &browser::Options::default()).await;
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.press("confined").await;
        let text = page
            .until("it says so", "return document.querySelector('#confined:popover-open')?.innerText")
            .await;
        let workspace = scene.runner.workspace().display().to_string();
        assert!(text.as_str().is_some_and(|text| text.contains(&workspace)), "{text} names {workspace}");
        let outside = scene.runner.workspace().with_extension("outside");
        page.send_message(&format!("$ touch inside; touch {}", outside.display())).await;
        page.shows("failed").await;
        page.idle().await;
        assert!(scene.read("inside").is_some());
        assert!(!outside.exists(), "it wrote to {}", outside.display());
        stage.finish().await;
    });
}

#[test]
fn a_home_folder_is_said_at_the_start_and_each_change_in_it_is_asked_for() {
    play("a_home_folder_is_said_at_the_start_and_each_change_in_it_is_asked_for", async |stage| {
        let write = |name: &str| answer().tool("write_file", json!({"path": name, "content": "x"}));
        let edit = json!({"path": "one", "old_text": "x", "new_text": "y"});
        let model = FakeAnthropic::steps([
            write("one"),
            answer().tool("edit_file", edit),
            text_answer("Changed."),
            write("two"),
            text_answer("Written."),
            write("three"),
            text_answer("Three."),
        ])
        .await;
        let options = Options { at_home: true, ..Options::default() }.relay(&model);
        let scene = Scene::open(stage, options, &browser::Options::default()).await;
        let page = &scene.page;
        let notice =
            "The workspace is your home folder, not a project's: each change of a file in it is asked for.";
        page.shows(notice).await;
        draw(page, "home").await;
        page.tab.resize(1440, 900).await;
        page.press("not a project's folder").await;
        let told = "return document.querySelector('#wide:popover-open')?.innerText === arguments[0]";
        page.tab.until("it is said later, too", told, &[notice.into()]).await;
        // Two changes, one after the other: what was allowed for one is not for the next, and for good it
        // cannot be.
        page.send_message("Write and change").await;
        let asks = async |question: &str| {
            let body =
                "return document.querySelector('#approval-question strong')?.innerText === arguments[0]";
            page.tab.until("it is asked", body, &[question.into()]).await;
            let always = "return [...document.querySelectorAll('#approval .answers button')].map(one => one.innerText).filter(one => one.startsWith('Always'))";
            assert_eq!(page.tab.script(always, &[]).await, json!([]));
        };
        asks("Write this file?").await;
        assert_eq!(scene.read("one"), None);
        page.press("Allow once").await;
        asks("Change this file?").await;
        assert_eq!(scene.read("one").as_deref(), Some("x"));
        page.press("Allow once").await;
        page.shows("Changed.").await;
        page.idle().await;
        page.mode("Asks before everything").await;
        page.send_message("And another").await;
        asks("Write this file?").await;
        page.press("Deny").await;
        page.shows("Written.").await;
        page.idle().await;
        assert_eq!((scene.read("one").as_deref(), scene.read("two")), (Some("y"), None));
        page.mode("Asks nothing").await;
        page.send_message("The last").await;
        page.shows("Three.").await;
        page.idle().await;
        assert_eq!(scene.read("three").as_deref(), Some("x"));
        stage.finish().await;
    });
}
