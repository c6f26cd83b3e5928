//! What is being written: nothing of it is sent too early, and nothing of it is lost.

use thirtyfour::{Key, TypingData};

use crate::page::scene;

#[test]
fn an_enter_that_ends_a_composition_sends_nothing() {
    scene("an_enter_that_ends_a_composition_sends_nothing", async |_, scene| {
        let page = &scene.page;
        page.tab.click("#composer").await;
        page.tab.type_keys("half a sentence").await;
        // Safari says that the composition has ended before it tells of the key that ended it.
        let safari = "const box = document.querySelector('#composer');
            box.dispatchEvent(new CompositionEvent('compositionend', {bubbles: true, data: 'x'}));
            return box.dispatchEvent(new KeyboardEvent('keydown',
                {key: 'Enter', keyCode: 229, isComposing: false, bubbles: true, cancelable: true}));";
        assert_eq!(page.tab.script(safari, &[]).await, true, "the key is the input method's");
        assert_eq!(
            page.tab.script("return document.querySelector('#composer').value", &[]).await,
            "half a sentence"
        );
        page.tab.type_keys(", and the rest" + Key::Enter).await;
        page.says("half a sentence, and the rest").await;
        page.idle().await;
    });
}

#[test]
fn nothing_that_was_written_goes_with_a_reload() {
    scene("nothing_that_was_written_goes_with_a_reload", async |_, scene| {
        let page = &scene.page;
        let words = "seventy characters that nobody may lose, whatever the page is told next";
        page.tab.click("#composer").await;
        page.tab.type_keys(words).await;
        page.tab.reload().await;
        let back = "return document.querySelector('#composer')?.value === arguments[0]";
        page.tab.until("the draft is back", back, &[words.into()]).await;
        page.ready().await;
        page.tab.click("#composer").await;
        page.tab.type_keys(Key::Control + "a").await;
        // Four messages, and the page goes before anything can have come of them.
        let four = ["first words", "second words", "third words", "fourth words"];
        let keys = four.iter().fold(TypingData::from(""), |keys, words| keys + *words + Key::Enter);
        page.tab.type_keys(keys).await;
        page.reload().await;
        page.says("fourth words").await;
        page.idle().await;
        let said = "return [...document.querySelectorAll('.me .words')].map(one => one.innerText)";
        assert_eq!(page.tab.script(said, &[]).await, serde_json::json!(four), "each once, in their order");
        page.reload().await;
        page.says("fourth words").await;
        assert_eq!(page.tab.script(said, &[]).await, serde_json::json!(four), "and never again");
        page.tab.until("the box is empty", back, &["".into()]).await;
    });
}
