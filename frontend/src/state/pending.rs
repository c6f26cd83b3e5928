//! Patches that wait for a frame, and how much of them one frame takes.
//!
//! What a frame draws takes time in proportion to the text in it, and how much time is the machine's affair.
//! So a frame takes so many bytes, a text that is longer comes in pieces, and how many bytes follows from how
//! long the frames before took.

use std::collections::VecDeque;

use agent::view::{Patch, Row, RowKind};

use crate::format;

/// What a patch costs besides its text, in bytes.
const A_PATCH: usize = 256;
/// What a line of text costs besides its bytes: most become an element or more.
const A_LINE: usize = 64;

/// How much a frame takes, in bytes of text: little at first, more while frames come in time, less when they
/// come late.
#[derive(Debug)]
struct Budget {
    room: usize,
    /// When the frame before began, in milliseconds.
    last: Option<f64>,
}

impl Budget {
    const FIRST: usize = 4 * 1024;
    const LEAST: usize = 2 * 1024;
    const MOST: usize = 64 * 1024;
    /// A frame that takes so many milliseconds is in time, on a screen that shows sixty a second.
    const IN_TIME: f64 = 24.0;
    /// One that takes more is late.
    const LATE: f64 = 40.0;

    /// The room of a frame that begins now.
    fn frame(&mut self, now: f64) -> usize {
        let took = self.last.replace(now).map(|last| now - last);
        self.room = match took {
            Some(took) if took < Self::IN_TIME => (self.room * 2).min(Self::MOST),
            Some(took) if took > Self::LATE => (self.room / 2).max(Self::LEAST),
            Some(_) | None => self.room,
        };
        self.room
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { room: Self::FIRST, last: None }
    }
}

/// The patches, in order.
#[derive(Debug, Default)]
pub(super) struct Pending {
    patches: VecDeque<Patch>,
    budget: Budget,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// Adds patches. What is shown of a session does not matter any more once another begins.
    pub(super) fn extend(&mut self, patches: Vec<Patch>) {
        for patch in patches {
            match (self.patches.back_mut(), patch) {
                (_, Patch::Reset) => {
                    self.patches.retain(|patch| matches!(patch, Patch::Stats(_)));
                    self.patches.push_back(Patch::Reset);
                }
                (Some(Patch::Grow { row: last, text: so_far }), Patch::Grow { row, text })
                    if *last == row =>
                {
                    so_far.push_str(&text);
                }
                (_, patch) => self.patches.push_back(patch),
            }
        }
    }

    /// All of them.
    pub(super) fn all(self) -> Vec<Patch> {
        self.patches.into()
    }

    /// What a frame takes that begins now. `is_there`: whether a row is shown already.
    pub(super) fn frame(&mut self, now: f64, is_there: impl Fn(u64) -> bool) -> Vec<Patch> {
        let room = self.budget.frame(now);
        let taken = self.take(room, is_there);
        if self.is_empty() {
            // What comes later may cost more for each of its bytes.
            self.budget = Budget::default();
        }
        taken
    }

    fn take(&mut self, mut room: usize, is_there: impl Fn(u64) -> bool) -> Vec<Patch> {
        let mut taken = Vec::new();
        while room > 0
            && let Some(mut patch) = self.patches.pop_front()
        {
            let later = cut(&mut patch, room, &is_there);
            room = room.saturating_sub(A_PATCH + text_of(&mut patch).map_or(0, |(_, text)| cost(text)));
            taken.push(patch);
            if let Some((row, later)) = later {
                self.put_back(row, &later);
                break;
            }
        }
        taken
    }

    /// In pieces, so that the next frame need not move all of a long text.
    fn put_back(&mut self, row: u64, text: &str) {
        let mut end = text.len();
        while end > 0 {
            let start = format::floor(text, end.saturating_sub(Budget::MOST));
            self.patches.push_front(Patch::Grow { row, text: text[start..end].to_owned() });
            end = start;
        }
    }
}

/// The row that a patch is about and the text that it brings, if it is text that can come in pieces.
fn text_of(patch: &mut Patch) -> Option<(u64, &mut String)> {
    if let Patch::Grow { row, text } = patch {
        return Some((*row, text));
    }
    let Patch::Row(row) = patch else { return None };
    let Row { id, kind: RowKind::Text { text, .. } | RowKind::Thinking { text, .. }, .. } = &mut **row else {
        return None;
    };
    Some((*id, text))
}

/// What a patch brings beyond its room; the patch keeps what is before.
fn cut(patch: &mut Patch, room: usize, is_there: impl Fn(u64) -> bool) -> Option<(u64, String)> {
    let whole = matches!(patch, Patch::Row(row) if is_there(row.id));
    let (row, text) = text_of(patch).filter(|_| !whole)?;
    let text = text.split_off(fitting(text, room));
    (!text.is_empty()).then_some((row, text))
}

/// How many bytes at the beginning of a text have room.
fn fitting(text: &str, room: usize) -> usize {
    let (mut at, mut left) = (0, room);
    for line in text.split_inclusive('\n') {
        if line.len() > left {
            return format::floor(text, at + left);
        }
        at += line.len();
        left = left.saturating_sub(line.len() + A_LINE);
    }
    at
}

fn cost(text: &str) -> usize {
    text.len() + A_LINE * text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::Timestamp;
    use shared::protocol::Stats;

    /// The room of a frame, in these tests.
    const A_FRAME: usize = 32 * 1024;

    #[test]
    fn a_long_text_comes_in_pieces_and_in_order() {
        let long = "é".repeat(A_FRAME);
        let mut pending = Pending::default();
        pending.extend(vec![text(1, &long), grow(1, "a"), grow(1, "b"), grow(2, &long), text(3, "x")]);
        let mut shown = (String::new(), String::new());
        let mut frames = 0;
        while !pending.is_empty() {
            frames += 1;
            let mut bytes = 0;
            for mut patch in pending.take(A_FRAME, |_| false) {
                let (row, piece) = text_of(&mut patch).unwrap();
                bytes += piece.len();
                if row == 1 {
                    shown.0.push_str(piece);
                } else if row == 2 {
                    shown.1.push_str(piece);
                } else {
                    assert_eq!(piece, "x");
                }
            }
            assert!(bytes <= A_FRAME, "{bytes}");
        }
        assert_eq!(shown, (long.clone() + "ab", long));
        assert!((4..10).contains(&frames), "{frames}");
    }

    #[test]
    fn short_lines_take_more_frames_than_long_ones() {
        let taken = |line: &str| {
            let mut pending = Pending::default();
            pending.extend(vec![text(1, &line.repeat(4 * A_FRAME / line.len()))]);
            let mut patches = pending.take(A_FRAME, |_| false);
            text_of(&mut patches[0]).map(|(_, text)| text.len()).unwrap()
        };
        let (short, long) = (taken("1. a short item of a list\n"), taken(&("x".repeat(999) + "\n")));
        assert!((A_FRAME / 5..A_FRAME / 3).contains(&short), "{short}");
        assert!((A_FRAME - A_FRAME / 8..=A_FRAME).contains(&long), "{long}");
    }

    #[test]
    fn a_very_long_text_waits_in_pieces() {
        let whole = "é line\n".repeat(Budget::MOST);
        let mut pending = Pending::default();
        pending.extend(vec![text(1, &whole)]);
        let mut shown = String::new();
        while !pending.is_empty() {
            for mut patch in pending.take(A_FRAME, |_| false) {
                shown.push_str(text_of(&mut patch).unwrap().1);
            }
            assert!(
                pending
                    .patches
                    .iter_mut()
                    .all(|patch| { text_of(patch).is_some_and(|(_, text)| text.len() <= Budget::MOST + 1) })
            );
        }
        assert!(shown == whole);
    }

    #[test]
    fn a_frame_takes_what_the_machine_can_draw() {
        let mut budget = Budget::default();
        let mut now = 0.0;
        let mut after = |took: f64, frames: usize| {
            for _ in 0..frames {
                now += took;
                budget.frame(now);
            }
            budget.room
        };
        assert_eq!(after(0.0, 1), Budget::FIRST);
        assert_eq!(after(16.7, 10), Budget::MOST);
        assert_eq!(after(30.0, 10), Budget::MOST);
        assert_eq!(after(200.0, 2), Budget::MOST / 4);
        assert_eq!(after(200.0, 20), Budget::LEAST);
    }

    #[test]
    fn each_burst_begins_with_little() {
        let mut pending = Pending::default();
        let long = "x".repeat(1_000_000);
        for _ in 0..2 {
            pending.extend(vec![text(1, &long)]);
            let mut sizes = Vec::new();
            let mut now = 0.0;
            while !pending.is_empty() {
                now += 16.7;
                let mut patches = pending.frame(now, |_| false);
                let lengths = patches.iter_mut().map(|patch| text_of(patch).unwrap().1.len());
                sizes.push(lengths.sum::<usize>());
            }
            assert_eq!(sizes[..2], [Budget::FIRST, 2 * Budget::FIRST]);
            assert!(sizes.len() < 40, "{}", sizes.len());
        }
    }

    #[test]
    fn many_patches_take_several_frames() {
        let mut pending = Pending::default();
        pending.extend((0..1_000).map(|n| text(n, "x")).collect());
        assert!((100..200).contains(&pending.take(A_FRAME, |_| false).len()));
    }

    #[test]
    fn a_row_that_is_there_comes_whole() {
        let mut pending = Pending::default();
        pending.extend(vec![text(1, &"x".repeat(3 * A_FRAME))]);
        assert_eq!(pending.take(A_FRAME, |row| row == 1).len(), 1);
        assert!(pending.is_empty());
    }

    #[test]
    fn another_session_takes_the_place_of_what_waits() {
        let mut pending = Pending::default();
        let stats = Patch::Stats(Stats::default());
        pending.extend(vec![text(1, "old"), stats.clone(), grow(1, "er")]);
        pending.extend(vec![Patch::Reset, text(1, "new")]);
        assert_eq!(pending.all(), [stats, Patch::Reset, text(1, "new")]);
    }

    fn text(id: u64, text: &str) -> Patch {
        let kind = RowKind::Text { text: text.to_owned(), live: true };
        Patch::Row(Box::new(Row { id, at: Timestamp(0), kind }))
    }

    fn grow(row: u64, text: &str) -> Patch {
        Patch::Grow { row, text: text.to_owned() }
    }
}
