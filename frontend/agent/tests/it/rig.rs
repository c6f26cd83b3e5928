//! A bench for one agent: everything goes well unless the test says otherwise, and each step is the test's.

use agent::CallId;
use agent::effect::Target;
use agent::event::{Author, Boot, Command, LinkInput, ModelInput};
use agent::model::Api;
use agent::model::demo::Chunk;
use agent::record::Entry;
use agent::settings::{Mode, ModelChoice, Provider, Settings};
use agent::view::{Flash, Patch, Row, RowKind, Status, ToolCard};
use agent::{Agent, Effect, Event};
use serde_json::{Value, json};
use shared::output::Preview;
use shared::protocol::{
    BackgroundedBy, ClientFrame, Confined, Op, Outcome, PROTOCOL, Reply, Sandbox, ServerFrame, Stats,
    TaskEvent, Welcome,
};
use shared::task::{Task, TaskState};
use shared::{Epoch, OpId, Seq, SessionId, TaskId, Timestamp};
use uuid::Uuid;

/// Whose commands these are.
pub(crate) const AUTHOR: Author = Author { from: Uuid::from_u128(9), number: 1 };

pub(crate) struct Rig {
    pub(crate) agent: Agent,
    pub(crate) now: u64,
    pub(crate) disk: Vec<Entry>,
    pub(crate) settings: Settings,
    /// Requests to the model, newest last.
    pub(crate) calls: Vec<(CallId, Value)>,
    /// What the demo answers to the newest.
    demo: Vec<Chunk>,
    pub(crate) cancelled: Vec<CallId>,
    /// Frames to the runner since they were last taken.
    pub(crate) sent: Vec<ClientFrame>,
    pub(crate) notified: Vec<String>,
    pub(crate) toasts: Vec<String>,
    pub(crate) status: Option<Status>,
    /// Words that came back to the box in which they were written.
    pub(crate) drafts: Vec<String>,
    /// To whom links were given that pair a browser.
    pub(crate) pair_links: Vec<Option<Uuid>>,
    /// Commands whose answer came.
    pub(crate) answered: Vec<Author>,
    /// Output of watched tasks, as it was shown.
    pub(crate) shown: Vec<String>,
    /// When the agent's one alarm rings; it is gone once it has.
    pub(crate) alarm: Option<Timestamp>,
    /// How often a socket was asked for.
    pub(crate) connects: usize,
    seq: u64,
    generation: u64,
    pub(crate) saving: bool,
    /// How the runner confines its commands.
    pub(crate) confined: Option<Confined>,
    /// What it can hold them to.
    pub(crate) sandboxes: Vec<Sandbox>,
    /// What it says of a workspace that is no project's.
    pub(crate) wide: Option<String>,
}

pub(crate) fn settings(mode: Mode) -> Settings {
    let model = ModelChoice::new(Provider::Demo, "");
    Settings { model, mode, ..Settings::default() }
}

impl Rig {
    /// A new session, connected, in which nothing needs an approval.
    pub(crate) fn new() -> Self {
        Self::with(settings(Mode::Auto))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let mut rig = Self::off(settings);
        rig.boot();
        rig.connect();
        rig
    }

    /// A session whose log begins at this time.
    pub(crate) fn begun_at(now: u64) -> Self {
        let mut rig = Self { now, ..Self::off(settings(Mode::Auto)) };
        rig.boot();
        rig.connect();
        rig
    }

    fn off(settings: Settings) -> Self {
        Self {
            agent: Agent::new(),
            now: 1_000,
            disk: Vec::new(),
            settings,
            calls: Vec::new(),
            demo: Vec::new(),
            cancelled: Vec::new(),
            sent: Vec::new(),
            notified: Vec::new(),
            toasts: Vec::new(),
            status: None,
            drafts: Vec::new(),
            pair_links: Vec::new(),
            answered: Vec::new(),
            shown: Vec::new(),
            alarm: None,
            connects: 0,
            seq: 0,
            generation: 0,
            saving: true,
            confined: None,
            sandboxes: vec![Sandbox::ReadOnly],
            wide: None,
        }
    }

    /// The runner comes back, and confines its commands to these folders or no longer does.
    pub(crate) fn confine(&mut self, writable: Option<&[&str]>) {
        self.confined = writable.map(|folders| Confined {
            writable: folders.iter().map(|folder| (*folder).to_owned()).collect(),
            gaps: Vec::new(),
        });
        self.boot();
        self.connect();
    }

    /// The page is loaded again, from what is on the disk.
    pub(crate) fn boot(&mut self) {
        self.agent = Agent::new();
        let boot = Boot {
            session: SessionId(Uuid::from_u128(7)),
            tab: Uuid::from_u128(9),
            log: self.disk.clone(),
            nonce: 3,
            settings: self.settings.clone(),
            visible: true,
        };
        self.send(Event::Opened(boot));
    }

    /// The socket opens and the runner welcomes.
    pub(crate) fn connect(&mut self) {
        self.link(LinkInput::Opened);
        self.welcome(Epoch(Uuid::from_u128(1)));
    }

    /// The runner has lost its store.
    pub(crate) fn connect_to_new_store(&mut self) {
        self.seq = 0;
        self.welcome(Epoch(Uuid::from_u128(2)));
    }

    fn welcome(&mut self, epoch: Epoch) {
        self.welcome_with(|welcome| welcome.epoch = epoch);
    }

    /// The runner's welcome, with what the test wants otherwise.
    pub(crate) fn welcome_with(&mut self, change: impl FnOnce(&mut Welcome)) {
        let mut welcome = Welcome {
            protocol: PROTOCOL,
            version: "0".to_owned(),
            epoch: Epoch(Uuid::from_u128(1)),
            resumed: true,
            last: Seq(self.seq),
            next: Seq(self.seq + 1),
            workspace: "/w".to_owned(),
            workspace_short: "~/w".to_owned(),
            system: "linux".to_owned(),
            shell: "/bin/sh".to_owned(),
            tasks: Vec::new(),
            stats: Stats::default(),
            relay: Vec::new(),
            confined: self.confined.clone(),
            sandboxes: self.sandboxes.clone(),
            wide: self.wide.clone(),
            heartbeat_ms: 10_000,
            now: Timestamp(self.now),
        };
        change(&mut welcome);
        self.frame(ServerFrame::Welcome(Box::new(welcome)));
    }

    pub(crate) fn frame(&mut self, frame: ServerFrame) {
        self.link(LinkInput::Frame(Box::new(frame)));
    }

    pub(crate) fn link(&mut self, input: LinkInput) {
        let generation = self.generation;
        self.send(Event::Link { generation, input });
    }

    pub(crate) fn user(&mut self, wish: Command) {
        self.send(Event::Command { author: AUTHOR, command: wish });
    }

    pub(crate) fn send_message(&mut self, text: &str) {
        self.user(Command::QueueMessage { text: text.to_owned(), steer: false });
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.send(Event::Tick);
    }

    /// Time passes as a browser lets it: nothing happens but the alarm, which rings this much too early.
    /// False if there is none.
    pub(crate) fn ring(&mut self, early: u64) -> bool {
        let Some(at) = self.alarm.take() else { return false };
        self.now = self.now.max(at.0.saturating_sub(1 + early));
        self.send(Event::Tick);
        true
    }

    pub(crate) fn send(&mut self, event: Event) {
        self.now += 1;
        for effect in self.agent.handle(Timestamp(self.now), event) {
            match effect {
                Effect::Append(entries) => {
                    if self.saving {
                        let through = entries.last().unwrap().n;
                        self.disk.extend(entries);
                        self.send(Event::Saved { through });
                    }
                }
                Effect::Call(call) => {
                    let body: Value = serde_json::from_str(&call.body).unwrap();
                    match call.target {
                        Target::Http { api: Api::Chat, .. } => crate::chat_api::check(&body).unwrap(),
                        Target::Http { .. } | Target::Demo(_) => {
                            crate::api::check(&body).and_then(|()| crate::api::alternate(&body)).unwrap();
                        }
                    }
                    self.calls.push((call.call, body));
                    if let Target::Demo(answer) = call.target {
                        self.demo = answer;
                    }
                }
                Effect::CancelCall(call) => self.cancelled.push(call),
                Effect::Connect { generation } => {
                    self.generation = generation;
                    self.connects += 1;
                }
                Effect::Alarm(at) => self.alarm = at,
                Effect::Send { frame, .. } => self.sent.push(*frame),
                Effect::Notify { title, .. } => self.notified.push(title),
                Effect::Show(patches) => self.show(patches),
                Effect::Flash { to, flash } => self.flash(to, flash),
                Effect::Answered(author) => self.answered.push(author),
                Effect::Disconnect { .. } | Effect::Index(_) | Effect::SaveRule(_) => {}
            }
        }
    }

    fn flash(&mut self, to: Option<Uuid>, flash: Flash) {
        match flash {
            Flash::Toast { text, .. } => self.toasts.push(text),
            Flash::Draft { text } => self.drafts.push(text),
            Flash::PairLink { .. } => self.pair_links.push(to),
        }
    }

    fn show(&mut self, patches: Vec<Patch>) {
        for patch in patches {
            match patch {
                Patch::Status(status) => self.status = Some(*status),
                Patch::Output { slice, .. } => {
                    self.shown.push(String::from_utf8(slice.data.0).unwrap());
                }
                _ => {}
            }
        }
    }

    /// The demo answers the newest call.
    pub(crate) fn demo(&mut self) {
        let call = self.calls.last().unwrap().0;
        self.model(call, head(200));
        for chunk in std::mem::take(&mut self.demo) {
            self.model(call, ModelInput::Data(chunk.bytes));
        }
        self.model(call, ModelInput::End);
    }

    /// The model answers the newest call with these blocks.
    pub(crate) fn answer(&mut self, blocks: &[Value]) {
        let wants_tools = blocks.iter().any(|block| block["type"] == "tool_use");
        self.answer_and_stop(blocks, if wants_tools { "tool_use" } else { "end_turn" });
    }

    pub(crate) fn answer_and_stop(&mut self, blocks: &[Value], stop: &str) {
        let call = self.calls.last().unwrap().0;
        self.model(call, head(200));
        self.model(call, ModelInput::Data(crate::sim::model::stream(blocks, stop).into_bytes()));
        self.model(call, ModelInput::End);
    }

    pub(crate) fn model(&mut self, call: CallId, input: ModelInput) {
        self.send(Event::Model { call, input });
    }

    /// The blocks of the last message of the newest request.
    pub(crate) fn last_message(&self) -> Vec<Value> {
        let body = &self.calls.last().unwrap().1;
        let last = body["messages"].as_array().unwrap().last().unwrap();
        let mut blocks = last["content"].as_array().unwrap().clone();
        for block in &mut blocks {
            block.as_object_mut().unwrap().remove("cache_control");
        }
        blocks
    }

    /// The newest request to the runner.
    pub(crate) fn request(&self) -> (OpId, Op) {
        let newest = self.sent.iter().rev().find_map(|frame| match frame {
            ClientFrame::Request { id, op } => Some((*id, op.clone())),
            _ => None,
        });
        newest.unwrap()
    }

    pub(crate) fn requests(&self) -> usize {
        self.sent.iter().filter(|frame| matches!(frame, ClientFrame::Request { .. })).count()
    }

    pub(crate) fn acks(&self) -> Vec<u64> {
        let acked = |frame: &ClientFrame| match frame {
            ClientFrame::Ack { through } => Some(through.0),
            _ => None,
        };
        self.sent.iter().filter_map(acked).collect()
    }

    pub(crate) fn reply(&mut self, id: OpId, outcome: Outcome) {
        self.frame(ServerFrame::Reply { id, outcome });
    }

    /// The runner starts what was asked for last.
    pub(crate) fn start(&mut self, id: &str) -> Task {
        let (op, request) = self.request();
        let Op::Start(start) = request else { panic!("not a start: {request:?}") };
        let task = Task { op, foreground: start.foreground_ms.is_some(), command: start.command, ..task(id) };
        self.reply(op, Outcome::Ok(Reply::Started { task: Box::new(task.clone()) }));
        task
    }

    pub(crate) fn end(&mut self, task: &Task, state: TaskState, output: &str) {
        self.end_unsettled(task, state, output);
        self.settle();
    }

    pub(crate) fn end_unsettled(&mut self, task: &Task, state: TaskState, output: &str) {
        let task = Task { state, ended: Some(Timestamp(self.now)), duration_ms: Some(5_000), ..task.clone() };
        let preview = Preview { head: output.to_owned(), ..Preview::default() };
        self.event(TaskEvent::Ended { task: Box::new(task), preview });
    }

    pub(crate) fn background(&mut self, task: &Task, by: BackgroundedBy) {
        let task = Box::new(Task { foreground: false, ..task.clone() });
        self.event(TaskEvent::Backgrounded { task, by, preview: Preview::default() });
    }

    /// The runner has so many events that this page has not heard of; the next one that comes is the last of
    /// them.
    pub(crate) fn unheard(&mut self, events: u64) -> Seq {
        self.seq += events;
        Seq(self.seq)
    }

    /// The runner's store is put back to how it was after this event.
    pub(crate) const fn rewind(&mut self, seq: u64) {
        self.seq = seq;
    }

    pub(crate) fn event(&mut self, event: TaskEvent) {
        self.seq += 1;
        let seq = Seq(self.seq);
        self.frame(ServerFrame::Event { seq, event });
    }

    pub(crate) fn settle(&mut self) {
        self.frame(ServerFrame::Settled { through: Seq(self.seq) });
    }

    /// A session with a background task that runs, and the loop at rest.
    pub(crate) fn with_background_task() -> (Self, Task) {
        let mut rig = Self::new();
        rig.send_message("run it");
        rig.answer(&[tool("t1", "background_run", json!({"command": "make"}))]);
        let task = rig.start("aaaa0001");
        rig.answer(&[text("It runs.")]);
        (rig, task)
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let rows = self.agent.snapshot().into_iter().filter_map(|patch| match patch {
            Patch::Row(row) => Some(*row),
            _ => None,
        });
        rows.collect()
    }

    pub(crate) fn cards(&self) -> Vec<ToolCard> {
        let cards = self.rows().into_iter().filter_map(|row| match row.kind {
            RowKind::Tool(card) => Some(*card),
            _ => None,
        });
        cards.collect()
    }
}

pub(crate) fn head(status: u16) -> ModelInput {
    let kind = if status == 200 { "text/event-stream" } else { "application/json" };
    ModelInput::Head { status, headers: [("content-type".to_owned(), kind.to_owned())].into() }
}

pub(crate) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[expect(clippy::needless_pass_by_value, reason = "the argument is written at the place")]
pub(crate) fn tool(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

pub(crate) fn task(id: &str) -> Task {
    Task {
        state: TaskState::Running,
        started: Some(Timestamp(1_000)),
        pid: Some(1),
        ..Task::new(
            TaskId(id.to_owned()),
            SessionId(Uuid::from_u128(7)),
            OpId(Uuid::nil()),
            String::new(),
            "/w".to_owned(),
            Timestamp(1_000),
        )
    }
}
