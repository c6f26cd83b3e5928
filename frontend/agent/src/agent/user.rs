//! What the person wants.

use shared::TaskId;
use shared::protocol::{Op, Start};
use shared::task::{Party, Task};
use shared::tools::ToolCall;

use super::{Agent, Out};
use crate::call::CallId;
use crate::effect::Effect;
use crate::event::{Author, Command, Decision};
use crate::link::Purpose;
use crate::record::Record;
use crate::session::Phase;
use crate::settings::Mode;
use crate::tools;
use crate::uses::Progress;
use crate::view::Flash;

/// A longer message is refused: a message of this size fills most models' context.
const MAX_MESSAGE: usize = 1024 * 1024;

impl Agent {
    pub(super) fn user(&mut self, out: &mut Out, author: Author, wish: Command) {
        match wish {
            Command::QueueMessage { text, steer } => self.queue_message(out, text, steer),
            Command::CancelMessage { id } => self.record(out, Record::Cancelled { id }),
            Command::EditMessage { id, text } if text.trim().is_empty() => {
                let _ = text;
                self.record(out, Record::Cancelled { id });
            }
            Command::EditMessage { id, text } => self.change_message(out, id, |_, message| message.1 = text),
            Command::Shift { id, earlier } => self.change_message(out, id, |last, message| {
                message.0 = if earlier { message.0.saturating_sub(1) } else { (message.0 + 1).min(last) };
            }),
            Command::Steer { id } => {
                self.change_message(out, id, |_, message| message.2 = true);
                // Into the next call: and there is none but the one that failed.
                self.again = matches!(self.session.phase, Phase::Failed { .. });
            }
            Command::StopReply => self.stop_reply(out),
            Command::Retry => {
                self.again = matches!(self.session.phase, Phase::Failed { .. });
            }
            Command::TakeBack => self.take_back(out),
            Command::Decide { call, index, decision } => self.decide(out, call, index, decision),
            Command::Background { task } => self.wish(out, author, Op::Background { task }),
            Command::StopTask { task } => {
                let now = self.link.is_live() && !self.stopping.insert(task.clone());
                self.wish(out, author, Op::Stop { task, by: Party::User, now });
            }
            Command::PauseTask { task } => self.wish(out, author, Op::Pause { task }),
            Command::ResumeTask { task } => self.wish(out, author, Op::Resume { task }),
            Command::SendInput { task, text, eof } => {
                self.wish(out, author, Op::SendInput { task, text, eof });
            }
            Command::RunAgain { task } => self.run_again(out, author, &task),
            Command::ClearTasks => self.wish(out, author, Op::Clear { tasks: Vec::new() }),
            Command::Watch { task, viewer } => self.watch(out, task, viewer),
            Command::Unwatch { task, viewer } => self.unwatch(out, task, viewer),
            Command::SetMode { mode } => {
                if self.session.mode != Some(mode) {
                    self.record(out, Record::ModeSet { mode });
                }
            }
            Command::Rename { title } => {
                let title = crate::notice::cut_head(title.trim(), 200);
                self.record(out, Record::Titled { title });
            }
            Command::Pair => self.wish(out, author, Op::Pair),
            Command::Reconnect => {
                if !self.link.is_live() {
                    let step = self.link.connect(out.now);
                    self.step(out, &step);
                }
            }
        }
    }

    fn queue_message(&mut self, out: &mut Out, text: String, steer: bool) {
        if text.trim().is_empty() {
            return;
        }
        if text.len() > MAX_MESSAGE {
            out.flash(Flash::Draft { text });
            return out.toast(
                "That is longer than 1 MiB. Put it into a file in the workspace and say where it is.",
            );
        }
        let id = self.session.last_message + 1;
        let steer = steer && self.is_busy();
        self.record(out, Record::Queued { id, text, steer });
        if self.is_refused() {
            out.toast("What was sent before was refused: take it back, or try again. This message waits until then.",
            );
        }
    }

    /// What needs an approval: as was said in this session, or as is usual.
    pub(crate) fn mode(&self) -> Mode {
        self.session.mode.unwrap_or(self.settings.mode)
    }

    /// Changes a waiting message: place, text, steering. One that was drained meanwhile stays as it was sent.
    fn change_message(
        &mut self,
        out: &mut Out,
        id: u64,
        change: impl FnOnce(usize, &mut (usize, String, bool)),
    ) {
        let waiting = self.session.queue.messages();
        let Some(place) = waiting.iter().position(|message| message.id == id) else {
            return out.toast("That message was sent already.");
        };
        let mut message = (place, waiting[place].text.clone(), waiting[place].steer);
        change(waiting.len() - 1, &mut message);
        let (place, text, steer) = message;
        self.record(out, Record::Edited { id, text, steer, place });
    }

    fn stop_reply(&mut self, out: &mut Out) {
        if !self.is_busy() && !matches!(self.session.phase, Phase::Failed { .. }) {
            return;
        }
        if self.is_refused() {
            return out.toast("Nothing is under way. Take back what was refused, or try again.");
        }
        if self.stop_call(out) {
            return;
        }
        let waited = self.session.current_use().and_then(|(_, tool)| match (&tool.call, &tool.progress) {
            (Ok(ToolCall::Bash(_)), Progress::Began { op, task, .. }) => Some((*op, task.clone())),
            _ => None,
        });
        self.asking = None;
        self.record(out, Record::StoppedReply);
        if let Some((_, Some(task))) = waited {
            self.request(out, Op::Background { task }, Purpose::Own);
        }
    }

    fn decide(&mut self, out: &mut Out, call: CallId, index: usize, decision: Decision) {
        let moot =
            self.session.call != call || self.asking.as_ref().is_none_or(|asking| asking.index != index);
        if moot {
            return out.toast("That approval is no longer asked for.");
        }
        let offered = self.asking.take().map(|asking| asking.always).unwrap_or_default();
        let (allowed, rule, reason) = match decision {
            Decision::Once => (true, None, String::new()),
            Decision::Always { rule } if offered.contains(&rule) => (true, Some(rule), String::new()),
            Decision::Always { .. } => {
                out.toast("That rule was not offered; it was allowed this once.");
                (true, None, String::new())
            }
            Decision::Deny { reason } => (false, None, reason),
        };
        if let Some(rule) = &rule {
            self.settings.rules.push(rule.clone());
            out.effects.push(Effect::SaveRule(rule.clone()));
        }
        self.record(out, Record::ApprovalResolved { call, index, allowed, rule, reason: reason.clone() });
        if !allowed {
            let outcome = tools::denied(&reason);
            self.record(out, Record::ToolDone { call, index, outcome, consumed: Vec::new() });
        }
    }

    fn run_again(&mut self, out: &mut Out, author: Author, task: &TaskId) {
        let Some(Task { with_stdin, .. }) = self.tasks.get(task) else {
            return out.toast("The runner no longer knows that task.");
        };
        let with_stdin = *with_stdin;
        // What is known here of a long command may be its beginning only: the runner has the whole.
        let start = Start {
            command: String::new(),
            folder: None,
            timeout_ms: None,
            foreground_ms: None,
            stdin: with_stdin,
            preview_chars: tools::NOTICE_CHARS,
            again_of: Some(task.clone()),
            sandbox: None,
        };
        self.wish(out, author, Op::Start(start));
    }

    /// Asks something of the runner for the person. What waited for a connection would be lost with the page,
    /// and be done when nobody thinks of it any more.
    fn wish(&mut self, out: &mut Out, author: Author, op: Op) {
        if !self.link.is_live() {
            return out.toast("The runner is not connected: nothing was done. Try again when it is.");
        }
        self.request(out, op, Purpose::User(author));
    }

    pub(super) fn request(&mut self, out: &mut Out, op: Op, purpose: Purpose) {
        let id = self.link.fresh_op();
        if let Some(frame) = self.link.request(id, op, purpose) {
            self.send(out, frame);
        }
    }
}
