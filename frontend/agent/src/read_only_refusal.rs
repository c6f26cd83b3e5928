//! Commands that ran without a question and so held to reading: whether that may be why they failed, and what
//! is said then.
//!
//! What is found here decides what is told and asked, and nothing of what is allowed.

use shared::output::Preview;
use shared::protocol::Sandbox;
use shared::task::{Task, TaskState};

/// What programs say when the kernel refuses them something.
const REFUSALS: [&str; 6] = [
    "Permission denied",
    "permission denied",
    "Operation not permitted",
    "Function not implemented",
    "Read-only file system",
    "File too large",
];
/// What the model is told then.
pub const REFUSED: &str = "It ran without a question, so it could only read, in the workspace and the system's own folders, without the network. If that is why it failed, run it once more: the user is asked then, and it runs without that limit.";
/// How long a program's name may be.
const NAME: usize = 32;

/// Whether a command was refused something, by what it printed. Of one that succeeded, as a pipeline does
/// whose last part does, only what has the form of a program's own error counts.
#[must_use]
pub fn is_refused(failed: bool, printed: &str) -> bool {
    let refused = |text: &str| REFUSALS.iter().any(|refusal| text.contains(refusal));
    if failed { refused(printed) } else { printed.lines().any(is_error) }
}

/// `sort: cannot create temporary file in '/tmp': Permission denied`
fn is_error(line: &str) -> bool {
    let is_named = line.split_once(": ").is_some_and(|(name, _)| {
        name.len() <= NAME && name.chars().all(|char| char.is_ascii_alphanumeric() || "._+-".contains(char))
    });
    is_named && REFUSALS.iter().any(|refusal| line.trim_end().ends_with(refusal))
}

/// Whether a task that has ended was held to reading and refused something.
#[must_use]
pub fn was_refused(task: &Task, preview: &Preview) -> bool {
    let failed = !matches!(task.state, TaskState::Completed);
    let printed = is_refused(failed, &preview.head) || is_refused(failed, &preview.tail);
    task.sandbox == Some(Sandbox::ReadOnly) && printed
}

#[cfg(test)]
mod tests {
    use super::is_refused;

    #[test]
    fn a_refusal_within_a_pipeline_counts_and_one_that_is_only_shown_does_not() {
        assert!(is_refused(true, "cat: /root/x: Permission denied"));
        assert!(is_refused(true, "error: could not write (Permission denied)"));
        assert!(is_refused(false, "3\ntac: failed to create temporary file: Permission denied\n"));
        assert!(is_refused(false, "sort: cannot create temporary file in '/tmp': Read-only file system"));
        for shown in [
            "src/a.rs:12: const X: &str = \"Permission denied\";",
            "It says: Permission denied",
            "log of yesterday: Permission denied",
            "docs/a.md: Permission denied",
            "Permission denied",
        ] {
            assert!(!is_refused(false, shown), "{shown}");
        }
        assert!(!is_refused(true, "error: no such file"));
    }
}
