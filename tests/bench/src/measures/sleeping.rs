//! What commands cost that do nothing: memory for each, and the processor time of a runner that only waits.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::time::timeout;

use crate::Bench;
use crate::baseline;
use crate::client::Page;
use crate::figures::{mebibytes, number};
use crate::process;
use crate::report::{Row, Section};
use crate::runner::Runner;

const COMMAND: &str = "sleep 600";
/// The most processor time of an idle runner, in percent of one core.
const IDLE: f64 = 0.1;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let count = bench.amount(1_000, 40);
    let time = Duration::from_secs(if bench.quick { 1 } else { 20 });
    // A session may have half of all places.
    let runner = Runner::start(bench, &["--max-running", &(2 * count).to_string()]).await;
    let mut page = Page::open(&runner).await?;
    let shell = page.shell()?;
    rest(&mut page, Duration::from_secs(if bench.quick { 1 } else { 3 })).await?;
    let before = process::status(runner.pid, "VmRSS")?;
    for _ in 0..count {
        page.start(COMMAND).await?;
    }
    // Looks for ports are seldom by then.
    rest(&mut page, Duration::from_secs(if bench.quick { 1 } else { 20 })).await?;
    let after = process::status(runner.pid, "VmRSS")?;
    let agents = process::children(runner.pid);
    ensure!(agents.len() >= count, "{} agents for {count} commands", agents.len());
    let mut shared = 0;
    for agent in &agents {
        shared += process::proportional(*agent)?;
    }
    let all = || {
        process::processor(runner.pid) + agents.iter().map(|agent| process::processor(*agent)).sum::<u64>()
    };
    let connected = idle(&all, rest(&mut page, time)).await?;
    drop(page);
    let alone = idle(&all, async {
        tokio::time::sleep(time).await;
        Ok(())
    })
    .await?;
    runner.stop().await;
    let seconds = time.as_secs().to_string();
    let python = baseline::python(["sleeping", &count.to_string(), &seconds, &shell, COMMAND]).await?;
    let field = |name: &str| python[name].as_f64().context("a number");
    let percent = |part: f64| format!("{} %", number(part));
    let each = |bytes: u64| format!("{} KiB", number(as_float(bytes) / as_float(count as u64) / 1024.0));
    Ok(Section {
        title: "Commands that sleep",
        how: format!(
            "{count} commands `{COMMAND}` at once, with `--max-running {}`. An agent's memory is counted proportionally (what processes share is divided among them). Processor \
             time is that of the runner and all agents together, over {seconds} seconds, in percent of one core.",
            2 * count
        ),
        baseline: "",
        rows: vec![
            Row {
                what: "the runner's own memory, a command".into(),
                ours: each(after.saturating_sub(before)),
                python: format!("{} KiB", number(field("bytes")? / 1024.0)),
                ..Row::default()
            },
            Row { what: "an agent's memory".into(), ours: each(shared), ..Row::default() },
            Row {
                what: "the runner's memory in all".into(),
                ours: mebibytes(as_float(after)),
                ..Row::default()
            },
            Row {
                what: "processor time, a page connected".into(),
                ours: percent(connected),
                python: percent(field("processor")? * 100.0),
                target: format!("≤ {IDLE} %"),
                met: Some(connected <= IDLE),
                ..Row::default()
            },
            Row {
                what: "processor time, nobody connected".into(),
                ours: percent(alone),
                target: format!("≤ {IDLE} %"),
                met: Some(alone <= IDLE),
                ..Row::default()
            },
        ],
    })
}

#[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
const fn as_float(number: u64) -> f64 {
    number as f64
}

/// Reads what comes, for so long.
async fn rest(page: &mut Page, time: Duration) -> anyhow::Result<()> {
    let reading = async {
        loop {
            page.next_text().await?;
        }
    };
    match timeout(time, reading).await {
        Ok(failed) => failed,
        Err(_) => Ok(()),
    }
}

/// Processor time that was used meanwhile, in percent.
async fn idle(
    used: &impl Fn() -> u64,
    meanwhile: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let (began, before) = (Instant::now(), used());
    meanwhile.await?;
    let took = began.elapsed().as_secs_f64();
    Ok(as_float(used().saturating_sub(before)) / 1e9 / took * 100.0)
}
