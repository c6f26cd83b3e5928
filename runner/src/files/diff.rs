//! What a change is: its lines counted, and its diff, bounded in time and length.

use std::path::Path;
use std::time::Duration;

use shared::files::FileChange;
use similar::{ChangeTag, TextDiff};

/// Bytes of a diff.
const DIFF_BYTES: usize = 32 * 1024;
/// After this a diff is made coarser instead of finer.
const DIFF_TIME: Duration = Duration::from_millis(300);

/// What a change is, before it is made.
pub(super) struct Change {
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) diff: String,
}

impl Change {
    pub(super) fn between(path: &Path, old: Option<&str>, new: &str) -> Self {
        let diff = TextDiff::configure().timeout(DIFF_TIME).diff_lines(old.unwrap_or_default(), new);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count() as u64;
        let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
        let name = path.display();
        let before = if old.is_some() { format!("a/{name}") } else { "/dev/null".into() };
        let text = diff.unified_diff().context_radius(3).header(&before, &format!("b/{name}")).to_string();
        Self { added, removed, diff: cut_diff(text) }
    }

    pub(super) fn of(self, path: &Path, created: bool, note: Option<String>) -> FileChange {
        let Self { added, removed, diff } = self;
        FileChange { path: path.to_string_lossy().into_owned(), created, added, removed, diff, note }
    }
}

fn cut_diff(mut diff: String) -> String {
    const ROOM: usize = 64;
    if diff.len() > DIFF_BYTES {
        let most = (0..=DIFF_BYTES - ROOM).rev().find(|at| diff.is_char_boundary(*at)).unwrap_or_default();
        let end = diff[..most].rfind('\n').map_or(most, |end| end + 1);
        let rest = diff[end..].lines().count();
        diff.truncate(end);
        if !diff.ends_with('\n') {
            diff.push('\n');
        }
        diff.push_str(&format!("(cut: {rest} more lines)\n"));
    }
    diff
}
