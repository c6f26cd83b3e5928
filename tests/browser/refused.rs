//! What a model's server refuses, and answers that end in an odd way: the page says so, and there is a way
//! on.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, refuse, text_answer};
use e2e::runner::Options;
use serde_json::{Value, json};
use thirtyfour::Key;

use crate::page::{Page, Scene};
use crate::play::play;

/// What the box holds.
async fn box_holds(page: &Page, text: &str) {
    let body = "return document.querySelector('#composer')?.value === arguments[0]";
    page.tab.until(&format!("the box holds {text:?}"), body, &[text.into()]).await;
}

/// The texts of the last message of a request.
fn last_texts(model: &FakeAnthropic, request: usize) -> Vec<String> {
    let requests = model.requests();
    let messages = requests[request].body["messages"].as_array().expect("there are messages");
    let blocks = messages.last().and_then(|last| last["content"].as_array()).expect("it has blocks");
    blocks.iter().filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn what_is_refused_is_taken_back_changed_and_sent_again() {
    play("what_is_refused_is_taken_back_changed_and_sent_again", async |stage| {
        let model = FakeAnthropic::steps([
            refuse(400),
            text_answer("That goes."),
            refuse(413),
            text_answer("And that."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.send_message("odd words").await;
        page.shows("did not accept the request (400)").await;
        page.reload().await;
        page.press("Take it back").await;
        page.shows("You took your words back").await;
        box_holds(page, "odd words").await;
        // One writes on at once.
        page.tab.type_keys(", made plain").await;
        page.tab.type_keys(Key::Enter + "").await;
        page.shows("That goes.").await;
        page.idle().await;
        assert_eq!(last_texts(&model, 1), ["odd words, made plain"]);
        page.send_message("many words").await;
        page.shows("too large for the server (413)").await;
        // What is said meanwhile waits, and is not put behind what was refused.
        page.send_message("more words").await;
        page.until("they wait", "return document.querySelectorAll('.queue .messages li').length === 1").await;
        page.press("Take back").await;
        page.press("Take it back").await;
        box_holds(page, "many words").await;
        page.tab.type_keys(Key::Control + "a").await;
        page.tab.type_keys("few words" + Key::Enter).await;
        page.shows("And that.").await;
        page.idle().await;
        assert_eq!(last_texts(&model, 3), ["few words"]);
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
        stage.finish().await;
    });
}

#[test]
fn a_conversation_that_is_full_goes_on_in_a_new_one() {
    play("a_conversation_that_is_full_goes_on_in_a_new_one", async |stage| {
        let model = FakeAnthropic::steps([
            refuse(400).because("prompt is too long: 1000001 tokens > 1000000 maximum"),
            text_answer("Here is room."),
            answer().text("As far as it goes").stop("model_context_window_exceeded"),
            text_answer("Here is room, too."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        let goes_on = async |text: &str, answer: &str| {
            page.until("the way on is there", "return document.querySelector('.foot .full button')").await;
            let full = page.tab.url().await;
            page.press("Go on in a new session").await;
            box_holds(page, text).await;
            assert_ne!(page.tab.url().await, full);
            page.ready().await;
            page.tab.type_keys(Key::Enter + "").await;
            page.shows(answer).await;
            page.idle().await;
            page.until("nothing is full here", "return !document.querySelector('.foot .full')").await;
        };
        page.send_message("too much").await;
        page.shows("no longer fits the model (400)").await;
        goes_on("too much", "Here is room.").await;
        page.send_message("all of it").await;
        page.shows("As far as it goes").await;
        page.shows("no longer fits into the model's context").await;
        // Nothing is added to it, not even by a reload.
        page.send_message("and more").await;
        page.tab.find(".foot .full").await;
        page.reload().await;
        page.until("they wait", "return document.querySelectorAll('.queue .messages li').length === 1").await;
        assert_eq!(model.requests().len(), 3);
        crate::looks::draw(page, "full-context").await;
        page.tab.resize(1440, 900).await;
        goes_on("all of it\n\nand more", "Here is room, too.").await;
        assert_eq!(last_texts(&model, 3), ["all of it\n\nand more"]);
        assert_eq!(model.requests()[3].body["messages"].as_array().map(Vec::len), Some(1));
        stage.finish().await;
    });
}

#[test]
fn a_stop_for_a_tool_without_one_is_said() {
    play("a_stop_for_a_tool_without_one_is_said", async |stage| {
        let model = FakeAnthropic::steps([
            answer().text("I look into it.").stop("tool_use"),
            answer().stop("tool_use"),
            text_answer("Now it is done."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        let said = "The model stopped to use a tool, but named none.";
        page.send_message("Look").await;
        page.shows("I look into it.").await;
        page.shows(said).await;
        page.idle().await;
        page.send_message("go on").await;
        page.until("it is said again", "return document.querySelectorAll('.notice').length === 2").await;
        page.idle().await;
        page.send_message("go on").await;
        page.shows("Now it is done.").await;
        page.idle().await;
        assert_eq!(page.count(said).await, 2, "{:?}", page.rows().await);
        let rows = page.rows().await;
        page.reload().await;
        page.shows_rows(&rows).await;
        let asked: Vec<Value> = model.requests().iter().map(|request| json!(request.n)).collect();
        assert_eq!(asked, [1, 2, 3].map(Value::from));
        stage.finish().await;
    });
}
