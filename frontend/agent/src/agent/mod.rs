//! The agent of one session: what decides.
//!
//! Each event goes to one handler (`user`, `runner`, `turn`), which records what happened. Then `advance` (in
//! `turn`) looks at the state, not at the event, and does whatever is due: that is why no wake can be missed.
//! Last, `finish` compares what is shown with what is true and asks for one alarm at the nearest deadline.

mod out;
mod refused;
mod replay;
mod runner;
mod state;
mod summary;
mod turn;
mod user;
mod watch;

use shared::protocol::ClientFrame;
use shared::task::Task;
use shared::{OpId, Seq, TaskId, Timestamp};
use std::collections::VecDeque;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

use crate::effect::{Effect, SessionSummary};
use crate::event::{Author, Boot, Event};
use crate::link::{Link, Step};
use crate::model::Api;
use crate::model::endpoint::default_model;
use crate::projection::Projection;
use crate::record::{Entry, Record};
use crate::session::{Phase, Session};
use crate::settings::{ModelChoice, Provider, Settings};
use crate::view::{Patch, Status, TurnView, Waiting};
use crate::{notice, projection};

use out::Out;
use state::{Asking, InFlight, Replay, Watched};

/// How many turns an agent may start by itself before the person speaks.
pub const WAKE_BUDGET: u32 = 25;
/// How long after a failed save it is tried again.
const SAVE_AGAIN_MS: u64 = 5_000;
/// After how long a deadline that has come, but could not be acted on, is looked at again.
const LOOK_AGAIN_MS: u64 = 1_000;

/// The agent of one session.
#[derive(Debug)]
pub struct Agent {
    session: Session,
    projection: Projection,
    link: Link,
    settings: Settings,
    nonce: u64,
    open: bool,
    visible: bool,
    in_flight: Option<InFlight>,
    /// The tool use that waits for an approval, as shown.
    asking: Option<Asking>,
    /// Operations of the log that were asked for since this boot.
    asked_ops: BTreeSet<OpId>,
    /// A completion was taken in, and more may follow: no turn starts until this number is settled, or then.
    debounce: Option<(Seq, Timestamp)>,
    /// The events that are to come before a model is asked.
    replay: Option<Replay>,
    /// The event that was missing last, and how often.
    gap: Option<(Seq, u32)>,
    /// The person wants the failed call made again.
    again: bool,
    tasks: BTreeMap<TaskId, Task>,
    /// Tasks whose stop was asked for.
    stopping: BTreeSet<TaskId>,
    /// Watched tasks.
    watched: BTreeMap<TaskId, Watched>,
    /// Entries that are not known to be durable.
    unsaved: VecDeque<Entry>,
    /// Whether the log is written at all: a session in which nothing happened yet leaves no trace.
    keeping: bool,
    /// Why, if saving failed, and when it is tried again.
    save_error: Option<(String, Timestamp)>,
    /// The last event that is durable here.
    saved_seq: Seq,
    /// The number the next event must have; absent while there is no connection.
    expected: Option<Seq>,
    shown: Shown,
}

/// What the page was last told, so that only changes are.
#[derive(Debug, Default)]
struct Shown {
    status: Option<Status>,
    queue: Vec<Waiting>,
    summary: Option<SessionSummary>,
    alarm: Option<Timestamp>,
    runner_alarm: Option<Timestamp>,
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// An agent that has seen nothing yet. Its first event must be [`Event::Opened`]; others before it do
    /// nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            session: Session::default(),
            projection: Projection::default(),
            link: Link::new(Uuid::nil(), 0),
            settings: Settings::default(),
            nonce: 0,
            open: false,
            visible: true,
            in_flight: None,
            asking: None,
            asked_ops: BTreeSet::new(),
            debounce: None,
            replay: None,
            gap: None,
            again: false,
            tasks: BTreeMap::new(),
            stopping: BTreeSet::new(),
            watched: BTreeMap::new(),
            unsaved: VecDeque::new(),
            keeping: false,
            save_error: None,
            saved_seq: Seq(0),
            expected: None,
            shown: Shown::default(),
        }
    }

    /// The state as the log has it.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the agent is at work: a call, a tool, an approval or a wait for the next try.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !matches!(self.session.phase, Phase::Idle | Phase::Failed { retry_at: None, .. })
    }

    /// The last entry that is to be written and is not known to be saved; 0 if there is none.
    #[must_use]
    pub fn owed(&self) -> u64 {
        self.unsaved.back().filter(|_| self.keeping).map_or(0, |entry| entry.n)
    }

    /// Whether what this command asked of the runner has no answer yet.
    #[must_use]
    pub fn owes_answer(&self, author: Author) -> bool {
        self.link.owes(author)
    }

    /// Whether a task of this session runs or waits for a place.
    #[must_use]
    pub fn has_active_tasks(&self) -> bool {
        self.own_active() > 0
    }

    /// The end of the log that is not known to be saved.
    #[must_use]
    pub fn unsaved(&self) -> Vec<Entry> {
        self.unsaved.iter().cloned().collect()
    }

    /// Everything a page needs to show that knows nothing yet.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Patch> {
        let mut patches = self.projection.snapshot();
        patches.push(Patch::Tasks(self.tasks_in_order()));
        patches.extend(self.link.welcome().map(|welcome| Patch::Stats(welcome.stats)));
        patches.push(Patch::Queue(self.waiting()));
        patches.push(Patch::Status(Box::new(self.status())));
        patches
    }

    /// Takes one event and says what must be done about it.
    #[must_use = "effects that are not run are lost"]
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let mut out = Out::new(now);
        if self.open || matches!(event, Event::Opened(_)) {
            self.take(&mut out, event);
            if self.open {
                self.advance(&mut out);
            }
            self.finish(&mut out);
        }
        out.effects
    }

    fn take(&mut self, out: &mut Out, event: Event) {
        match event {
            Event::Opened(boot) => self.boot(out, boot),
            Event::Command { author, command } => {
                out.author = Some(author);
                self.user(out, author, command);
            }
            Event::Model { call, input } => self.model(out, call, input),
            Event::Link { generation, input } => self.link_input(out, generation, input),
            Event::Saved { through } => self.saved(out, through),
            Event::SaveFailed { reason } => self.save_error = Some((reason, out.now.plus(SAVE_AGAIN_MS))),
            // It may have rung early, and rings once only.
            Event::Tick => self.shown.alarm = None,
            Event::Visible(visible) => {
                self.visible = visible;
                if visible {
                    let step = self.link.hurry(out.now);
                    self.step(out, &step);
                }
            }
            Event::Online => {
                let step = self.link.hurry(out.now);
                self.step(out, &step);
            }
            Event::Settings(settings) => self.settings = settings,
            // Nothing that is due is done any more.
            Event::Fenced => return self.fence(out),
        }
        let step = self.link.tick(out.now);
        self.step(out, &step);
    }

    fn boot(&mut self, out: &mut Out, boot: Boot) {
        if self.open {
            return;
        }
        self.open = true;
        self.nonce = boot.nonce;
        self.settings = boot.settings;
        self.visible = boot.visible;
        self.link = Link::new(boot.tab, boot.nonce);
        let mut ignored = Vec::new();
        for entry in &boot.log {
            self.projection.apply(entry, &self.session, &mut ignored);
            self.session.apply(entry);
            ignored.clear();
        }
        self.saved_seq = self.session.seq;
        self.keeping = !boot.log.is_empty();
        if self.session.id.is_none() {
            self.record(out, Record::Began { format: 1, session: boot.session });
        }
        out.patches = self.snapshot();
        self.shown = Shown::default();
        let step = self.link.connect(out.now);
        self.step(out, &step);
    }

    fn fence(&mut self, out: &mut Out) {
        self.open = false;
        if let Some(calling) = self.in_flight.take() {
            out.effects.push(Effect::CancelCall(calling.call));
        }
        out.effects.push(Effect::Disconnect { generation: self.link.generation() });
        out.effects.push(Effect::Alarm(None));
    }

    fn saved(&mut self, out: &mut Out, through: u64) {
        let before = self.saved_seq;
        while self.unsaved.front().is_some_and(|entry| entry.n <= through) {
            let Some(entry) = self.unsaved.pop_front() else { break };
            let seq = if let Record::Missed { through, .. } = entry.record {
                through
            } else if let Record::CompletionReceived { seq, epoch, .. } = entry.record
                && Some(epoch) == self.session.epoch
            {
                seq
            } else {
                continue;
            };
            // A store that was put back gives the same numbers to other events.
            if !self.unsaved.iter().any(|entry| matches!(entry.record, Record::NewEpoch { .. })) {
                self.saved_seq = self.saved_seq.max(seq);
            }
        }
        if self.unsaved.is_empty() {
            self.save_error = None;
        }
        if self.saved_seq > before {
            self.acknowledge(out);
        }
    }

    fn acknowledge(&self, out: &mut Out) {
        if self.saved_seq > Seq(0) {
            self.send(out, ClientFrame::Ack { through: self.saved_seq });
        }
    }

    /// Writes down what happened and folds it in.
    fn record(&mut self, out: &mut Out, record: Record) {
        let entry = Entry { n: self.session.last + 1, at: out.now, record };
        self.projection.apply(&entry, &self.session, &mut out.patches);
        self.session.apply(&entry);
        self.unsaved.push_back(entry.clone());
        out.entries.push(entry);
    }

    fn send(&self, out: &mut Out, frame: ClientFrame) {
        if self.link.is_live() || matches!(frame, ClientFrame::Hello(_)) {
            out.effects.push(Effect::Send { generation: self.link.generation(), frame: Box::new(frame) });
        }
    }

    fn step(&mut self, out: &mut Out, step: &Step) {
        let generation = self.link.generation();
        match step {
            Step::Nothing => {}
            Step::Connect => {
                self.socket_gone(out);
                self.replay_begins(out.now);
                out.effects.push(Effect::Connect { generation });
            }
            Step::Disconnect => {
                self.socket_gone(out);
                out.effects.push(Effect::Disconnect { generation });
            }
        }
    }

    /// Puts everything in order: the log first, then what depends on it; then what is shown; then the alarm.
    fn finish(&mut self, out: &mut Out) {
        if self.open {
            self.choose_entries(out);
        }
        if !out.entries.is_empty() {
            out.effects.insert(0, Effect::Append(std::mem::take(&mut out.entries)));
        }
        let queue = self.waiting();
        if queue != self.shown.queue {
            self.shown.queue.clone_from(&queue);
            out.patches.push(Patch::Queue(queue));
        }
        let status = self.status();
        if self.shown.status.as_ref() != Some(&status) {
            self.shown.status = Some(status.clone());
            out.patches.push(Patch::Status(Box::new(status)));
        }
        if !out.patches.is_empty() {
            out.effects.push(Effect::Show(std::mem::take(&mut out.patches)));
        }
        if self.keeping
            && let Some(summary) = self.summary()
            && self.shown.summary.as_ref() != Some(&summary)
        {
            self.shown.summary = Some(summary.clone());
            out.effects.push(Effect::Index(summary));
        }
        self.set_alarm(out);
    }

    /// What goes into the log now: what is new; or all that is not durable, if saving failed before or begins
    /// only now.
    fn choose_entries(&mut self, out: &mut Out) {
        let idle = |entry: &Entry| matches!(entry.record, Record::Began { .. } | Record::NewEpoch { .. });
        let begins = !self.keeping && !out.entries.iter().all(idle);
        self.keeping |= begins;
        let again = self.save_error.as_ref().is_some_and(|(_, at)| *at <= out.now || !out.entries.is_empty());
        if again && let Some((_, at)) = &mut self.save_error {
            *at = out.now.plus(SAVE_AGAIN_MS);
        }
        if begins || again {
            out.entries = self.unsaved.iter().cloned().collect();
        } else if !self.keeping {
            out.entries.clear();
        }
    }

    fn set_alarm(&mut self, out: &mut Out) {
        if !self.open {
            return;
        }
        // What is due and waits for a runner that only the person can bring back needs no looking at.
        let acts = self.link.is_live() || self.link.deadline().is_some();
        let turn = self.turn_deadline().filter(|at| acts || *at > out.now);
        // The runner keeps time for what the loop waits on: a hidden tab's own timer may come a minute late.
        if self.shown.runner_alarm != turn && self.link.is_live() {
            self.shown.runner_alarm = turn;
            if let Some(at) = turn {
                let after_ms = at.since(out.now) + 5;
                self.send(out, ClientFrame::Alarm { id: 1, after_ms });
            }
        }
        let save = self.save_error.as_ref().map(|(_, at)| *at);
        // What is due and was not acted on waits for something else, such as the runner: it must not hide
        // what comes later.
        let ahead = |at: Timestamp| if at > out.now { at } else { out.now.plus(LOOK_AGAIN_MS) };
        let alarm = [turn, self.link.deadline(), save].into_iter().flatten().map(ahead).min();
        if alarm != self.shown.alarm {
            self.shown.alarm = alarm;
            out.effects.push(Effect::Alarm(alarm));
        }
    }

    /// The model that the next call goes to.
    fn resolved_model(&self) -> ModelChoice {
        let wish = &self.settings.model;
        // Only who chooses a way chooses what is spoken on it.
        let named = matches!(wish.provider, Provider::Relay | Provider::Direct);
        let api = if named { wish.api } else { Api::default() };
        let relayed = self.link.welcome().is_some_and(|welcome| api.is_relayed(&welcome.relay));
        let provider = match wish.provider {
            Provider::Auto if relayed => Provider::Relay,
            Provider::Auto if self.settings.direct(api).has_key => Provider::Direct,
            Provider::Auto => Provider::Demo,
            Provider::Demo | Provider::Relay | Provider::Direct => wish.provider,
        };
        let name = if api == wish.api { wish.model.trim() } else { "" };
        let model = match (provider, name) {
            (Provider::Demo, _) => "demo".to_owned(),
            (_, "") => default_model(provider, api).to_owned(),
            (_, model) => model.to_owned(),
        };
        ModelChoice { provider, api, model }
    }

    /// How many tasks of this session run; before the runner has said it, those that are not known to have
    /// ended.
    fn own_active(&self) -> u32 {
        if self.link.welcome().is_none() {
            let unended = self.session.begun.difference(&self.session.ended).count();
            return u32::try_from(unended).unwrap_or(u32::MAX);
        }
        let own = |task: &&Task| Some(task.session) == self.session.id && task.is_active();
        u32::try_from(self.tasks.values().filter(own).count()).unwrap_or(u32::MAX)
    }

    fn tasks_in_order(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.tasks.values().cloned().collect();
        tasks.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        tasks
    }

    fn waiting(&self) -> Vec<Waiting> {
        let messages = self.session.queue.messages().iter().map(|message| Waiting::Message {
            id: message.id,
            text: message.text.clone(),
            steer: message.steer,
        });
        let completions = self.session.queue.completions().iter().map(|completion| Waiting::Completion {
            task: completion.task.id.clone(),
            command: shared::shown::line(&completion.task.command),
            label: notice::label(&completion.task),
            severity: projection::task_severity(&completion.task.state),
        });
        completions.chain(messages).collect()
    }

    fn status(&self) -> Status {
        let welcome = self.link.welcome();
        let workspace = self.session.preamble.as_ref().map(|preamble| preamble.workspace.clone());
        Status {
            title: self.session.title().to_owned(),
            turn: self.turn_view(),
            link: self.link.view(),
            workspace: welcome
                .map(|welcome| welcome.workspace_short.clone())
                .or(workspace)
                .unwrap_or_default(),
            confined: welcome.and_then(|welcome| welcome.confined.clone()),
            relay: welcome.map(|welcome| welcome.relay.clone()).unwrap_or_default(),
            model: self.resolved_model(),
            mode: self.mode(),
            was_auto: self.session.was_auto,
            wide: welcome.and_then(|welcome| welcome.wide.clone()),
            wake: self.settings.wake,
            budget_left: WAKE_BUDGET.saturating_sub(self.session.self_started),
            spent: self.session.spent,
            unsaved: self.save_error.as_ref().map(|(reason, _)| reason.clone()),
            polls: self.session.polls,
            refused: self.is_refused(),
            full: self.is_full(),
        }
    }

    fn turn_view(&self) -> TurnView {
        match &self.session.phase {
            Phase::Idle if self.session.queue.messages().is_empty() || self.is_full() => TurnView::Idle,
            Phase::Idle => TurnView::WaitsForRunner { in_turn: false },
            Phase::ReadyToSend(_) => TurnView::WaitsForRunner { in_turn: true },
            Phase::AwaitingModel => match &self.in_flight {
                Some(calling) if calling.answering => TurnView::Streaming,
                Some(_) => TurnView::Asking,
                None => TurnView::WaitsForRunner { in_turn: true },
            },
            Phase::Failed { error, retry_at: Some(until) } => {
                TurnView::BacksOff { until: *until, reason: projection::error_text(error) }
            }
            Phase::Failed { retry_at: None, .. } => TurnView::Failed,
            Phase::RunningTools(_) if self.asking.is_some() => TurnView::Asks,
            Phase::RunningTools(_) if !self.link.is_live() => TurnView::WaitsForRunner { in_turn: true },
            Phase::RunningTools(_) => TurnView::Tools,
        }
    }
}
