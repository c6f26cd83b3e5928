//! Many connected pages, each with a command that prints, and then one among them that no longer reads.
//!
//! The pages that are only there to be many have a thread and a runtime of their own, and drop what they
//! read.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use tokio::sync::watch;

use crate::Bench;
use crate::client::Page;
use crate::figures::{Figures, millis};
use crate::report::{Row, Section};
use crate::runner::Runner;

/// Milliseconds, at most.
const MEDIAN: f64 = 1.0;
const TAIL: f64 = 5.0;
/// What the stopped page's figures may add to the others', in milliseconds.
const MORE: f64 = 0.5;
/// What the page that stops follows, in bytes a second: more than it would be sent.
const POUR: u64 = 20_000_000;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let count = bench.amount(64, 8);
    let runner = Runner::start(bench, &["--max-running", "512"]).await;
    let mut page = Page::open(&runner).await?;
    let few = samples(bench, &mut page).await?;

    let (stop, stopped) = watch::channel(false);
    let (ready, waiting) = mpsc::channel();
    let (port, credential) = (runner.port, runner.credential.clone());
    let (tick, pour) = (bench.task("tick 100"), bench.task(&format!("pour {POUR}")));
    let crowd = thread::Builder::new().name("crowd".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(crowd(port, &credential, [&pour, &tick], count, stopped, ready))
    })?;
    waiting.recv_timeout(Duration::from_secs(60)).context("the pages do not come")?;
    let many = samples(bench, &mut page).await?;
    stop.send(true).map_err(|_| anyhow!("the pages have gone"))?;
    // Until its share of the socket's buffers and of the runner's queue is full.
    tokio::time::sleep(Duration::from_secs(if bench.quick { 1 } else { 5 })).await;
    let deaf = samples(bench, &mut page).await?;
    drop(stop);
    crowd.join().map_err(|_| anyhow!("the pages panicked"))??;
    runner.stop().await;

    let mut rows = Vec::new();
    let limits = |percent| if percent == 50 { MEDIAN } else { TAIL };
    for (name, percent) in [("median", 50), ("99th percentile", 99)] {
        let [few, many, deaf] = [&few, &many, &deaf].map(|figures| figures.percentile(percent));
        let most = limits(percent);
        rows.push(Row { what: format!("{name}: one page alone"), ours: millis(few), ..Row::default() });
        rows.push(Row {
            what: format!("{name}: {count} more pages"),
            ours: millis(many),
            target: format!("≤ {most} ms"),
            met: Some(many <= most),
            ..Row::default()
        });
        let more = if percent == 50 { MORE } else { most };
        rows.push(Row {
            what: format!("{name}: one of them reads no more"),
            ours: millis(deaf),
            target: format!("at most {more} ms more than before"),
            met: Some(deaf <= many + more),
            ..Row::default()
        });
    }
    Ok(Section {
        title: "Many pages at once",
        how: format!(
            "{count} further pages, each with a session of its own and a command that prints a line ten times a second, which it follows; one of the commands prints {} MB a \
             second. Every page hears of every command. Then the page that follows that one reads no more. The figure is, as above, the time from a process's last act to \
             its completion, at one more page.",
            POUR / 1_000_000
        ),
        baseline: "",
        rows,
    })
}

async fn samples(bench: &Bench, page: &mut Page) -> anyhow::Result<Figures> {
    let command = bench.task("stamp 30");
    let mut times = Vec::new();
    for _ in 0..bench.amount(300, 10) {
        times.push(page.stamped(&command).await?);
    }
    Ok(Figures::new(times))
}

/// Opens pages that follow a command each, the first of them another command, and reads until `stop` is
/// dropped; the first page only until `stop` says so.
async fn crowd(
    port: u16,
    credential: &str,
    [first, others]: [&str; 2],
    count: usize,
    stop: watch::Receiver<bool>,
    ready: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let mut pages = Vec::new();
    for number in 0..count {
        let mut page = Page::open_session(port, credential, uuid::Uuid::new_v4()).await?;
        let task = page.start(if number == 0 { first } else { others }).await?;
        page.request(json!({"op": "watch", "task": task, "from": 0})).await;
        let mut stop = stop.clone();
        let stops = number == 0;
        pages.push(async move {
            loop {
                let deaf = stops && *stop.borrow();
                tokio::select! {
                    text = page.next_text(), if !deaf => drop(text?),
                    changed = stop.changed() => if changed.is_err() { return anyhow::Ok(()) },
                }
            }
        });
    }
    ready.send(())?;
    futures_util::future::try_join_all(pages).await?;
    Ok(())
}
