//! Where everything of the timeline stands, in pixels. Pure: spans, drains and a window of time in; bars and
//! lines out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use agent::CallId;
use agent::view::{Drain, Lane, Severity, Span};
use shared::TaskId;

use crate::format::tenths;

/// The height of a lane.
pub(crate) const LANE: f64 = 25.0;
/// Above the first lane: room for the labels of drains.
pub(crate) const TOP: f64 = 16.0;
/// Below the last lane: room for the ticks.
pub(crate) const BOTTOM: f64 = 17.0;
/// A bar in its lane.
pub(crate) const BAR: f64 = 16.0;
const BAR_TOP: f64 = (LANE - BAR) / 2.0;
/// The narrowest bar that can still be seen and pressed.
const THINNEST: f64 = 3.0;
/// How far before a drain its lines run upwards, and how far apart they are.
const ELBOW: f64 = 10.0;
const ELBOW_STEP: f64 = 5.0;
/// A session up to this long is shown whole.
const WHOLE_MS: u64 = 10 * 60_000;
/// The shortest stretch that can be looked at.
const SHORTEST_MS: u64 = 2_000;

/// Which stretch of time is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Window {
    /// The whole while it is short, else its last minutes.
    #[default]
    Auto,
    /// The whole.
    Fit,
    /// The last milliseconds.
    Last(u64),
    /// From here for so many milliseconds, whatever happens.
    Range(u64, u64),
}

/// Everything that is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    /// The stretch of time.
    pub(crate) from: u64,
    /// How long it is.
    pub(crate) length: u64,
    /// The lanes below the agent's, in order.
    pub(crate) lanes: Vec<LaneView>,
    /// The bars by their spans.
    pub(crate) bars: BTreeMap<u64, Bar>,
    /// The drains by their calls.
    pub(crate) drains: BTreeMap<CallId, DrainView>,
    /// Where times are written, and which.
    pub(crate) ticks: Vec<(f64, u64)>,
    /// Where now is, if something goes on and it is in view.
    pub(crate) now: Option<f64>,
    /// The height of it all.
    pub(crate) height: f64,
}

impl Layout {
    /// The lines between the lanes, as a path.
    pub(crate) fn lines(&self, width: f64) -> String {
        let mut path = String::new();
        for lane in 0..=self.lanes.len() + 1 {
            // Writing into a string cannot fail.
            let _ = write!(path, "M0 {}H{}", tenths(lane_top(lane)), tenths(width));
        }
        path
    }
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneView {
    /// The task.
    pub(crate) task: TaskId,
    /// Its command.
    pub(crate) label: String,
}

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    /// As an attribute: `call`, `tool`, `task`.
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    /// Whether it goes on.
    pub(crate) open: bool,
}

/// A drain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DrainView {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// From each task's end to the dot.
    pub(crate) path: String,
    pub(crate) count: usize,
    /// Whether its label has room before that of the next.
    pub(crate) has_label: bool,
}

/// The stretch of time that a window means: its beginning and its length.
pub(crate) fn stretch(window: Window, spans: &BTreeMap<u64, Span>, now: u64) -> (u64, u64) {
    let first = spans.values().map(|span| span.start.0).min().unwrap_or(now);
    let is_running = spans.values().any(|span| span.end.is_none());
    let last = spans.values().filter_map(|span| span.end).map(|end| end.0).max().unwrap_or(now);
    let end = if is_running { now.max(last) } else { last };
    let whole = end.saturating_sub(first).max(SHORTEST_MS);
    let shown = match window {
        Window::Range(from, length) => return (from, length.max(SHORTEST_MS)),
        Window::Fit => whole,
        Window::Auto if whole <= WHOLE_MS => whole,
        Window::Auto => WHOLE_MS,
        Window::Last(length) => length.clamp(SHORTEST_MS, whole.max(SHORTEST_MS)),
    };
    // A little room on both sides, for the first bar's edge and the word "now".
    let begin = end.saturating_sub(shown).max(first);
    (begin.saturating_sub(shown / 100), shown + shown / 12)
}

/// Lays everything out for a drawing of this width.
pub(crate) fn layout(
    spans: &BTreeMap<u64, Span>,
    drains: &BTreeMap<CallId, Drain>,
    window: Window,
    now: u64,
    width: f64,
) -> Layout {
    // The page's clock ticks twice a second; what has happened since its last tick is not ahead of its time.
    let now = spans.values().map(|span| span.end.unwrap_or(span.start).0).fold(now, u64::max);
    let (from, length) = stretch(window, spans, now);
    let to = from + length;
    let x = |at: u64| scaled(at, from, length, width);
    let sight = |span: &Span| span.start.0 <= to && span.end.is_none_or(|end| end.0 >= from);

    let mut lanes: Vec<LaneView> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut by_start: Vec<(&u64, &Span)> = spans.iter().filter(|(_, span)| sight(span)).collect();
    by_start.sort_by(|a, b| (a.1.start, a.0).cmp(&(b.1.start, b.0)));
    for (_, span) in &by_start {
        if let Lane::Task { task } = &span.lane
            && seen.insert(task.clone())
        {
            lanes.push(LaneView { task: task.clone(), label: span.label.clone() });
        }
    }
    let row = |task: &TaskId| lanes.iter().position(|lane| lane.task == *task);

    let mut bars = BTreeMap::new();
    for (id, span) in by_start {
        let (kind, lane) = match &span.lane {
            Lane::Call => ("call", 0),
            Lane::Tool => ("tool", 0),
            Lane::Task { task } => ("task", row(task).map_or(0, |row| row + 1)),
        };
        let start = x(span.start.0).max(-2.0);
        let end = x(span.end.map_or(now.max(span.start.0), |end| end.0)).min(width + 2.0);
        let bar = Bar {
            x: start,
            y: lane_top(lane) + BAR_TOP,
            width: (end - start).max(THINNEST),
            kind,
            severity: span.severity,
            open: span.end.is_none(),
        };
        bars.insert(*id, bar);
    }

    let mut views = BTreeMap::new();
    let mut free_from = f64::MIN;
    for drain in drains.values().filter(|drain| (from..=to).contains(&drain.at.0)) {
        let dot = (x(drain.at.0), lane_top(0) + LANE / 2.0);
        let path = drain
            .tasks
            .iter()
            .enumerate()
            .filter_map(|(nth, task)| {
                let lane = row(task)?;
                let of_task =
                    spans.values().filter(|span| matches!(&span.lane, Lane::Task { task: of } if of == task));
                let end = of_task
                    .filter_map(|span| span.end)
                    .map(|end| end.0)
                    .filter(|end| *end <= drain.at.0)
                    .max()?;
                let start = (x(end).max(0.0), lane_top(lane + 1) + LANE / 2.0);
                #[expect(clippy::cast_precision_loss, reason = "a handful of lines")]
                let elbow = (dot.0 - ELBOW - ELBOW_STEP * nth as f64).max(start.0);
                Some(format!(
                    "M{} {}H{}V{}H{}",
                    tenths(start.0),
                    tenths(start.1),
                    tenths(elbow),
                    tenths(dot.1),
                    tenths(dot.0)
                ))
            })
            .collect();
        let has_label = dot.0 >= free_from;
        if has_label {
            free_from = dot.0 + 72.0;
        }
        views.insert(drain.call, DrainView { x: dot.0, y: dot.1, path, count: drain.tasks.len(), has_label });
    }

    let origin = spans.values().map(|span| span.start.0).min().unwrap_or(now);
    let height = lane_top(lanes.len() + 1) + BOTTOM;
    let is_running = spans.values().any(|span| span.end.is_none());
    let now = (is_running && (from..=to).contains(&now)).then(|| x(now));
    // The word "now" stands among the ticks.
    let mut ticks = ticks(origin, from, length, width);
    ticks.retain(|(tick, _)| now.is_none_or(|now| !(-48.0..36.0).contains(&(tick - now))));
    Layout { from, length, bars, drains: views, ticks, now, height, lanes }
}

/// The top of a lane; 0 is the agent's.
#[expect(clippy::cast_precision_loss, reason = "lanes are counted in hundreds")]
pub(crate) fn lane_top(lane: usize) -> f64 {
    TOP + LANE * lane as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a session")]
fn scaled(at: u64, from: u64, length: u64, width: f64) -> f64 {
    let offset = if at >= from { (at - from) as f64 } else { -((from - at) as f64) };
    // Far outside, exact places mean nothing; keep them near so that drawings stay finite.
    (offset / length as f64).clamp(-10.0, 10.0) * width
}

/// The time at a place.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on a screen"
)]
pub(crate) fn time_at(x: f64, from: u64, length: u64, width: f64) -> u64 {
    let part = (x / width.max(1.0)).clamp(0.0, 1.0);
    from + (part * length as f64) as u64
}

/// A window of another length, with the moment `at` in its place.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds of a session"
)]
pub(crate) fn zoomed(from: u64, length: u64, at: u64, factor: f64) -> Window {
    let new = ((length as f64 * factor) as u64).clamp(SHORTEST_MS, 30 * 86_400_000);
    let part = at.saturating_sub(from) as f64 / length.max(1) as f64;
    Window::Range(at.saturating_sub((part * new as f64) as u64), new)
}

/// A window that is moved by a part of its length.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of a session")]
pub(crate) fn moved(from: u64, length: u64, part: f64) -> Window {
    let by = (length as f64 * part) as i64;
    Window::Range(from.saturating_add_signed(by), length)
}

/// Places and times since the beginning, at round steps and not too close.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a width in pixels")]
fn ticks(origin: u64, from: u64, length: u64, width: f64) -> Vec<(f64, u64)> {
    const STEPS: [u64; 16] = [
        1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000,
        7_200_000, 21_600_000, 43_200_000, 86_400_000,
    ];
    let most = ((width / 90.0) as u64).max(1);
    let step = STEPS.into_iter().find(|step| length / step <= most).unwrap_or(7 * 86_400_000);
    let first = from.saturating_sub(origin).div_ceil(step);
    let last = (from + length).saturating_sub(origin) / step;
    (first..=last)
        .map(|n| (scaled(origin + n * step, from, length, width), n * step))
        .filter(|(x, _)| (0.0..width - 34.0).contains(x))
        .collect()
}

#[cfg(test)]
mod tests {
    use shared::Timestamp;

    use super::*;

    #[test]
    fn a_short_session_is_shown_whole_and_a_long_one_by_its_end() {
        let spans = spans(&[(1, Lane::Call, 1_000, Some(61_000))]);
        let (from, length) = stretch(Window::Auto, &spans, 90_000);
        assert!(from <= 1_000 && from + length >= 61_000, "{from} {length}");
        let long = self::spans(&[(1, Lane::Call, 0, Some(1_000)), (2, Lane::Call, 0, None)]);
        let hour = 3_600_000;
        let (from, length) = stretch(Window::Auto, &long, hour);
        assert!(from > hour - WHOLE_MS - WHOLE_MS / 50 && from + length > hour, "{from} {length}");
        let (from, length) = stretch(Window::Fit, &long, hour);
        assert!(from == 0 && length >= hour, "{from} {length}");
        assert_eq!(stretch(Window::Range(5, 10_000), &long, hour), (5, 10_000));
    }

    #[test]
    fn the_first_moments_begin_at_the_left() {
        let spans = spans(&[(1, Lane::Call, 100_000, None)]);
        let (from, length) = stretch(Window::Auto, &spans, 100_100);
        assert!(from <= 100_000 && 100_000 - from < length / 20, "{from} {length}");
    }

    #[test]
    fn lanes_stand_in_the_order_of_their_beginnings_and_only_while_in_view() {
        let spans = spans(&[
            (1, Lane::Call, 0, Some(1_000)),
            (2, task("b"), 500, Some(9_000)),
            (3, task("a"), 400, Some(700)),
        ]);
        let names = |window| {
            let layout = layout(&spans, &BTreeMap::new(), window, 10_000, 1_000.0);
            layout.lanes.into_iter().map(|lane| lane.task.0).collect::<Vec<_>>()
        };
        assert_eq!(names(Window::Fit), ["a", "b"]);
        assert_eq!(names(Window::Range(5_000, 5_000)), ["b"]);
    }

    #[test]
    fn now_is_never_before_what_has_happened() {
        let spans = spans(&[(1, Lane::Call, 0, Some(10_400)), (2, task("a"), 500, None)]);
        let layout = layout(&spans, &BTreeMap::new(), Window::Fit, 10_000, 1_000.0);
        let call = &layout.bars[&1];
        let now = layout.now.unwrap();
        assert!(now + 0.1 >= call.x + call.width, "{now} is left of {} + {}", call.x, call.width);
    }

    #[test]
    fn bars_lie_where_their_time_is() {
        let spans = spans(&[
            (1, Lane::Call, 1_000, Some(2_000)),
            (2, task("a"), 1_500, None),
            (3, Lane::Tool, 2_000, Some(2_000)),
        ]);
        let layout = layout(&spans, &BTreeMap::new(), Window::Range(1_000, 4_000), 3_000, 400.0);
        let bar = |id| &layout.bars[&id];
        assert!((bar(1).x - 0.0).abs() < 0.01 && (bar(1).width - 100.0).abs() < 0.01);
        assert!((bar(2).x - 50.0).abs() < 0.01 && (bar(2).width - 150.0).abs() < 0.01 && bar(2).open);
        assert!((bar(3).width - THINNEST).abs() < 0.01);
        assert!((bar(2).y - bar(1).y - LANE).abs() < 0.01);
        assert!((layout.now.unwrap() - 200.0).abs() < 0.01);
    }

    #[test]
    fn a_drain_joins_the_ends_of_its_tasks_to_its_call() {
        let spans = spans(&[
            (1, task("a"), 0, Some(1_000)),
            (2, task("b"), 0, Some(2_000)),
            (3, Lane::Call, 3_000, Some(4_000)),
        ]);
        let drain = Drain {
            call: CallId(7),
            at: Timestamp(3_000),
            tasks: vec![TaskId("a".into()), TaskId("b".into())],
        };
        let drains = BTreeMap::from([(CallId(7), drain)]);
        let layout = layout(&spans, &drains, Window::Range(0, 4_000), 4_000, 400.0);
        let view = &layout.drains[&CallId(7)];
        assert_eq!(view.count, 2);
        assert_eq!(view.path, "M100 53.5H290V28.5H300M200 78.5H285V28.5H300");
    }

    #[test]
    fn ticks_are_round_and_apart() {
        for length in [4_000, 45_000, 600_000, 7_200_000, 86_400_000 * 3] {
            let ticks = ticks(1_000, 1_000, length, 1_000.0);
            assert!((2..=12).contains(&ticks.len()), "{length}: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 > 60.0), "{length}: {ticks:?}");
        }
    }

    #[test]
    fn zooming_keeps_the_moment_in_its_place() {
        assert_eq!(zoomed(1_000, 10_000, 6_000, 0.5), Window::Range(3_500, 5_000));
        assert_eq!(moved(1_000, 10_000, 0.5), Window::Range(6_000, 10_000));
        assert_eq!(time_at(50.0, 1_000, 10_000, 100.0), 6_000);
    }

    fn task(name: &str) -> Lane {
        Lane::Task { task: TaskId(name.to_owned()) }
    }

    fn spans(of: &[(u64, Lane, u64, Option<u64>)]) -> BTreeMap<u64, Span> {
        let span = |(id, lane, start, end): &(u64, Lane, u64, Option<u64>)| Span {
            id: *id,
            lane: lane.clone(),
            label: String::new(),
            start: Timestamp(*start),
            end: end.map(Timestamp),
            severity: Severity::Plain,
        };
        of.iter().map(|one| (one.0, span(one))).collect()
    }
}
