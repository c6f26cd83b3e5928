//! How the demo writes commands and lists within a sentence.

use crate::notice::cut_head;

/// Text as code within a line.
pub(super) fn code(text: &str) -> String {
    let line = cut(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}

/// The beginning of a long line.
pub(super) fn cut(line: &str) -> String {
    let head = cut_head(line, 160);
    if head.len() < line.len() { head + "…" } else { head }
}

/// One, two and three.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    let last = items.pop().unwrap_or_default();
    if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) }
}
