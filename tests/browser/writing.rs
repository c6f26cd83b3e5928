//! What is being written: nothing of it is sent too early, and nothing of it is lost.

use serde_json::json;
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
        page.shows("half a sentence, and the rest").await;
        page.idle().await;
    });
}

#[test]
fn nothing_that_was_written_goes_with_a_reload() {
    scene("nothing_that_was_written_goes_with_a_reload", async |_, scene| {
        let page = &scene.page;
        let draft = "seventy characters that nobody may lose, whatever the page is told next";
        page.tab.click("#composer").await;
        page.tab.type_keys(draft).await;
        page.tab.reload().await;
        let back = "return document.querySelector('#composer')?.value === arguments[0]";
        page.tab.until("the draft is back", back, &[draft.into()]).await;
        page.ready().await;
        page.tab.click("#composer").await;
        page.tab.type_keys(Key::Control + "a").await;
        // Four messages, and the page goes before anything can have come of them.
        let four = ["first words", "second words", "third words", "fourth words"];
        let keys = four.iter().fold(TypingData::from(""), |keys, message| keys + *message + Key::Enter);
        page.tab.type_keys(keys).await;
        page.reload().await;
        page.shows("fourth words").await;
        page.idle().await;
        let said = "return [...document.querySelectorAll('.me .text')].map(one => one.innerText)";
        assert_eq!(page.tab.script(said, &[]).await, serde_json::json!(four), "each once, in their order");
        page.reload().await;
        page.shows("fourth words").await;
        assert_eq!(page.tab.script(said, &[]).await, serde_json::json!(four), "and never again");
        page.tab.until("the box is empty", back, &["".into()]).await;
    });
}

/// Puts this many bytes into the clipboard, and watches a box into which they are pasted: `window.took` is
/// after how many milliseconds they were drawn, and how many there are.
const PASTE: &str = "const [selector, size] = arguments;
    const line = 'Words that fill a line of some length, and a number at its end: 12345678\\n';
    const box = document.querySelector(selector);
    box.value = '';
    box.dispatchEvent(new InputEvent('input', {bubbles: true}));
    box.focus();
    let began;
    window.took = null;
    const key = (event) => { if (event.key === 'v') began = performance.now(); };
    box.addEventListener('keydown', key, {capture: true});
    box.addEventListener('input', () => requestAnimationFrame(() => setTimeout(() => {
        box.removeEventListener('keydown', key, {capture: true});
        window.took = [performance.now() - began, box.value.length];
    })), {once: true});
    return navigator.clipboard.writeText(line.repeat(size / line.length)).then(() => true);";

#[test]
fn a_long_text_is_taken_as_soon_as_by_any_box() {
    scene("a_long_text_is_taken_as_soon_as_by_any_box", async |_, scene| {
        let page = &scene.page;
        let allowed = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": scene.runner.origin()});
        page.tab.cdp("Browser.grantPermissions", allowed).await;
        // As plain as can be, beside the page's own, and of its size.
        let plain = "const box = document.querySelector('#composer'), plain = document.createElement('textarea');
            plain.id = 'plain'; plain.rows = 12;
            Object.assign(plain.style, {position: 'fixed', top: '0', left: '0', zIndex: 9, width: box.clientWidth + 'px', font: getComputedStyle(box).font});
            document.body.append(plain);";
        page.tab.script(plain, &[]).await;
        let paste = async |selector: &str| {
            page.tab.until("there is something to paste", PASTE, &[selector.into(), 300_000.into()]).await;
            page.tab.type_keys(Key::Control + "v").await;
            let found = page.until("it was pasted", "return window.took").await;
            assert!(found[1].as_u64().is_some_and(|length| length > 299_000), "{found}");
            found[0].as_f64().expect("it is a time")
        };
        let (mut plain, mut own) = (f64::MAX, f64::MAX);
        for _ in 0..2 {
            plain = plain.min(paste("#plain").await);
            own = own.min(paste("#composer").await);
        }
        let _told = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("300 kB are in a plain box after {plain:.0} ms, in the page's after {own:.0} ms\n"),
        );
        assert!(own < 3.0 * plain + 300.0, "{own} ms, and {plain} ms in a plain box");

        // Its words are read when the keys rest, and not with each of them.
        let watch = "document.querySelector('#plain').remove();
            window.reads = 0;
            const value = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value');
            Object.defineProperty(HTMLTextAreaElement.prototype, 'value', {...value, get() { window.reads += 1; return value.get.call(this); }});
            const box = document.querySelector('#composer');
            return new Promise(done => setTimeout(() => {
                window.reads = 0;
                for (let n = 0; n < 50; n += 1) document.execCommand('insertText', false, 'x');
                done(window.reads);
            }, 800));";
        assert_eq!(page.tab.script(watch, &[]).await, json!(0));
        page.until("then they are read", "return window.reads > 0").await;
        // All of it is sent, also what was written last.
        page.tab.script("document.querySelector('#composer').setSelectionRange(0, 299000)", &[]).await;
        page.tab.type_keys("$ echo y, and forget" + Key::Enter).await;
        let said = "const words = document.querySelector('.me .text')?.innerText; return words?.startsWith('$ echo y, and forget') && words.endsWith('x'.repeat(50))";
        page.until("all of it is said", said).await;
    });
}
