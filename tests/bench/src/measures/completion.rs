//! How long after a process's last act its completion is in the client's hands.

use anyhow::Context as _;

use crate::Bench;
use crate::baseline;
use crate::client::Page;
use crate::figures::{Figures, millis};
use crate::report::{Row, Section};
use crate::runner::Runner;

/// Milliseconds, at most.
const MEDIAN: f64 = 1.0;
const TAIL: f64 = 5.0;
/// What each command does before its last act, in milliseconds: long enough for its start to be over and
/// saved.
const SLEEP: u64 = 30;
/// So many samples in a row before the other form has its turn.
const TURN: usize = 50;

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let runner = Runner::start(bench, &["--max-running", "512"]).await;
    let mut page = Page::open(&runner).await?;
    let shell = page.shell()?;
    let mut rows = Vec::new();
    for sleepers in [0, bench.amount(200, 20)] {
        if sleepers > 0 {
            let mut other = Page::open(&runner).await?;
            for _ in 0..sleepers {
                other.start("sleep 600").await?;
            }
        }
        let (ours, python) = samples(bench, &mut page, sleepers, &shell).await?;
        let what = if sleepers == 0 { "idle".to_owned() } else { format!("while {sleepers} commands run") };
        for (name, percent, most) in [("median", 50, MEDIAN), ("99th percentile", 99, TAIL)] {
            let (ours, python) = (ours.percentile(percent), python.percentile(percent));
            rows.push(Row {
                what: format!("{what}: {name}"),
                ours: millis(ours),
                python: millis(python),
                target: format!("≤ {most} ms"),
                met: Some(ours <= most),
                ..Row::default()
            });
        }
    }
    runner.stop().await;
    Ok(Section {
        title: "From a process's end to the client's queue",
        how: "The command's last act is to print the monotonic clock; the client takes the same clock when it has read the completion from its socket and parsed it. \
              So the figure holds the rest of the process's own end, its being waited for, the last of its output, the end and its event being written to the disk and \
              synced, and the way over loopback. The Python form's figure is taken in its own process, in the moment at which the result is in its list: nothing is saved or sent."
            .into(),
        baseline: "",
        rows,
    })
}

async fn samples(
    bench: &Bench,
    page: &mut Page,
    sleepers: usize,
    shell: &str,
) -> anyhow::Result<(Figures, Figures)> {
    let command = bench.task(&format!("stamp {SLEEP}"));
    let (mut ours, mut python) = (Vec::new(), Vec::new());
    for _ in 0..TURN / 10 {
        page.stamped(&command).await?;
    }
    for _ in 0..bench.amount(6, 1) {
        for _ in 0..bench.amount(TURN, 10) {
            ours.push(page.stamped(&command).await?);
        }
        let count = bench.amount(TURN, 10).to_string();
        let answer = baseline::python(["latency", &count, &sleepers.to_string(), shell, &command]).await?;
        let times = answer["nanoseconds"].as_array().context("a list of times")?;
        python.extend(times.iter().filter_map(|time| Some(time.as_f64()? / 1_000_000.0)));
    }
    Ok((Figures::new(ours), Figures::new(python)))
}
