//! How fast one command's output is taken, alone and while a page follows it, and what it costs in memory.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::Bench;
use crate::baseline;
use crate::client::Page;
use crate::figures::{Figures, mebibytes, number, ratios};
use crate::process;
use crate::report::{Row, Section};
use crate::runner::Runner;

const GIB: u64 = 1024 * 1024 * 1024;
/// The most that the runner may hold, in bytes.
const MEMORY: u64 = 64 * 1024 * 1024;
/// The least part of `cat`'s rate.
const ALONE: f64 = 0.8;
const FOLLOWED: f64 = 0.5;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let amount = if bench.quick { GIB / 16 } else { 2 * GIB };
    let long = if bench.quick { GIB / 8 } else { 10 * GIB };
    let runner = Runner::start(bench, &[]).await;
    let mut page = Page::open(&runner).await?;
    let shell = page.shell()?;
    let flood = bench.task(&format!("flood {amount}"));
    let (mut cat, mut alone, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.amount(7, 1) {
        let into_cat = format!("{flood} | cat >/dev/null");
        cat.push(speed(amount, baseline::bare(bench, 1, 1, &shell, &into_cat).await?));
        alone.push(speed(amount, taken(&mut page, &flood, false).await?));
        followed.push(speed(amount, taken(&mut page, &flood, true).await?));
    }
    let before = process::status(runner.pid, "VmHWM")?;
    taken(&mut page, &bench.task(&format!("flood {long}")), true).await?;
    let after = process::status(runner.pid, "VmHWM")?;
    let half = if bench.quick { GIB / 16 } else { GIB / 2 };
    let python = baseline::python(["memory", &shell, &bench.task(&format!("flood {half}"))]).await?;
    runner.stop().await;
    let row = |what: &str, ours: Vec<f64>, least: f64| {
        let ratio = ratios(&ours, &cat).median();
        Row {
            what: what.into(),
            ours: mebibytes(Figures::new(ours).median()) + "/s",
            baseline: mebibytes(Figures::new(cat.clone()).median()) + "/s",
            ratio: number(ratio),
            target: format!("≥ {least}"),
            met: Some(ratio >= least),
            ..Row::default()
        }
    };
    let gigabytes = |bytes: u64| format!("{} GiB", number(as_float(bytes) / as_float(GIB)));
    Ok(Section {
        title: "Output of one command",
        how: format!(
            "A program writes {} of lines in blocks of 64 KiB as fast as they are taken. The baseline is the same program in front of `cat >/dev/null`, in the same shell, on \
             a pipe as the shell makes it. The runner counts the lines, keeps the first mebibyte and the last fifteen on the disk, and counts what lies between; a page that \
             follows gets at most 20 frames of 64 KiB a second, and gaps.",
            gigabytes(amount)
        ),
        baseline: "`cat`",
        rows: vec![
            row("nobody watches", alone, ALONE),
            row("a page follows", followed, FOLLOWED),
            Row {
                what: format!("the runner's most memory, before and after {} more", gigabytes(long)),
                ours: format!("{} → {}", mebibytes(as_float(before)), mebibytes(as_float(after))),
                python: format!(
                    "{} at {}",
                    mebibytes(python["peak"].as_f64().context("a peak")?),
                    gigabytes(half)
                ),
                target: "≤ 64 MiB".into(),
                met: Some(after <= MEMORY),
                ..Row::default()
            },
        ],
    })
}

#[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
const fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

fn speed(amount: u64, took: Duration) -> f64 {
    as_float(amount) / took.as_secs_f64()
}

/// Runs a command that prints; how long until its completion was there.
async fn taken(page: &mut Page, command: &str, follow: bool) -> anyhow::Result<Duration> {
    let began = Instant::now();
    if follow {
        let task = page.start(command).await?;
        page.request(json!({"op": "watch", "task": task, "from": 0})).await;
        let mut frames = 0;
        loop {
            let frame: Value = serde_json::from_str(&page.next_text().await?)?;
            frames += i32::from(frame["type"] == "output");
            if frame["type"] == "event" {
                anyhow::ensure!(frames > 0, "the page got no output");
                page.acknowledge(&frame).await;
                break;
            }
        }
    } else {
        page.begin(command).await;
        page.completion().await?;
    }
    Ok(began.elapsed())
}
