//! Patches that wait for a frame, and how much of them one frame takes.
//!
//! What a frame draws takes time in proportion to the text in it. So a frame takes so many bytes, and a text that is longer comes in pieces.

use std::collections::VecDeque;

use agent::view::{Patch, Row, RowKind};

use crate::format;

/// About how many bytes of text one frame takes.
const A_FRAME: usize = 32 * 1024;
/// What a patch costs besides its text.
const A_PATCH: usize = 256;

/// The patches, in order.
#[derive(Debug, Default)]
pub(super) struct Pending(VecDeque<Patch>);

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds patches. What is shown of a session does not matter any more once another begins.
    pub(super) fn extend(&mut self, patches: Vec<Patch>) {
        for patch in patches {
            match (self.0.back_mut(), patch) {
                (_, Patch::Reset) => {
                    self.0.retain(|patch| matches!(patch, Patch::Stats(_)));
                    self.0.push_back(Patch::Reset);
                }
                (Some(Patch::Grow { row: last, text: so_far }), Patch::Grow { row, text })
                    if *last == row =>
                {
                    so_far.push_str(&text);
                }
                (_, patch) => self.0.push_back(patch),
            }
        }
    }

    /// All of them.
    pub(super) fn all(self) -> Vec<Patch> {
        self.0.into()
    }

    /// What the next frame takes. `is_there`: whether a row is shown already.
    pub(super) fn frame(&mut self, is_there: impl Fn(u64) -> bool) -> Vec<Patch> {
        let (mut taken, mut room) = (Vec::new(), A_FRAME);
        while room > 0
            && let Some(mut patch) = self.0.pop_front()
        {
            let later = cut(&mut patch, room, &is_there);
            room = room.saturating_sub(A_PATCH + text_of(&mut patch).map_or(0, |(_, text)| text.len()));
            taken.push(patch);
            if let Some(later) = later {
                self.0.push_front(later);
                break;
            }
        }
        taken
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

/// What a patch brings beyond so many bytes; the patch keeps what is before.
fn cut(patch: &mut Patch, room: usize, is_there: impl Fn(u64) -> bool) -> Option<Patch> {
    let whole = matches!(patch, Patch::Row(row) if is_there(row.id));
    let (row, text) = text_of(patch).filter(|_| !whole)?;
    let text = text.split_off(format::floor(text, room));
    (!text.is_empty()).then_some(Patch::Grow { row, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::Timestamp;
    use shared::protocol::Stats;

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
            for mut patch in pending.frame(|_| false) {
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
    fn many_patches_take_several_frames() {
        let mut pending = Pending::default();
        pending.extend((0..1_000).map(|n| text(n, "x")).collect());
        assert!((100..200).contains(&pending.frame(|_| false).len()));
    }

    #[test]
    fn a_row_that_is_there_comes_whole() {
        let mut pending = Pending::default();
        pending.extend(vec![text(1, &"x".repeat(3 * A_FRAME))]);
        assert_eq!(pending.frame(|row| row == 1).len(), 1);
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
