//! One page's connection, from its welcome to its end: a loop over everything that can happen to it.
//!
//! The loop never waits for the page. What the page says is decided at once or handed to a task; what it is
//! to hear goes into its queue. Events are taken from the store while there is room in the queue, so a slow
//! page leaves them there. The state of tasks is kept here, the newest of each, until there is room.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use shared::protocol::{
    ClientFrame, HEARTBEAT_MS, Hello, MAX_FRAME_BYTES, Op, Outcome, PROTOCOL, Reply, ServerFrame, Stats,
    TaskEvent, Welcome, close,
};
use shared::task::Task;
use shared::{ClientId, OpId, Problem, ProblemCode, Seq, SessionId, TaskId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::calls::Calls;
use super::listing;
use super::queue::SendQueue;
use super::rate_limit::{Burst, RateLimited, STATS};
use super::sockets::Sockets;
use super::starts::Starts;
use super::{requests, watches};
use crate::app::App;
use crate::clock::now;
use crate::sessions::hub::{Order, Registration};
use crate::tasks::{Change, Told, task_of};

/// The most requests of one page under way.
const MAX_REQUESTS: usize = 64;
/// The most alarms of one page.
const MAX_ALARMS: usize = 64;
/// The furthest alarm, in milliseconds.
const MAX_ALARM_MS: u64 = 3_600_000;
/// The most outputs that one page watches.
const MAX_WATCHES: usize = 64;
/// How many events are taken from the store at a time.
const EVENTS: usize = 32;
const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS);

/// A connection that was welcomed.
pub(super) struct Connection {
    app: Arc<App>,
    requests: TaskTracker,
    client: ClientId,
    registration: Registration,
    session: SessionId,
    lease: bool,
    queue: SendQueue,
    /// The last event sent, or the one before the first to send.
    cursor: Seq,
    last_event: watch::Receiver<Seq>,
    burst: Burst,
    changes: broadcast::Receiver<Change>,
    known: HashSet<TaskId>,
    changed: BTreeMap<TaskId, Arc<Told>>,
    stats: RateLimited,
    latest_stats: Stats,
    tabs: watch::Receiver<u32>,
    heartbeat: Instant,
    alarms: HashMap<u64, Instant>,
    watched: HashMap<TaskId, AbortOnDropHandle<()>>,
    calls: Calls,
    places: Arc<Semaphore>,
    inputs: HashMap<TaskId, oneshot::Receiver<()>>,
    starts: Starts,
}

impl Connection {
    /// Registers itself and says welcome. `None` if there are too many or the client was revoked meanwhile.
    pub(super) async fn open(
        sockets: Sockets,
        client: ClientId,
        hello: Hello,
        queue: SendQueue,
    ) -> Option<Self> {
        let Sockets { app, requests, .. } = sockets;
        let Some(registration) = app.hub.join(client, hello.session, hello.lease, hello.tab) else {
            let message = "Too many tabs are connected. Close some.";
            queue.refuse(Problem::retryable(ProblemCode::TooMany, message), close::GOING_AWAY);
            return None;
        };
        // Revoked between the handshake and now: nobody could tell this connection.
        if !app.clients.knows(client) {
            queue.refuse(revoked(), close::REVOKED);
            return None;
        }
        // Asked for before the list is made, so that nothing falls between the two.
        let changes = app.tasks.changes();
        let last_event = app.tasks.events_last(hello.session);
        let last = *last_event.borrow();
        let epoch = app.tasks.epoch();
        let resumed = hello.epoch == Some(epoch) && hello.after <= last;
        let cursor = if resumed { hello.after } else { Seq(0) };
        let next = match prepare(&app, &hello, cursor, last).await {
            Ok(next) => next,
            Err(problem) => {
                queue.refuse(problem, close::GOING_AWAY);
                return None;
            }
        };
        let tasks = app.tasks.list();
        let known = tasks.iter().map(|task| task.id.clone()).collect();
        let (tasks, later) = listing::split(tasks, hello.session);
        let mut connection = Self {
            client,
            session: hello.session,
            lease: hello.lease,
            cursor,
            burst: Burst::default(),
            known,
            changed: later.into_iter().map(Told::keyed).collect(),
            stats: RateLimited::new(STATS),
            latest_stats: app.tasks.stats(),
            tabs: app.hub.watch_tabs(),
            heartbeat: Instant::now() + HEARTBEAT,
            alarms: HashMap::new(),
            watched: HashMap::new(),
            calls: Calls::default(),
            places: Arc::new(Semaphore::new(MAX_REQUESTS)),
            inputs: HashMap::new(),
            starts: Starts::default(),
            last_event,
            changes,
            queue,
            registration,
            app,
            requests,
        };
        connection.welcome(resumed, last, next, tasks);
        if connection.lease {
            connection.burst.sent(Instant::now());
        }
        Some(connection)
    }

    fn welcome(&self, resumed: bool, last: Seq, next: Seq, tasks: Vec<Task>) {
        let welcome = Welcome {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.app.tasks.epoch(),
            resumed,
            last,
            next,
            workspace: self.app.workspace.clone(),
            workspace_short: self.app.workspace_short.clone(),
            system: std::env::consts::OS.to_owned(),
            shell: self.app.tasks.shell().to_owned(),
            tasks,
            stats: self.stats_now(),
            relay: self.app.relay.ready(),
            confined: self.app.confined.clone(),
            sandboxes: self.app.tasks.sandboxes(),
            wide: self.app.wide.clone(),
            heartbeat_ms: HEARTBEAT_MS,
            now: now(),
        };
        self.queue.push(&ServerFrame::Welcome(Box::new(welcome)));
    }

    fn stats_now(&self) -> Stats {
        Stats { tabs: self.app.hub.tabs(), ..self.latest_stats }
    }

    /// Runs until the page goes or is told to.
    pub(super) async fn run(mut self, stream: &mut SplitStream<WebSocket>) {
        let mut orders = self.registration.orders.clone();
        let (queue, starts) = (self.queue.clone(), self.starts.clone());
        loop {
            let order = *orders.borrow_and_update();
            if order != Order::Live {
                return self.obey(order);
            }
            if let Err(problem) = self.refill().await {
                return self.queue.refuse(problem, close::GOING_AWAY);
            }
            let behind = !queue.has_room();
            let due = self.due();
            tokio::select! {
                _ = orders.changed() => {}
                () = queue.hopeless() => return,
                () = queue.room(), if behind => {}
                () = starts.replied() => {}
                () = tokio::time::sleep_until(due) => self.on_time(),
                frame = stream.next() => match frame {
                    Some(Ok(Message::Text(text))) => self.on_text(&text).await,
                    Some(Ok(Message::Binary(_))) => self.complain("Frames are text messages; this one was binary.".to_owned()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_))) | None => return,
                    Some(Err(error)) => {
                        let message = format!("The frame could not be read: {error}. A frame has at most {MAX_FRAME_BYTES} bytes.");
                        return self.queue.refuse(Problem::new(ProblemCode::Malformed, message), close::MALFORMED);
                    }
                },
                change = self.changes.recv() => match change {
                    Ok(change) => self.on_change(change),
                    Err(RecvError::Lagged(_)) => self.resync(),
                    Err(RecvError::Closed) => return,
                },
                // If its sender is gone the runner stops, and an order says so.
                Ok(()) = self.last_event.changed(), if self.lease => {}
                Ok(()) = self.tabs.changed() => self.stats.want(),
            }
        }
    }

    fn obey(self, order: Order) {
        let (problem, code) = match order {
            Order::Live => return,
            Order::Fenced => (
                Problem::new(
                    ProblemCode::Forbidden,
                    "Another tab or connection took this conversation over.",
                ),
                close::FENCED,
            ),
            Order::Revoked => (revoked(), close::REVOKED),
            Order::Stopping => {
                (Problem::retryable(ProblemCode::Stopping, "The runner is stopping."), close::GOING_AWAY)
            }
        };
        self.queue.refuse(problem, code);
    }

    /// Puts into the queue what waits for room in it.
    async fn refill(&mut self) -> Result<(), Problem> {
        while self.queue.has_room()
            && let Some((id, task)) = self.changed.pop_first()
        {
            self.known.insert(id);
            self.queue.push_bytes(task.frame());
        }
        while self.lease && self.queue.has_room() {
            let last = *self.last_event.borrow_and_update();
            if last <= self.cursor {
                break;
            }
            let events = self.app.tasks.events_after(self.session, self.cursor, EVENTS).await?;
            if events.is_empty() {
                // They are there no more: an earlier connection acknowledged them.
                self.cursor = last;
            }
            if !self.registration.holds_lease() {
                break;
            }
            for (seq, event) in events {
                if self.starts.awaits(task_of(&event).op) {
                    return Ok(());
                }
                self.queue.push(&ServerFrame::Event { seq, event: TaskEvent::clone(&event) });
                self.cursor = seq;
                self.burst.sent(Instant::now());
            }
        }
        self.send_settled_early();
        Ok(())
    }

    /// Where nothing of the session runs, nothing comes that would have to be waited for.
    fn send_settled_early(&mut self) {
        if self.lease
            && self.burst.is_open()
            && self.starts.are_replied()
            && self.app.tasks.is_quiescent(self.session, self.cursor)
        {
            self.burst.end();
            self.queue.push(&ServerFrame::Settled { through: self.cursor });
        }
    }

    fn due(&self) -> Instant {
        let times = self.alarms.values().copied();
        times.chain(self.burst.due()).chain(self.stats.due(Instant::now())).fold(self.heartbeat, Instant::min)
    }

    fn on_time(&mut self) {
        let at = Instant::now();
        let room = self.queue.has_room();
        if self.burst.take(at) {
            self.queue.push(&ServerFrame::Settled { through: self.cursor });
        }
        if self.stats.take(at) && room {
            self.queue.push(&ServerFrame::Stats(self.stats_now()));
        }
        if self.heartbeat <= at {
            self.heartbeat = at + HEARTBEAT;
            if room {
                self.queue.push(&ServerFrame::Heartbeat { now: now() });
            }
        }
        let rung: Vec<u64> = self.alarms.iter().filter(|(_, due)| **due <= at).map(|(id, _)| *id).collect();
        for id in rung {
            self.alarms.remove(&id);
            self.queue.push(&ServerFrame::Alarm { id });
        }
    }

    fn on_change(&mut self, change: Change) {
        match change {
            Change::Task(task) => {
                self.changed.insert(task.id.clone(), task);
            }
            Change::Cleared(tasks) => self.forget(tasks),
            Change::Stats(stats) => {
                self.latest_stats = stats;
                self.stats.want();
            }
        }
    }

    fn forget(&mut self, tasks: Vec<TaskId>) {
        for task in &tasks {
            self.changed.remove(task);
            self.known.remove(task);
            self.watched.remove(task);
        }
        self.queue.push(&ServerFrame::Cleared { tasks });
    }

    /// Changes were missed: says everything again, and what is there no more.
    fn resync(&mut self) {
        let tasks = self.app.tasks.list();
        let there: HashSet<_> = tasks.iter().map(|task| task.id.clone()).collect();
        let cleared: Vec<_> = self.known.difference(&there).cloned().collect();
        if !cleared.is_empty() {
            self.forget(cleared);
        }
        self.changed.extend(tasks.into_iter().map(Told::keyed));
        self.stats.want();
    }

    fn complain(&self, message: String) {
        self.queue.push(&ServerFrame::Problem { problem: Problem::new(ProblemCode::Malformed, message) });
    }

    fn reply(&self, id: OpId, result: Result<Reply, Problem>) {
        let outcome = match result {
            Ok(reply) => Outcome::Ok(reply),
            Err(problem) => Outcome::Err(problem),
        };
        self.queue.push(&ServerFrame::Reply { id, outcome });
    }

    async fn on_text(&mut self, text: &str) {
        match serde_json::from_str(text) {
            Ok(ClientFrame::Hello(_)) => self.complain("Hello was said already.".to_owned()),
            Ok(ClientFrame::Request { id, op }) => self.on_request(id, op).await,
            Ok(ClientFrame::Ack { through }) => {
                // A fenced or watching page has no say. What was not sent cannot have been saved: whoever
                // says so is wrong about more than the rest.
                if self.lease && self.registration.holds_lease() && through <= self.cursor {
                    let queue = self.queue.clone();
                    let failed = move |problem| queue.push(&ServerFrame::Problem { problem });
                    self.app.tasks.acknowledge(self.session, through, failed);
                }
            }
            Ok(ClientFrame::Alarm { id, after_ms }) => {
                if self.alarms.len() >= MAX_ALARMS && !self.alarms.contains_key(&id) {
                    let message = format!("{MAX_ALARMS} alarms are set, and that is the limit.");
                    self.queue
                        .push(&ServerFrame::Problem { problem: Problem::new(ProblemCode::TooMany, message) });
                } else {
                    let after = Duration::from_millis(after_ms.min(MAX_ALARM_MS));
                    self.alarms.insert(id, Instant::now() + after);
                }
            }
            Err(error) => {
                // A request that names itself gets its reply, so that nobody waits for ever.
                let problem =
                    Problem::new(ProblemCode::Malformed, format!("The frame could not be read: {error}."));
                match serde_json::from_str::<requests::AnyRequest>(text) {
                    Ok(request) if request.kind == "request" => self.reply(request.id, Err(problem)),
                    _ => self.queue.push(&ServerFrame::Problem { problem }),
                }
            }
        }
    }

    async fn on_request(&mut self, id: OpId, op: Op) {
        if requests::changes(&op) && !(self.lease && self.registration.holds_lease()) {
            let message = "This connection only watches the conversation. Take it over first.";
            return self.reply(id, Err(Problem::new(ProblemCode::Forbidden, message)));
        }
        match op {
            Op::Watch { task, from } => self.watch(id, task, from),
            Op::Unwatch { task } => {
                self.watched.remove(&task);
                self.reply(id, Ok(Reply::Done));
            }
            Op::ModelCall(call) => match self.calls.prepare(&self.app.relay, call) {
                Ok(prepared) => {
                    self.reply(id, Ok(Reply::Done));
                    self.calls.start(self.app.relay.clone(), self.queue.clone(), prepared);
                }
                Err(problem) => self.reply(id, Err(problem)),
            },
            Op::ModelCancel { call } => {
                self.calls.cancel(&call).await;
                self.reply(id, Ok(Reply::Done));
            }
            Op::Start(_)
            | Op::Stop { .. }
            | Op::SendInput { .. }
            | Op::Background { .. }
            | Op::Pause { .. }
            | Op::Resume { .. }
            | Op::ReadOutput { .. }
            | Op::Check { .. }
            | Op::Clear { .. }
            | Op::ReadFile { .. }
            | Op::WriteFile { .. }
            | Op::EditFile { .. }
            | Op::Pair => self.begin(id, op),
        }
    }

    fn watch(&mut self, id: OpId, task: TaskId, from: u64) {
        self.watched.retain(|_, follower| !follower.is_finished());
        if self.watched.len() >= MAX_WATCHES && !self.watched.contains_key(&task) {
            let message = format!("{MAX_WATCHES} outputs are watched, and that is the limit.");
            return self.reply(id, Err(Problem::new(ProblemCode::TooMany, message)));
        }
        match self.app.tasks.output_length(&task) {
            Ok(length) => {
                self.watched.remove(&task);
                self.reply(id, Ok(Reply::Done));
                let follower =
                    watches::follow(self.app.tasks.clone(), task.clone(), from, length, self.queue.clone());
                self.watched.insert(task, AbortOnDropHandle::new(tokio::spawn(follower)));
            }
            Err(problem) => self.reply(id, Err(problem)),
        }
    }

    /// Does a request in a task of its own, which outlives the connection: what was begun is finished.
    fn begin(&mut self, id: OpId, op: Op) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let message =
                format!("{MAX_REQUESTS} requests of this page are under way, and that is the limit.");
            return self.reply(id, Err(Problem::retryable(ProblemCode::TooMany, message)));
        };
        // Input to one task keeps its order.
        let (done, before) = if let Op::SendInput { task, .. } = &op {
            self.inputs.retain(|_, done| matches!(done.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
            let (done, wait) = oneshot::channel();
            (Some(done), self.inputs.insert(task.clone(), wait))
        } else {
            (None, None)
        };
        let start = matches!(op, Op::Start(_)).then(|| self.starts.begin(id));
        let (app, client, session) = (Arc::clone(&self.app), self.client, self.session);
        let queue = self.queue.clone();
        self.requests.spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            let outcome = requests::run(&app, client, session, id, op).await;
            queue.push(&ServerFrame::Reply { id, outcome });
            drop((done, place, start));
        });
    }
}

/// Takes the cursor in the hello of who takes the lease for an acknowledgement, and finds the event that
/// comes first.
async fn prepare(app: &App, hello: &Hello, cursor: Seq, last: Seq) -> Result<Seq, Problem> {
    if !hello.lease {
        return Ok(Seq(last.0 + 1));
    }
    if cursor > Seq(0) {
        // The page has saved them, and the word that said so may have been lost.
        app.tasks.acknowledge(hello.session, cursor, |_| {});
    }
    let first = app.tasks.events_after(hello.session, cursor, 1).await?;
    Ok(first.first().map_or(Seq(last.0 + 1), |(seq, _)| *seq))
}

pub(super) fn revoked() -> Problem {
    Problem::new(
        ProblemCode::Unauthorized,
        "The runner does not know this client, or it was revoked. `meanwhile pair` prints a link that pairs it again.",
    )
}
