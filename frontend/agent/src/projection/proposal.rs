//! What a tool use would do, so that a person can allow it with open eyes: the change of a file as a diff,
//! input word for word.
//!
//! Only the model's own text is known here, not the file: a diff of an edit shows what goes, what comes and
//! what stays of the text that is replaced, all of it. When it is done, the runner's diff takes its place.

use shared::tools::{EditFile, SendInput, ToolCall, WriteFile};
use similar::{Algorithm, ChangeTag, capture_diff_slices};

use crate::view::{Danger, ToolCard};

/// At most this many lines of each side are shown.
const LINES: usize = 2_000;
/// Of more lines than these on a side no common ones are looked for: the work grows with their square, and
/// there is no clock here to end it by.
const COMPARED: usize = 1_000;
/// At most this many characters of a line.
const WIDTH: usize = 4_000;
/// At most this many characters of what is sent to a program.
const INPUT: usize = 100_000;
/// Begins a line that says what is not shown.
const CUT: &str = "@@ ";

/// Fills in what the arguments of a tool use say beyond its subject.
pub(super) fn describe(card: &mut ToolCard, call: &ToolCall) {
    match call {
        ToolCall::WriteFile(WriteFile { content, .. }) => side('+', content, &mut card.diff),
        ToolCall::EditFile(EditFile { old_text, new_text, .. }) => {
            compare(old_text, new_text, &mut card.diff);
        }
        ToolCall::SendInput(SendInput { text, .. }) => {
            card.input = text.chars().take(INPUT).collect();
            if card.input.len() < text.len() {
                card.input.push_str(&format!("\n{CUT}{} more characters @@", text.chars().count() - INPUT));
            }
        }
        ToolCall::Bash(_)
        | ToolCall::ReadFile(_)
        | ToolCall::BackgroundRun(_)
        | ToolCall::CheckBackground(_)
        | ToolCall::StopBackground(_) => {}
    }
}

fn compare(old: &str, new: &str, diff: &mut String) {
    let [before, after] = [old, new].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    if before.len().max(after.len()) > COMPARED {
        side('-', old, diff);
        side('+', new, diff);
        return;
    }
    let ends_differ = old.ends_with('\n') != new.ends_with('\n');
    let changes = capture_diff_slices(Algorithm::Myers, &before, &after);
    for change in changes.iter().flat_map(|change| change.iter_changes(&before, &after)) {
        let sign = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        push_line(sign, change.value(), diff);
        if ends_differ && !change.value().ends_with('\n') {
            diff.push_str("\\ no line break at its end\n");
        }
    }
}

fn side(sign: char, text: &str, diff: &mut String) {
    for line in text.lines().take(LINES) {
        push_line(sign, line, diff);
    }
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        diff.push_str(&format!("{CUT}{more} more lines @@\n"));
    }
}

fn push_line(sign: char, line: &str, diff: &mut String) {
    let line = line.strip_suffix('\n').unwrap_or(line);
    diff.push(sign);
    let shown: String = line.chars().take(WIDTH).collect();
    diff.push_str(&shown);
    diff.push('\n');
    if shown.len() < line.len() {
        let more = line.chars().count() - WIDTH;
        diff.push_str(&format!("{CUT}{more} more characters in this line @@\n"));
    }
}

/// What a person must know who can see only a part of it.
pub(super) fn hides(card: &ToolCard) -> Option<Danger> {
    let cut =
        card.diff.lines().any(|line| line.starts_with(CUT)) || card.input.ends_with(" more characters @@");
    let what = vec!["is too long to be shown whole: a part of it is not seen here".to_owned()];
    cut.then(|| Danger { part: String::new(), what })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn shown(name: &str, input: &serde_json::Value) -> (String, String) {
        let call = ToolCall::parse(name, input).unwrap();
        let mut card = ToolCard::new(crate::CallId(1), 0, name.to_owned(), crate::view::ToolState::Waiting);
        describe(&mut card, &call);
        (card.diff, card.input)
    }

    #[test]
    fn changes_and_input_are_shown_before_they_are_made() {
        let written = json!({"path": "a", "content": "one\ntwo\n"});
        assert_eq!(shown("write_file", &written).0, "+one\n+two\n");
        let edited = json!({"path": "a", "old_text": "one", "new_text": "1\n2"});
        assert_eq!(shown("edit_file", &edited).0, "-one\n+1\n+2\n");
        let sent = json!({"task_id": "aaaa0001", "text": "rm -rf /\n"});
        assert_eq!(shown("send_input", &sent).1, "rm -rf /\n");
        assert_eq!(shown("bash", &json!({"command": "ls"})), (String::new(), String::new()));
    }

    fn edit(old: &str, new: &str) -> String {
        shown("edit_file", &json!({"path": "a", "old_text": old, "new_text": new})).0
    }

    #[test]
    fn what_stays_is_told_from_what_changes() {
        assert_eq!(edit("a\nb\nc\n", "a\nB\nc\nd\n"), " a\n-b\n+B\n c\n+d\n");
        assert_eq!(edit("a\nb", "b"), "-a\n b\n");
        assert_eq!(edit("a\n", ""), "-a\n");
        // All of it, however much stays.
        let same = "same\n".repeat(100);
        assert_eq!(edit(&format!("{same}x\n"), &format!("{same}y\n")).lines().count(), 102);
    }

    #[test]
    fn a_change_of_line_ends_is_shown() {
        assert_eq!(edit("a\n", "a"), "-a\n+a\n\\ no line break at its end\n");
        assert_eq!(edit("a\r\nb\n", "a\nb\n"), "-a\r\n+a\n b\n");
    }

    /// What is said of a line that is cut can come from no line.
    #[test]
    fn no_line_passes_for_a_remark() {
        let mut card = ToolCard::new(crate::CallId(1), 0, String::new(), crate::view::ToolState::Waiting);
        card.diff = edit("@@ 1 more lines @@\nx\n", "@@ 1 more lines @@\ny\n");
        assert_eq!(hides(&card), None);
        card.diff = edit(&"x".repeat(WIDTH + 2), "y");
        assert!(card.diff.contains("\n@@ 2 more characters in this line @@\n+y\n"), "{}", card.diff);
        assert!(hides(&card).is_some());
    }

    #[test]
    fn too_many_lines_are_not_compared() {
        let many = |last: &str| format!("{}{last}\n", "x\n".repeat(COMPARED));
        let diff = edit(&many("a"), &many("b"));
        assert!(diff.starts_with("-x\n") && diff.ends_with("+x\n+b\n"));
        assert_eq!(diff.lines().count(), 2 * (COMPARED + 1));
    }

    /// As many as are compared, with nothing in common: the most work there can be.
    #[test]
    fn the_most_that_is_compared_shows_both_sides() {
        let side = |name: &str| (0..COMPARED).map(|n| format!("{name}{n}\n")).collect::<Vec<_>>().concat();
        assert_eq!(edit(&side("a"), &side("b")).lines().count(), 2 * COMPARED);
    }

    #[test]
    fn much_is_cut_and_counted() {
        let long = json!({"path": "a", "content": "x\n".repeat(LINES + 3)});
        assert!(shown("write_file", &long).0.ends_with("+x\n@@ 3 more lines @@\n"));
    }
}
