//! Words that wait for their turn: what one can still do with them.

use thirtyfour::Key;

use crate::page::{Page, scene, until_go};

/// Waits until these words wait, in this order, each with when it will be said.
async fn wait_for(page: &Page, expected: &[(&str, &str)]) {
    let body = "return JSON.stringify([...document.querySelectorAll('.queue .messages li')].map(row =>
        [row.querySelector('.text')?.innerText, row.querySelector('.note')?.innerText])) === JSON.stringify(arguments[0])";
    page.tab.until(&format!("what waits is {expected:?}"), body, &[serde_json::json!(expected)]).await;
}

/// Presses a button of the words at this place, counted from 1.
async fn press_at(page: &Page, place: usize, label: &str) {
    page.tab.click(&format!(".queue .messages li:nth-child({place}) [aria-label='{label}']")).await;
}

#[test]
fn messages_that_wait_can_be_moved_edited_cancelled_and_steered() {
    scene("messages_that_wait_can_be_moved_edited_cancelled_and_steered", async |_, scene| {
        let page = &scene.page;
        let (first, second, third) = ("$ echo first", "$ echo second", "$ echo third");
        page.mode("Asks nothing").await;
        page.send_message(&format!("$ {}", until_go("over"))).await;
        page.tab.find(".tool[data-state=running]").await;
        for message in [first, second, third] {
            page.send_message(message).await;
        }
        wait_for(page, &[(first, "next turn"), (second, "next turn"), (third, "next turn")]).await;
        press_at(page, 3, "Move up").await;
        wait_for(page, &[(first, "next turn"), (third, "next turn"), (second, "next turn")]).await;
        press_at(page, 1, "Move down").await;
        wait_for(page, &[(third, "next turn"), (first, "next turn"), (second, "next turn")]).await;

        // Escape leaves the words as they were, and the reply alone.
        press_at(page, 1, "Edit").await;
        page.until("one can write at once", "return document.activeElement.matches('.queue textarea')").await;
        page.tab.type_keys("nonsense" + Key::Escape).await;
        wait_for(page, &[(third, "next turn"), (first, "next turn"), (second, "next turn")]).await;
        page.tab.find(".tool[data-state=running]").await;
        press_at(page, 1, "Edit").await;
        page.until("one can write again", "return document.activeElement.matches('.queue textarea')").await;
        page.tab.type_keys(Key::Control + "a").await;
        let edited = "$ echo edited";
        page.tab.type_keys(edited.to_owned() + Key::Enter).await;
        wait_for(page, &[(edited, "next turn"), (first, "next turn"), (second, "next turn")]).await;

        press_at(page, 3, "Take back").await;
        wait_for(page, &[(edited, "next turn"), (first, "next turn")]).await;
        page.tab.click(".queue .messages li:nth-child(2) button.small").await;
        let waiting = [(edited, "next turn"), (first, "next call")];
        wait_for(page, &waiting).await;
        page.reload().await;
        wait_for(page, &waiting).await;

        scene.write("go", "");
        page.shows("echo first is done (exit 0)").await;
        page.shows("echo edited is done (exit 0)").await;
        page.over().await;
        let texts = "return [...document.querySelectorAll('.me .text')].slice(1).map(row => row.innerText)";
        let sent = page.tab.script(texts, &[]).await;
        assert_eq!(sent, serde_json::json!([first, edited]), "the steered words went first");
    });
}
