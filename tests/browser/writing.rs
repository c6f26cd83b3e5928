//! What is being written: nothing of it is sent too early, and nothing of it is lost.

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
        page.tab.type_keys(", and the rest" + thirtyfour::Key::Enter).await;
        page.says("half a sentence, and the rest").await;
        page.idle().await;
    });
}
