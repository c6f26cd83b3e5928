//! Start and finish of `true`, so many at once: the runner, the bare loop, and the Python form in turns.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::pueue;
use crate::Bench;
use crate::baseline;
use crate::client::Page;
use crate::figures::{Figures, millis, number, rate, ratios};
use crate::process;
use crate::report::{Row, Section};
use crate::runner::Runner;

/// What is run.
const COMMAND: &str = "true";
/// At once, and how many a round.
const WIDTHS: [(usize, usize); 3] = [(1, 150), (8, 400), (64, 640)];
/// The least part of the bare loop's rate.
const LEAST: f64 = 0.6;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let runner = Runner::start(bench, &[]).await;
    let mut page = Page::open(&runner).await?;
    let shell = page.shell()?;
    drive(&mut page, 8, 16).await?;
    let mut rows = Vec::new();
    for (width, count) in WIDTHS {
        let count = if bench.quick { (count / 20).max(width) } else { count };
        let (mut ours, mut limit, mut python, mut used) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.amount(7, 1) {
            limit.push(rate(count, baseline::bare(bench, width, count, &shell, COMMAND).await?));
            let before = process::processor(runner.pid);
            ours.push(rate(count, drive(&mut page, width, count).await?));
            let after = process::processor(runner.pid);
            used.push(millis_each(after.saturating_sub(before), count));
            let arguments = ["throughput", &width.to_string(), &count.to_string(), &shell, COMMAND];
            let answer = baseline::python(arguments).await?;
            let seconds = answer["seconds"].as_f64().context("seconds")?;
            python.push(rate(count, Duration::from_secs_f64(seconds)));
        }
        let (to_limit, to_python) = (ratios(&ours, &limit), ratios(&ours, &python));
        rows.push(Row {
            what: format!("{width} at once"),
            ours: per_second(ours),
            baseline: per_second(limit),
            ratio: spread(&to_limit),
            python: format!("{} (ratio {})", per_second(python), number(to_python.median())),
            target: format!("≥ {LEAST} of the limit, above Python"),
            met: Some(to_limit.median() >= LEAST && to_python.median() > 1.0),
        });
        rows.push(Row {
            what: format!("{width} at once: processor time of the runner, a command"),
            ours: millis(Figures::new(used).median()),
            ..Row::default()
        });
    }
    match &bench.pueue {
        Some(folder) => rows.extend(pueue::throughput(bench, folder, COMMAND).await?),
        None => rows.push(Row { what: "pueue: not asked for (`--pueue`)".into(), ..Row::default() }),
    }
    runner.stop().await;
    Ok(Section {
        title: "Start and finish of `true`",
        how: format!(
            "Commands a second. Each is asked for over the socket, runs as `{shell} -c true`, and its completion is received and acknowledged; whenever \
             one ends, the next is asked for. The limit starts the same shell with the same command by `posix_spawn`, its output to \
             `/dev/null`, and waits for it: so many threads as commands at once, no pipe, no supervision, nothing kept. The Python form has the same shell. \
             Medians of rounds in turns; the ratio with its lowest and highest round."
        ),
        baseline: "limit",
        rows,
    })
}

#[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
fn millis_each(nanoseconds: u64, count: usize) -> f64 {
    nanoseconds as f64 / 1e6 / count as f64
}

fn per_second(rates: Vec<f64>) -> String {
    format!("{} /s", number(Figures::new(rates).median()))
}

fn spread(ratios: &Figures) -> String {
    let [low, middle, high] = [0, 50, 100].map(|percent| number(ratios.percentile(percent)));
    format!("{middle} ({low} to {high})")
}

/// Keeps so many commands under way until all have ended; how long that took.
pub(super) async fn drive(page: &mut Page, width: usize, count: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for _ in 0..width.min(count) {
        page.begin(COMMAND).await;
    }
    for ended in 0..count {
        page.completion().await?;
        if ended + width < count {
            page.begin(COMMAND).await;
        }
    }
    Ok(began.elapsed())
}
