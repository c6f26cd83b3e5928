//! The line to the runner: cut, stalled, taken over; several sessions on one runner.

use std::collections::BTreeSet;

use agent::record::{Entry, Record};
use agent::settings::Provider;
use agent::view::LinkView;
use e2e::cable::Cable;
use e2e::fake_anthropic::{FakeAnthropic, answer, text_answer};
use e2e::native_shell::{Session, Store, auto};
use e2e::runner::{Client, Options, Runner};
use e2e::stage::play;
use e2e::view::View;
use serde_json::json;
use shared::protocol::TaskEvent;

use crate::scene::{Scene, gone, until_file};

fn is_live(view: &View) -> bool {
    view.status.as_ref().is_some_and(|status| status.link == LinkView::Live)
}

fn is_down(view: &View) -> bool {
    view.status
        .as_ref()
        .is_some_and(|status| matches!(status.link, LinkView::Down { .. } | LinkView::Opening))
}

/// A session whose line to the runner is a cable.
async fn wired(runner: &Runner, client: &Client) -> (Cable, Session) {
    let cable = Cable::to(runner.address()).await;
    let session = Session::through(cable.address(), client, Store::new(auto(Provider::Relay))).await;
    (cable, session)
}

#[test]
fn cuts_at_any_time_during_ten_tasks_lose_and_double_nothing() {
    play(async {
        let model = FakeAnthropic::by(|request| {
            if request.messages().len() > 1 {
                return text_answer("So be it.");
            }
            (0..10).fold(answer(), |all, n| {
                all.tool("background_run", json!({"command": format!("sleep 0.{n}; echo end of {n}")}))
            })
        })
        .await;
        let runner = Runner::with(Options::default().relay(&model)).await;
        let client = runner.pair().await;
        let (cable, session) = wired(&runner, &client).await;
        session.send_message("Start ten");
        for round in 0..6 {
            let ended =
                move |view: &View| view.tasks.iter().filter(|task| task.state.is_end()).count() >= round;
            session.until("so many ended", ended).await;
            cable.cut().await;
            session.until("it notices", is_down).await;
            cable.plug();
            session.send(agent::Event::Online);
            session.until("the line is back", is_live).await;
        }
        let over = |view: &View| {
            view.is_idle() && view.tasks.len() == 10 && view.tasks.iter().all(|task| task.state.is_end())
        };
        session.until("all is over", over).await;
        let told = model.requests().last().expect("there are requests").notices().join("\n");
        for n in 0..10 {
            assert_eq!(told.matches(&format!("\n| end of {n}\n")).count(), 1, "end {n} is told once: {told}");
        }
    });
}

#[test]
fn sessions_of_one_runner_never_cross() {
    play(async {
        let model = FakeAnthropic::by(|request| {
            let name = request.first_text();
            let notices = request.notices().join("\n");
            let other = if name.contains("apples") { "pears" } else { "apples" };
            assert!(!notices.contains(other), "a result of {other} in the session of {name}");
            match request.messages().len() {
                1 => {
                    let fruit = name.split_whitespace().last().unwrap_or_default().to_owned();
                    (0..4).fold(answer(), |all, n| {
                        all.tool(
                            "background_run",
                            json!({"command": format!("sleep 0.{n}; echo {fruit} {n}")}),
                        )
                    })
                }
                _ => text_answer("Good."),
            }
        })
        .await;
        let runner = Runner::with(Options::default().relay(&model)).await;
        let (one, other) = (runner.pair().await, runner.pair_by(&runner.fresh_link().await).await);
        let apples = Session::open(&one, auto(Provider::Relay)).await;
        let pears = Session::open(&other, auto(Provider::Relay)).await;
        apples.send_message("Count apples");
        pears.send_message("Count pears");
        for (session, fruit) in [(&apples, "apples"), (&pears, "pears")] {
            let all = |view: &View| view.is_idle() && view.drained().1 == 4;
            session.until("all four were told", all).await;
            let own: BTreeSet<_> = session.log().iter().filter_map(own_end).collect();
            assert!(own.len() == 4 && own.iter().all(|command| command.contains(fruit)), "{own:?}");
        }
        // Both see all eight, each marked with whose it is.
        for session in [&apples, &pears] {
            session.until("it sees all tasks", |view| view.tasks.len() == 8).await;
            let own = session.view().tasks.iter().filter(|task| task.session == session.id()).count();
            assert_eq!(own, 4);
        }
    });
}

/// The command of a task whose end was taken in.
fn own_end(entry: &Entry) -> Option<String> {
    let Record::CompletionReceived { event: TaskEvent::Ended { task, .. }, .. } = &entry.record else {
        return None;
    };
    Some(task.command.clone())
}

#[test]
fn a_newer_connection_fences_the_older_one() {
    play(async {
        let scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            text_answer("It runs."),
            text_answer("It ended."),
        ])
        .await;
        scene.session.send_message("Start it");
        scene.session.shows("It runs.").await;
        scene.session.saved().await;
        // A second page opens the very same session without asking the first: a tab whose lock was lost.
        let second =
            Session::through(scene.client.address, &scene.client, scene.session.store().clone()).await;
        second.until("it is connected", is_live).await;
        scene.session.until("the first one is cut off", |view| !is_live(view)).await;
        scene.release("go");
        second.shows("It ended.").await;
        let requests = scene.model.requests();
        assert_eq!(requests.len(), 3, "only one of them told it");
    });
}

#[test]
fn a_session_that_was_fenced_does_nothing_more() {
    play(async {
        let scene = Scene::steps([
            answer().tool("background_run", json!({"command": until_file("go")})),
            text_answer("It runs."),
        ])
        .await;
        scene.session.send_message("Start it");
        scene.session.shows("It runs.").await;
        scene.session.saved().await;
        scene.session.send(agent::Event::Fenced);
        let before = scene.session.log().len();
        scene.session.send_message("Anyone there?");
        scene.release("go");
        gone(&scene.task("while")).await;
        assert_eq!(scene.session.log().len(), before);
        assert_eq!(scene.model.requests().len(), 2);
    });
}
