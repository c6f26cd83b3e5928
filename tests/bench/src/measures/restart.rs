//! A runner that starts over a long history: how soon it answers.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use uuid::Uuid;

use crate::Bench;
use crate::client::Page;
use crate::figures::{Figures, millis};
use crate::report::{Row, Section};
use crate::runner::Runner;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let count = bench.amount(10_000, 200);
    let turns = bench.amount(7, 1);
    let mut runner = Runner::start(bench, &[]).await;
    let (mut fresh_link, mut fresh_welcome) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        runner = runner.start_again(bench, &[]).await;
        let (link, welcome) = first_answers(&runner, 0).await?;
        fresh_link.push(link);
        fresh_welcome.push(welcome);
    }
    // Ends that nobody acknowledges stay listed, up to twenty thousand of them.
    let mut page = Page::open(&runner).await?;
    let width = 32;
    for _ in 0..width {
        page.begin("true").await;
    }
    for ended in 0..count {
        page.end().await?;
        if ended + width < count {
            page.begin("true").await;
        }
    }
    drop(page);
    let (mut link, mut welcome) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        runner = runner.start_again(bench, &[]).await;
        let times = first_answers(&runner, count).await?;
        link.push(times.0);
        welcome.push(times.1);
    }
    runner.stop().await;
    let row = |what: &str, ours: Vec<f64>, fresh: Vec<f64>| Row {
        what: what.into(),
        ours: millis(Figures::new(ours).median()),
        baseline: millis(Figures::new(fresh).median()),
        ..Row::default()
    };
    Ok(Section {
        title: "A start over a long history",
        how: format!(
            "{count} ended commands are in the store, none of them acknowledged, so that all are listed and all their events wait. From the start of the program to the first \
             answer over HTTP, and to a page's welcome with all of them. The baseline is the same with an empty store."
        ),
        baseline: "empty store",
        rows: vec![
            row("the first answer", link, fresh_link),
            row("the first page's welcome", welcome, fresh_welcome),
        ],
    })
}

/// Milliseconds from the program's start to an answer, and to a welcome that lists so many tasks.
async fn first_answers(runner: &Runner, tasks: usize) -> anyhow::Result<(f64, f64)> {
    let health = runner.get("/api/health").await;
    let answered = runner.began.elapsed();
    ensure!(health["status"] == "ok", "{health}");
    let page = Page::open_session(runner.port, &runner.credential, Uuid::new_v4()).await?;
    let welcomed = runner.began.elapsed();
    let listed = page.welcome["tasks"].as_array().context("the welcome lists tasks")?.len();
    ensure!(listed == tasks, "{listed} of {tasks} are listed");
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    Ok((millis(answered), millis(welcomed)))
}
