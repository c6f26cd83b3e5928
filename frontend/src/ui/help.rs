//! The keys, and what happens here.

use leptos::prelude::*;

use super::components::Modal;
use super::local::use_local;

const KEYS: [(&str, &str); 16] = [
    ("Enter", "Send; while the agent works: queue for the next turn"),
    ("Ctrl Enter", "Steer: into the next call"),
    ("Shift Enter", "A new line"),
    ("Escape", "Stop the reply; tasks go on"),
    ("/", "Write"),
    ("Ctrl J", "New session"),
    ("Ctrl .", "Go to the approval that waits"),
    ("Y", "In an approval of what is not dangerous: allow once"),
    ("A", "There too: always allow exactly this"),
    ("N", "In an approval: deny"),
    ("Alt 1 … 4", "Go to sessions, conversation, tasks, timeline"),
    ("+ −", "In the timeline: a shorter or longer stretch"),
    ("← →", "In the timeline: earlier or later"),
    ("↑ ↓", "In the timeline: through its bars and drains; Enter shows more"),
    ("0, End", "In the timeline: all of it, or live again"),
    ("?", "This help"),
];

/// The dialog.
#[component]
pub fn HelpDialog() -> impl IntoView {
    let local = use_local();
    let keys = KEYS.map(|(key, meaning)| {
        view! { <dt><kbd>{key}</kbd></dt><dd>{meaning}</dd> }
    });
    view! {
        <Modal title="Keys and help" on_close=move || local.dialog.set(None)>
            <dl class="keys">{keys}</dl>
            <h3>"What happens here"</h3>
            <p>
                "The agent runs inside this page and calls the model. Commands run on your machine, in the runner. A command in \
                 the background does not hold the agent up: when it ends, its result is pushed into the queue above the box, and the \
                 whole queue goes into the agent's next call. If the agent is idle, a result starts a turn by itself; a task that you stopped, or that the \
                 runner lost, waits for your next message."
            </p>
            <p>
                <strong>"Stop reply"</strong>
                " ends what the agent says and keeps the tasks. "
                <strong>"Stop"</strong>
                " on a task ends that task with all its processes."
            </p>
        </Modal>
    }
}
