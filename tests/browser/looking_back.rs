//! Looking back: a session played again, and the timeline by keys.

use e2e::browser;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::gate::Gate;
use e2e::runner::Options;
use thirtyfour::Key;

use crate::page::{Scene, scene, until_go};
use crate::play::play;

#[test]
fn a_session_can_be_played_again_from_any_moment() {
    scene("a_session_can_be_played_again_from_any_moment", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        for word in ["one", "two"] {
            page.send_message(&format!("$ echo {word}")).await;
            page.shows(&format!("echo {word} is done (exit 0)")).await;
            page.idle().await;
        }
        let rows = page.rows().await;
        page.press("replay").await;
        page.tab.find(".replay").await;
        page.press("Pause").await;
        page.tab.click(".replay input").await;
        page.tab.type_keys(Key::Home + "").await;
        page.until(
            "the beginning is shown",
            "return document.querySelectorAll('#conversation .column > *').length === 0",
        )
        .await;
        page.tab.type_keys(Key::End + "").await;
        page.shows_rows(&rows).await;
        // Back by steps until the last answer is not yet there, and the first one still is.
        let (first, last) = ("echo one is done (exit 0)", "echo two is done (exit 0)");
        page.tab
            .script(
                "const slider = document.querySelector('.replay input');
            slider.value = slider.max / 2; slider.dispatchEvent(new Event('input', {bubbles: true}))",
                &[],
            )
            .await;
        page.until(
            "it is earlier",
            "return !document.querySelector('#conversation .column').innerText.includes('echo two is done')",
        )
        .await;
        let half = page.rows().await;
        // The last one may be under way at that moment.
        let whole = half.len() - 1;
        assert!(half.len() < rows.len() && half[..whole] == rows[..whole], "{half:?}");
        assert_eq!(half[whole].0, rows[whole].0);
        assert_eq!(page.count(last).await, 0, "{first} may be there");
        page.press("Play").await;
        page.press("16×").await;
        page.shows_rows(&rows).await;
        page.until(
            "it stops at the end",
            "return [...document.querySelectorAll('.replay button')].some(one => one.innerText === 'Play')",
        )
        .await;
        page.press("Back to the session").await;
        page.ready().await;
        page.shows_rows(&rows).await;
        page.send_message("$ echo three").await;
        page.shows("echo three is done (exit 0)").await;
    });
}

#[test]
fn the_timeline_goes_by_keys() {
    scene("the_timeline_goes_by_keys", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message("& sleep 0.3; echo over").await;
        page.shows("It printed over.").await;
        page.over().await;
        page.tab.type_keys(Key::Alt + "4").await;
        page.until("the timeline has the focus", "return document.activeElement.id === 'timeline'").await;
        page.tab.script("document.querySelector('.lanes').focus()", &[]).await;
        let width = async || {
            let width = page
                .tab
                .script("return +document.querySelector('.bar[data-kind=task]').getAttribute('width')", &[])
                .await;
            width.as_f64().expect("a width")
        };
        let before = width().await;
        page.tab.type_keys("-").await;
        page.tab.until("its bar is shorter", "return +document.querySelector('.bar[data-kind=task]').getAttribute('width') < arguments[0] * 0.8", &[before.into()]).await;
        page.tab.type_keys("+").await;
        page.tab.type_keys("0").await;
        page.tab.until("its bar is as before", "return Math.abs(document.querySelector('.bar[data-kind=task]').getAttribute('width') - arguments[0]) < 2", &[before.into()]).await;
        // Down through the bars to the task's; Enter shows its card.
        let is_task = "return document.activeElement.matches('.bar[data-kind=task][role=button]')";
        let mut steps = 0;
        while page.tab.script(is_task, &[]).await != true {
            assert!(steps < 20, "no step comes to the task's bar");
            page.tab.type_keys(Key::Down + "").await;
            steps += 1;
        }
        page.until(
            "it is told what it is",
            "return document.querySelector('.timeline .detail').innerText.includes('sleep 0.3')",
        )
        .await;
        page.tab.type_keys(Key::Enter + "").await;
        page.until(
            "the task is shown",
            "return document.activeElement.matches('.task .open[aria-expanded=true]')",
        )
        .await;
    });
}

#[test]
fn a_replay_stops_nothing_and_goes_with_its_session() {
    play("a_replay_stops_nothing_and_goes_with_its_session", async |stage| {
        let held = Gate::new();
        let model = FakeAnthropic::steps([
            text_answer("The first answer."),
            answer().text("This goes on").hold(&held).text(" and comes to its end."),
        ])
        .await;
        let scene = Scene::open(stage, Options::default().relay(&model), &browser::Options::default()).await;
        let page = &scene.page;
        page.send_message("One").await;
        page.shows("The first answer.").await;
        page.idle().await;
        page.send_message("Two").await;
        page.shows("This goes on").await;
        page.press("replay").await;
        page.tab.find(".replay").await;
        page.tab.type_keys(Key::Escape + "").await;
        page.press("Back to the session").await;
        page.shows("This goes on").await;
        held.open();
        page.shows("and comes to its end.").await;
        page.idle().await;
        assert_eq!(page.count("You stopped").await, 0);
        page.press("replay").await;
        page.tab.find(".replay").await;
        page.tab.click(".sessions button.new").await;
        page.tab.find(".welcome").await;
        page.ready().await;
        page.until("nothing of it is left", "return !document.querySelector('.replay')").await;
        stage.finish().await;
    });
}

#[test]
fn a_bar_is_called_what_it_is() {
    scene("a_bar_is_called_what_it_is", async |_, scene| {
        let page = &scene.page;
        page.mode("Asks nothing").await;
        page.send_message(&format!("& {}", until_go("over"))).await;
        page.shows("its result comes by itself").await;
        page.idle().await;
        let goes_on =
            "return document.querySelector('.bar[data-kind=task]')?.ariaLabel.includes('· goes on ·')";
        page.until("it is said to go on", goes_on).await;
        scene.write("go", "");
        page.shows("It printed over.").await;
        page.over().await;
        let over = "const bars = [...document.querySelectorAll('rect.bar')].map(bar => bar.ariaLabel);
            return bars.length > 3 && bars.every(bar => !bar.includes('goes on') && !bar.includes('so far')) && bars.join('; ')";
        page.until("all are said to have ended", over).await;
    });
}
