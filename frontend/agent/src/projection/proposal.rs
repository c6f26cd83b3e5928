//! What a tool use would do, so that a person can allow it with open eyes: the change of a file as a diff, input word for word.
//!
//! Only the model's own words are known here, not the file: a diff of an edit shows what goes and what comes, without its
//! surroundings. When it is done, the runner's diff takes its place.

use shared::tools::{EditFile, SendInput, ToolCall, WriteFile};

use crate::view::{Danger, ToolCard};

/// At most this many lines of each side are shown.
const LINES: usize = 2_000;
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
            side('-', old_text, &mut card.diff);
            side('+', new_text, &mut card.diff);
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

fn side(sign: char, text: &str, diff: &mut String) {
    for line in text.lines().take(LINES) {
        diff.push(sign);
        let shown: String = line.chars().take(WIDTH).collect();
        diff.push_str(&shown);
        diff.push('\n');
        if shown.len() < line.len() {
            let more = line.chars().count() - WIDTH;
            diff.push_str(&format!("{CUT}{more} more characters in this line @@\n"));
        }
    }
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        diff.push_str(&format!("{CUT}{more} more lines @@\n"));
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

    #[test]
    fn much_is_cut_and_counted() {
        let long = json!({"path": "a", "content": "x\n".repeat(LINES + 3)});
        assert!(shown("write_file", &long).0.ends_with("+x\n@@ 3 more lines @@\n"));
    }
}
