//! A runner whose commands may write only to the workspace.

use e2e::browser;
use e2e::runner::Options;

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
        let words = page
            .until("it says so", "return document.querySelector('#confined:popover-open')?.innerText")
            .await;
        let workspace = scene.runner.workspace().display().to_string();
        assert!(words.as_str().is_some_and(|words| words.contains(&workspace)), "{words} names {workspace}");
        let outside = scene.runner.workspace().with_extension("outside");
        page.say(&format!("$ touch inside; touch {}", outside.display())).await;
        page.says("failed").await;
        page.idle().await;
        assert!(scene.read("inside").is_some());
        assert!(!outside.exists(), "it wrote to {}", outside.display());
        stage.finish().await;
    });
}
