//! What the runner says: the socket's life, durable events, replies, and what passes by.

use std::collections::BTreeSet;

use shared::output::Preview;
use shared::protocol::{BackgroundedBy, Op, Outcome, Reply, Sandbox, ServerFrame, TaskEvent, Welcome};
use shared::task::Task;
use shared::tools::ToolCall;
use shared::{OpId, Problem, ProblemCode, Seq, TaskId};

use super::replay::REPLAY_MS;
use super::{Agent, Out};
use crate::effect::Effect;
use crate::event::{Author, LinkInput, ModelInput};
use crate::link::{Pending, Purpose};
use crate::record::Record;
use crate::tools;
use crate::uses::Progress;
use crate::view::{Flash, Patch};

/// Ends that come within this many milliseconds make one turn, should the runner's own word (`settled`) fail
/// to come.
const SETTLE_MS: u64 = 400;

impl Agent {
    pub(super) fn link_input(&mut self, out: &mut Out, generation: u64, input: LinkInput) {
        if generation != self.link.generation() {
            return;
        }
        match input {
            LinkInput::Opened => {
                let Some(id) = self.session.id else { return };
                // It acknowledges, so it names what is durable and not what was only heard.
                let hello = self.link.opened(out.now, id, self.session.epoch, self.saved_seq);
                self.send(out, hello);
            }
            LinkInput::Frame(frame) => {
                self.link.heard(out.now);
                self.frame(out, *frame);
            }
            LinkInput::Garbled { .. } => self.link.heard(out.now),
            LinkInput::Closed { code, reason } => {
                self.link.closed(out.now, code, &reason);
                self.socket_gone(out);
            }
        }
    }

    /// What only the old socket carried is over.
    pub(super) fn socket_gone(&mut self, out: &mut Out) {
        self.shown.runner_alarm = None;
        self.expected = None;
        self.replay = None;
        for watched in self.watched.values_mut() {
            watched.reading = None;
        }
        if let Some(calling) = self.in_flight.as_ref().filter(|calling| calling.relayed) {
            let reason = "the connection to the runner was lost".to_owned();
            self.model(out, calling.call, ModelInput::Lost { reason });
        }
    }

    fn frame(&mut self, out: &mut Out, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome(welcome) => self.welcome(out, *welcome),
            ServerFrame::Reply { id, outcome } => {
                if let Some(pending) = self.link.replied(id) {
                    self.reply(out, &pending, outcome);
                }
            }
            ServerFrame::Event { seq, event } => self.event(out, seq, event),
            ServerFrame::Settled { through } => {
                if self.debounce.is_some_and(|(wanted, _)| through >= wanted) {
                    self.debounce = None;
                }
                if self.replay.as_ref().is_some_and(|replay| replay.is_sent(through)) {
                    self.sent(out, through);
                }
            }
            ServerFrame::Task { task } => self.task(out, *task),
            ServerFrame::Cleared { tasks } => {
                for task in &tasks {
                    self.tasks.remove(task);
                }
                out.patches.push(Patch::TasksGone(tasks));
            }
            ServerFrame::Output { task, slice } => self.output(out, &task, slice),
            ServerFrame::Stats(stats) => out.patches.push(Patch::Stats(stats)),
            ServerFrame::ModelHead { call, status, headers } => {
                self.relayed(out, &call, ModelInput::Head { status, headers });
            }
            ServerFrame::ModelData { call, data } => self.relayed(out, &call, ModelInput::Data(data.0)),
            ServerFrame::ModelEnd { call, problem: None } => self.relayed(out, &call, ModelInput::End),
            ServerFrame::ModelEnd { call, problem: Some(problem) } => {
                self.relayed(out, &call, failed(problem));
            }
            ServerFrame::Alarm { .. } => self.shown.runner_alarm = None,
            ServerFrame::Heartbeat { .. } => {}
            ServerFrame::Problem { problem } => out.toast(&problem.message),
        }
    }

    fn relayed(&mut self, out: &mut Out, call: &str, input: ModelInput) {
        let current = self.in_flight.as_ref().filter(|calling| calling.relayed).map(|calling| calling.call);
        if let Some(current) = current
            && current.0.to_string() == call
        {
            self.model(out, current, input);
        }
    }

    fn welcome(&mut self, out: &mut Out, welcome: Welcome) {
        let known = self.session.epoch;
        let other = known != Some(welcome.epoch);
        // A store that was put back from a copy knows less than this log, and gives the same numbers to other
        // events.
        let knows_less = !welcome.resumed && welcome.next <= self.session.seq;
        let rewound = !other && (knows_less || welcome.last < self.session.seq);
        if other || rewound {
            self.record(out, Record::NewEpoch { epoch: welcome.epoch });
            self.saved_seq = Seq(0);
        }
        if other && known.is_some() {
            self.give_up_on_old_store(out);
        }
        self.expected = Some(welcome.next);
        self.replay_goes_on(out.now, &welcome, rewound);
        if welcome.last > self.session.seq {
            self.debounce = Some((welcome.last, out.now.plus(REPLAY_MS)));
        }
        self.tasks = welcome.tasks.iter().map(|task| (task.id.clone(), task.clone())).collect();
        out.patches.push(Patch::Tasks(welcome.tasks.clone()));
        out.patches.push(Patch::Stats(welcome.stats));
        for task in &welcome.tasks {
            self.timeline(out, task);
        }
        let overtaken: BTreeSet<OpId> = self.session.overtaken.iter().map(|overtaken| overtaken.op).collect();
        let found: Vec<Task> =
            welcome.tasks.iter().filter(|task| overtaken.contains(&task.op)).cloned().collect();
        self.link.welcomed(out.now, welcome);
        self.acknowledge(out);
        let authors = self.link.forget_old_socket();
        answer_without(out, authors, "The connection broke before the runner answered. Ask again.");
        for frame in self.link.resend() {
            self.send(out, frame);
        }
        for task in &found {
            self.found(out, task);
        }
        self.watch_on(out);
    }

    /// A tool use that was under way towards an older store must not be repeated: nobody knows whether it was
    /// carried out.
    fn give_up_on_old_store(&mut self, out: &mut Out) {
        // Those too whose reply was stopped meanwhile: they have their result, but may still be on their way.
        let authors = self.link.forget_old_store();
        let text = "The runner lost its store while a task was being started. It may have been started; look before you repeat it.";
        answer_without(out, authors, text);
        let Some((index, tool)) = self.session.current_use() else { return };
        if let Progress::Began { .. } = tool.progress {
            let text = "The runner lost its store while this was under way. It may or may not have been carried out, wholly or in part; look before you repeat it.";
            let outcome = tools::failed(text);
            self.record(
                out,
                Record::ToolDone { call: self.session.call, index, outcome, consumed: Vec::new() },
            );
        }
    }

    fn event(&mut self, out: &mut Out, seq: Seq, event: TaskEvent) {
        let (Some(epoch), Some(expected)) = (self.session.epoch, self.expected) else { return };
        if seq > expected && !self.gap(out, expected, seq) {
            return;
        }
        self.expected = Some(expected.max(Seq(seq.0 + 1)));
        if seq <= self.session.seq {
            self.acknowledge(out);
            return;
        }
        let ended = matches!(event, TaskEvent::Ended { .. });
        self.record(out, Record::CompletionReceived { epoch, seq, event: event.clone() });
        self.replayed(out);
        if ended && self.debounce.is_none_or(|(wanted, _)| wanted <= seq) {
            self.debounce = Some((seq, out.now.plus(SETTLE_MS)));
        }
        match event {
            TaskEvent::Ended { task, preview } => {
                self.stopping.remove(&task.id);
                if let Some(index) = self.awaited(&task) {
                    let outcome = tools::ended(&task, &preview);
                    let consumed = vec![task.id.clone()];
                    self.tool_done(out, index, outcome, consumed);
                }
                self.task(out, *task);
            }
            TaskEvent::Backgrounded { task, by, preview } => {
                if let Some(index) = self.awaited(&task) {
                    let outcome = tools::backgrounded(&task, by, &preview);
                    self.tool_done(out, index, outcome, Vec::new());
                }
                self.task(out, *task);
            }
        }
    }

    /// The `bash` call that waits for this task.
    pub(super) fn awaited(&self, task: &Task) -> Option<usize> {
        let (index, tool) = self.session.current_use()?;
        let waits = matches!(tool.call, Ok(ToolCall::Bash(_)))
            && matches!(tool.progress, Progress::Began { op, .. } if op == task.op);
        waits.then_some(index)
    }

    pub(super) fn tool_done(
        &mut self,
        out: &mut Out,
        index: usize,
        mut outcome: crate::record::ToolOutcome,
        consumed: Vec<TaskId>,
    ) {
        if let Some((_, tool)) = self.session.current_use()
            && let Progress::Began { op, sandbox, .. } = tool.progress
        {
            self.link.forget(op);
            if sandbox == Some(Sandbox::ReadOnly) {
                outcome = tools::read_only(outcome);
            }
        }
        self.record(out, Record::ToolDone { call: self.session.call, index, outcome, consumed });
    }

    fn task(&mut self, out: &mut Out, task: Task) {
        if let Some(known) = self.tasks.get(&task.id)
            && known.state.is_end()
            && !task.state.is_end()
        {
            return;
        }
        self.timeline(out, &task);
        self.found(out, &task);
        self.tasks.insert(task.id.clone(), task.clone());
        out.patches.push(Patch::Task(Box::new(task)));
    }

    /// A task of a use that was stopped before the runner had said what it started: it goes on, in the
    /// background.
    fn found(&mut self, out: &mut Out, task: &Task) {
        let overtaken = self.session.overtaken.iter().find(|overtaken| overtaken.op == task.op);
        let Some((call, index)) = overtaken.map(|overtaken| (overtaken.call, overtaken.index)) else {
            return;
        };
        self.record(out, Record::ToolTask { call, index, task: task.id.clone() });
        if task.foreground && task.is_active() {
            self.request(out, Op::Background { task: task.id.clone() }, Purpose::Own);
        }
    }

    fn timeline(&mut self, out: &mut Out, task: &Task) {
        if Some(task.session) == self.session.id {
            self.projection.task(task, &mut out.patches);
        }
    }

    fn reply(&mut self, out: &mut Out, pending: &Pending, outcome: Outcome) {
        match pending.purpose {
            Purpose::Tool => self.tool_reply(out, pending.id, outcome),
            Purpose::User(author) => {
                out.author = Some(author);
                match outcome {
                    Outcome::Ok(Reply::PairedWith { url, expires }) => {
                        out.flash(Flash::PairLink { url, expires });
                    }
                    Outcome::Ok(reply) => self.learn(out, &reply),
                    Outcome::Err(problem) => {
                        if let Op::Stop { task, .. } = &pending.op {
                            self.stopping.remove(task);
                        }
                        out.toast(&problem.message);
                    }
                }
                out.effects.push(Effect::Answered(author));
            }
            Purpose::Own => self.own_reply(out, pending, outcome),
        }
    }

    fn own_reply(&mut self, out: &mut Out, pending: &Pending, outcome: Outcome) {
        match (&pending.op, outcome) {
            (Op::ReadOutput { task, .. }, Outcome::Ok(Reply::Output { slice, .. })) => {
                self.gap_read(out, pending.id, task, slice);
            }
            (Op::Watch { task, .. } | Op::ReadOutput { task, .. }, Outcome::Err(_)) => {
                self.watched.remove(task);
            }
            (Op::ModelCall(call), Outcome::Err(problem)) => {
                self.relayed(out, &call.call, failed(problem));
            }
            (_, Outcome::Ok(reply)) => self.learn(out, &reply),
            (_, Outcome::Err(_)) => {}
        }
    }

    /// A reply that holds a task is the newest word on it.
    fn learn(&mut self, out: &mut Out, reply: &Reply) {
        match reply {
            Reply::Started { task } | Reply::Stopped { task } | Reply::Task { task } => {
                self.task(out, (**task).clone());
            }
            Reply::Checked { tasks } => {
                for checked in tasks {
                    self.task(out, checked.task.clone());
                }
            }
            Reply::Output { .. }
            | Reply::File(_)
            | Reply::Changed(_)
            | Reply::PairedWith { .. }
            | Reply::Done => {}
        }
    }

    fn tool_reply(&mut self, out: &mut Out, id: OpId, outcome: Outcome) {
        let current = self.session.current_use().and_then(|(index, tool)| match &tool.progress {
            Progress::Began { op, approved, .. } if *op == id => {
                tool.call.clone().ok().map(|call| (index, call, *approved))
            }
            Progress::Began { .. } | Progress::Pending { .. } | Progress::Done(_) => None,
        });
        let Some((index, call, approved)) = current else {
            // The reply was stopped meanwhile.
            if let Outcome::Ok(reply) = outcome {
                self.learn(out, &reply);
            }
            return;
        };
        match outcome {
            Outcome::Err(Problem {
                code: ProblemCode::NeedsApproval | ProblemCode::SandboxUnavailable,
                message,
                ..
            }) if !approved => {
                self.link.forget(id);
                let call = self.session.call;
                self.record(out, Record::ToolRefused { call, index, reason: message });
            }
            Outcome::Err(problem) => self.tool_refused(out, index, &problem),
            Outcome::Ok(reply) => {
                self.learn(out, &reply);
                if let Reply::Started { task } = &reply {
                    self.record(
                        out,
                        Record::ToolTask { call: self.session.call, index, task: task.id.clone() },
                    );
                    self.end_is_owed(out.now, task);
                }
                if let (ToolCall::Bash(_), Reply::Started { task }) = (&call, &reply) {
                    return self.foreground_started(out, index, task);
                }
                if let Some((outcome, consumed)) = tools::result(&call, reply, self.tasks.values()) {
                    self.tool_done(out, index, outcome, consumed);
                }
            }
        }
    }

    /// A `bash` command began. Its end will be the result, unless that was taken in before: the same
    /// operation was asked for by a page whose log was lost from there on.
    fn foreground_started(&mut self, out: &mut Out, index: usize, task: &Task) {
        if self.session.ended.contains(&task.id) {
            let waiting =
                self.session.queue.completions().iter().find(|completion| completion.task.id == task.id);
            let preview = waiting.map(|completion| completion.preview.clone()).unwrap_or_default();
            let outcome = tools::ended(task, &preview);
            self.tool_done(out, index, outcome, vec![task.id.clone()]);
        } else if task.is_active() && !task.foreground {
            let outcome = tools::backgrounded(task, BackgroundedBy::Request, &Preview::default());
            self.tool_done(out, index, outcome, Vec::new());
        }
    }

    fn tool_refused(&mut self, out: &mut Out, index: usize, problem: &Problem) {
        self.tool_done(out, index, tools::refused(problem), Vec::new());
    }

    /// The phase is one in which an operation of the log is under way but was not asked for since this boot.
    pub(super) fn ask_again(&mut self, out: &mut Out, op: OpId, wanted: Op) {
        if !self.asked_ops.insert(op) || self.link.is_pending(op) {
            return;
        }
        if let Some(frame) = self.link.request(op, wanted, Purpose::Tool) {
            self.send(out, frame);
        }
    }
}

/// People will have no answer to what they asked of the runner: this is said instead.
fn answer_without(out: &mut Out, authors: Vec<Author>, text: &str) {
    for author in authors {
        out.author = Some(author);
        out.toast(text);
        out.effects.push(Effect::Answered(author));
    }
    out.author = None;
}

/// What a relayed call's problem is to the call.
fn failed(problem: Problem) -> ModelInput {
    let reason = problem.message;
    if problem.retryable { ModelInput::Lost { reason } } else { ModelInput::Refused { reason } }
}
