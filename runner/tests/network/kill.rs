//! The real binary, killed again and again under load. Whatever the moment: every completion arrives exactly
//! once, what was running ends once as lost, nothing runs twice, no change of a file is made twice, and no
//! process is left.
//!
//! Two pages with a disk of their own each start, repeat, edit, clear, acknowledge late or not at all, and
//! lose their sockets and their last save. `MEANWHILE_SEED` plays the pages' choices again, which a failure
//! prints; `MEANWHILE_KILLS` says how many times.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Runner, Socket};

/// Kills, unless told.
const KILLS: u64 = 12;
/// Requests without a reply beyond which a page waits; the runner takes 64.
const MOST_OPEN: usize = 40;
/// No wait of the last life is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same choices for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An index into so many things.
    pub(crate) fn index(&mut self, of: usize) -> usize {
        usize::try_from(self.below(of.max(1) as u64)).unwrap()
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }

    fn id(&mut self) -> String {
        let id = (u128::from(self.next()) << 64) | u128::from(self.next());
        uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid().to_string()
    }
}

/// A start, and what became of it.
struct Started {
    op: Value,
    code: u64,
    task: Option<String>,
    end: Option<String>,
}

/// A page: what it has on its disk, and what it does.
struct Page {
    session: Uuid,
    chance: Chance,
    epoch: Value,
    /// The last event saved.
    cursor: u64,
    /// Requests without a reply.
    open: BTreeMap<String, Value>,
    started: HashMap<String, Started>,
    /// The file that is edited, and how many edits were answered.
    file: String,
    edits: u64,
    /// Whether it still begins new things.
    busy: bool,
}

impl Page {
    fn new(seed: u64, name: &str) -> Self {
        let mut chance = Chance(seed);
        Self {
            session: Uuid::parse_str(&chance.id()).unwrap(),
            chance,
            epoch: Value::Null,
            cursor: 0,
            open: BTreeMap::new(),
            started: HashMap::new(),
            file: format!("edited-{name}"),
            edits: 0,
            busy: true,
        }
    }

    /// Whether all that it began has come to an end that it knows.
    fn is_done(&self) -> bool {
        self.open.is_empty() && self.started.values().all(|started| started.end.is_some())
    }

    /// Lives on one runner until that is dead, or, when nothing new is begun, until all has ended.
    async fn live(&mut self, port: u16, credential: &str, dead: &CancellationToken) {
        while !dead.is_cancelled() {
            let Some(mut socket) = connect(port, credential).await else {
                sleep(Duration::from_millis(1)).await;
                continue;
            };
            if self.talk(&mut socket).await.is_some() {
                return;
            }
        }
    }

    /// Until the socket breaks, by itself or by this page's own doing (`None`), or all is done.
    async fn talk(&mut self, socket: &mut Socket) -> Option<()> {
        send(socket, json!({"type": "hello", "protocol": 1, "session": self.session, "epoch": self.epoch, "after": self.cursor}))
            .await?;
        for (id, op) in self.open.clone() {
            send(socket, json!({"type": "request", "id": id, "op": op})).await?;
        }
        loop {
            if !self.busy && self.is_done() {
                send(socket, json!({"type": "ack", "through": self.cursor})).await?;
                return Some(());
            }
            match timeout(self.chance.millis(1..12), socket.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    self.hear(socket, &serde_json::from_str(&text).unwrap()).await?;
                }
                Ok(Some(Err(_)) | None) => return None,
                Err(_) if self.busy => self.act(socket).await?,
                Ok(Some(Ok(_))) | Err(_) => {}
            }
        }
    }

    async fn hear(&mut self, socket: &mut Socket, frame: &Value) -> Option<()> {
        match frame["type"].as_str().unwrap() {
            "welcome" => {
                if self.epoch != Value::Null {
                    assert_eq!(frame["epoch"], self.epoch, "the store was lost");
                    assert_eq!(frame["resumed"], true, "{} after {}", frame, self.cursor);
                }
                assert_eq!(frame["next"].as_u64().unwrap(), self.cursor + 1, "events are missing: {frame}");
                self.epoch = frame["epoch"].clone();
            }
            "reply" => self.replied(frame),
            "event" => {
                let seq = frame["seq"].as_u64().unwrap();
                if seq > self.cursor {
                    assert_eq!(seq, self.cursor + 1, "an event is missing");
                    if self.chance.below(40) == 0 {
                        // The page dies before it has saved it.
                        return None;
                    }
                    self.save(seq, &frame["event"]);
                }
                if self.chance.below(3) > 0 {
                    send(socket, json!({"type": "ack", "through": self.cursor})).await?;
                }
            }
            "problem" => panic!("{frame}"),
            _ => {}
        }
        Some(())
    }

    fn save(&mut self, seq: u64, event: &Value) {
        self.cursor = seq;
        if event["event"] == "ended" {
            let task = &event["task"];
            let started =
                self.started.get_mut(task["op"].as_str().unwrap()).expect("it was started by this page");
            assert_eq!(started.end, None, "it ended twice: {event}");
            let known = started.task.get_or_insert_with(|| task["id"].as_str().unwrap().to_owned());
            assert_eq!(task["id"], known.as_str(), "one operation became two tasks");
            let status = task["state"]["status"].as_str().unwrap();
            match status {
                "completed" => assert_eq!(started.code, 0),
                "failed" => assert_eq!(task["state"]["code"].as_u64(), Some(started.code)),
                "lost" => {}
                _ => panic!("{task}"),
            }
            started.end = Some(status.to_owned());
        }
    }

    fn replied(&mut self, frame: &Value) {
        let id = frame["id"].as_str().unwrap();
        let Some(op) = self.open.remove(id) else { return };
        if op["op"] == "start" && frame["err"]["code"] == "conflict" {
            // It ended and was cleared before this repetition came.
            assert!(self.started[id].end.is_some(), "{frame}");
            return;
        }
        assert!(frame.get("ok").is_some(), "{frame}");
        match op["op"].as_str().unwrap() {
            "start" => {
                let started = self.started.get_mut(id).unwrap();
                let task = frame["ok"]["task"]["id"].as_str().unwrap();
                let known = started.task.get_or_insert_with(|| task.to_owned());
                assert_eq!(known, task, "one operation became two tasks");
            }
            "edit_file" => {
                assert_eq!(frame["ok"]["path"], self.file.as_str());
                self.edits += 1;
            }
            _ => {}
        }
    }

    async fn act(&mut self, socket: &mut Socket) -> Option<()> {
        if self.open.len() > MOST_OPEN {
            return Some(());
        }
        match self.chance.below(20) {
            0..8 => {
                for _ in 0..=self.chance.below(6) {
                    self.start(socket).await?;
                }
            }
            8..13 if !self.open.values().any(|op| op["op"] == "edit_file") => {
                let (old, new) = (format!("<{}>", self.edits), format!("<{}>", self.edits + 1));
                let op = json!({"op": "edit_file", "path": self.file, "old_text": old, "new_text": new});
                let id = self.chance.id();
                self.ask(socket, id, op).await?;
            }
            13 | 14 => {
                // Once more, although it was answered.
                let known = self
                    .started
                    .iter()
                    .find(|(id, started)| started.end.is_none() && !self.open.contains_key(*id));
                if let Some((id, op)) = known.map(|(id, started)| (id.clone(), started.op.clone())) {
                    self.ask(socket, id, op).await?;
                }
            }
            15 => {
                let id = self.chance.id();
                self.ask(socket, id, json!({"op": "clear"})).await?;
            }
            16 => return None,
            _ => {}
        }
        Some(())
    }

    async fn start(&mut self, socket: &mut Socket) -> Option<()> {
        let id = self.chance.id();
        let code = self.chance.below(3);
        let body = match self.chance.below(8) {
            0..3 => "echo quick".to_owned(),
            3..6 => format!("sleep 0.{:03}", self.chance.below(300)),
            6 => "setsid sleep 30 & seq 2000".to_owned(),
            // It will not see its end.
            _ => "sleep 3".to_owned(),
        };
        let mut op = json!({"op": "start", "command": format!("echo {id} >> ran; {body}; exit {code}")});
        if self.chance.below(3) == 0 {
            op["foreground_ms"] = self.chance.below(150).into();
        }
        self.started.insert(id.clone(), Started { op: op.clone(), code, task: None, end: None });
        self.ask(socket, id, op).await
    }

    async fn ask(&mut self, socket: &mut Socket, id: String, op: Value) -> Option<()> {
        self.open.insert(id.clone(), op.clone());
        send(socket, json!({"type": "request", "id": id, "op": op})).await
    }
}

/// `None` once the socket is broken.
async fn send(socket: &mut Socket, frame: Value) -> Option<()> {
    timeout(PATIENCE, socket.stream.send(Message::text(frame.to_string())))
        .await
        .expect("it does not read")
        .ok()
}

async fn connect(port: u16, credential: &str) -> Option<Socket> {
    let protocols = format!("meanwhile.v1, bearer.{credential}");
    Socket::try_open(port, &[("Sec-WebSocket-Protocol", &protocols)]).await.ok()
}

/// Tasks of which something lives.
fn living(tasks: &BTreeSet<String>) -> Vec<String> {
    let found = testkit::process::of_tasks().into_iter().map(|(_, task)| task);
    found.filter(|task| tasks.contains(task)).collect()
}

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What this run's choices follow from. `cargo xtask test` begins from the same in every run; otherwise it is
/// a new one.
pub(crate) fn seed() -> u64 {
    let seed = number("MEANWHILE_SEED").or_else(|| number("MEANWHILE_FIRST_SEED"));
    let seed = seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
    // Shown if the test fails.
    println!("again: MEANWHILE_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_loses_nothing_and_does_nothing_twice() {
    let mut chance = Chance(seed());
    let mut pages = [Page::new(chance.next(), "one"), Page::new(chance.next(), "two")];
    let mut runner = Runner::start(&[]).await;
    for page in &pages {
        std::fs::write(runner.workspace().join(&page.file), "<0>\n").unwrap();
    }
    let credential = runner.pair().await;
    let kills = number("MEANWHILE_KILLS").unwrap_or(KILLS);
    for life in 0..=kills {
        let dead = CancellationToken::new();
        let last = life == kills;
        let port = runner.port;
        for page in &mut pages {
            page.busy = !last;
        }
        let [one, two] = &mut pages;
        let live =
            async { tokio::join!(one.live(port, &credential, &dead), two.live(port, &credential, &dead)) };
        if last {
            timeout(PATIENCE, live).await.expect("something never ended");
            break;
        }
        let kill = async {
            sleep(chance.millis(5..500)).await;
            runner.child.kill().await.unwrap();
            dead.cancel();
        };
        tokio::join!(live, kill);
        runner = Runner::start_in(runner.into_folder(), &[], &[]).await;
    }

    let ran = std::fs::read_to_string(runner.workspace().join("ran")).unwrap();
    let mut times: HashMap<&str, u32> = HashMap::new();
    for line in ran.lines() {
        *times.entry(line).or_default() += 1;
    }
    let mut completions: BTreeMap<&str, u32> = BTreeMap::new();
    for (op, started) in pages.iter().flat_map(|page| &page.started) {
        let (end, ran) = (started.end.as_deref().unwrap(), times.remove(op.as_str()).unwrap_or(0));
        assert!(ran <= 1, "{op} ran {ran} times");
        assert!(ran == 1 || end == "lost", "{op} is {end} and never ran");
        *completions.entry(end).or_default() += 1;
    }
    assert!(times.is_empty(), "nobody asked for {times:?}");
    for page in &pages {
        let text = std::fs::read_to_string(runner.workspace().join(&page.file)).unwrap();
        assert_eq!(text, format!("<{}>\n", page.edits));
        // What the page has saved is acknowledged with its cursor, and does not come again, whoever asks.
        for hello in [json!({"epoch": page.epoch, "after": page.cursor}), json!({})] {
            let mut socket = connect(runner.port, &credential).await.unwrap();
            let mut hello = hello;
            hello["session"] = json!(page.session);
            let welcome = socket.hello(hello).await;
            assert_eq!(
                (welcome["next"].as_u64(), welcome["last"].as_u64()),
                (Some(page.cursor + 1), Some(page.cursor))
            );
        }
    }
    let left = std::fs::read_dir(runner.workspace()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("meanwhile")).collect();
    assert!(left.is_empty(), "{left:?}");
    println!(
        "{} tasks: {completions:?}, {} edits",
        completions.values().sum::<u32>(),
        pages[0].edits + pages[1].edits
    );
    assert!(
        completions.contains_key("completed") && completions.contains_key("lost"),
        "it was too quiet: {completions:?}"
    );
    let tasks = pages
        .iter()
        .flat_map(|page| page.started.values())
        .filter_map(|started| started.task.clone())
        .collect();
    drop(runner.stop().await);
    assert_eq!(living(&tasks), Vec::<String>::new());
}

/// A command that has stopped its own supervisor, which so cannot see the runner die.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_supervisor_does_not_keep_its_tree_alive_either() {
    let mut runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let (mut socket, _) = runner.lease(&credential, Uuid::new_v4()).await;
    let task = socket.start("kill -STOP $PPID; touch ready; setsid sleep 300 & sleep 300").await;
    let tasks = BTreeSet::from([task]);
    let ready = runner.workspace().join("ready");
    let wait = async |condition: &dyn Fn() -> bool| {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait(&|| ready.exists())).await.unwrap();
    runner.child.kill().await.unwrap();
    timeout(PATIENCE, wait(&|| living(&tasks).is_empty())).await.expect("it lives on");
}

/// Runner and supervisors are killed at once; what ended tasks had left behind is ended by the next runner.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_ended_tasks_left_behind_is_ended_after_a_crash_of_all() {
    let mut runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    let command = "echo $PPID > agent; setsid env -i flock held sleep 300 >/dev/null 2>&1 & while flock -n held true; do :; done";
    let id = socket.start(command).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == id).await;
    assert_eq!(ended["event"]["task"]["state"]["status"], "completed");
    assert_eq!(ended["event"]["task"]["left_behind"].as_array().map(Vec::len), Some(2), "{ended}");
    let held = runner.workspace().join("held");
    let is_held = || {
        let file = std::fs::File::open(&held).unwrap();
        matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
    };
    runner.signal("STOP");
    let agent = std::fs::read_to_string(runner.workspace().join("agent")).unwrap();
    assert!(std::process::Command::new("kill").args(["-9", agent.trim()]).status().unwrap().success());
    runner.child.kill().await.unwrap();
    assert!(is_held(), "nobody was there to end it");
    let runner = Runner::start_in(runner.into_folder(), &[], &[]).await;
    assert!(!is_held());
    drop(runner.stop().await);
}

/// What a task of this session is found as by the next life of the runner.
async fn told_later(folder: tempfile::TempDir, credential: &str, session: Uuid, task: &str) -> Value {
    let runner = Runner::start_in(folder, &[], &[]).await;
    let (mut socket, _) = runner.lease(credential, session).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task).await;
    ended["event"]["task"]["state"].clone()
}

/// The runner stands still and then dies, so it cannot have saved anything.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_end_just_before_the_runners_is_known_and_one_by_it_is_not() {
    for (command, stdin, state) in [
        ("exit 3", false, Some(json!({"status": "failed", "code": 3}))),
        ("kill -SEGV $$", false, Some(json!({"status": "killed", "signal": "SIGSEGV"}))),
        // These end of the runner's death, whatever they say.
        ("trap 'exit 0' PIPE; while echo x; do sleep 0.01; done; exit 0", false, None),
        ("cat; exit 0", true, None),
    ] {
        let mut runner = Runner::start(&[]).await;
        let credential = runner.pair().await;
        let session = Uuid::new_v4();
        let (mut socket, _) = runner.lease(&credential, session).await;
        let waits = format!("while [ ! -e go ]; do sleep 0.01; done; {command}");
        let started = socket.ask(json!({"op": "start", "command": waits, "stdin": stdin})).await;
        let (task, pid) = (started["task"]["id"].as_str().unwrap(), started["task"]["pid"].as_u64().unwrap());
        runner.signal("STOP");
        std::fs::write(runner.workspace().join("go"), "").unwrap();
        if state.is_some() {
            let main_process = std::path::PathBuf::from(format!("/proc/{pid}"));
            let reaped = async {
                while main_process.exists() {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(PATIENCE, reaped).await.expect("it never ended");
        }
        runner.child.kill().await.unwrap();
        let told = told_later(runner.into_folder(), &credential, session, task).await;
        match state {
            Some(state) => assert_eq!(told, state, "{command}"),
            None => assert_eq!(told["status"], "lost", "{command}: {told}"),
        }
    }
}

/// The runner is killed and begun anew while its agent still has its hands full: whoever hears of the loss
/// may start the same again at once.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_told_as_lost_is_gone() {
    const WIDE: usize = 1_500;
    let mut runner = Runner::start(&[]).await;
    let credential = runner.pair().await;
    let session = Uuid::new_v4();
    let (mut socket, _) = runner.lease(&credential, session).await;
    let command = format!("for i in $(seq {WIDE}); do sleep 1000 & done; touch ready; wait");
    let task = socket.start(&command).await;
    let ready = runner.workspace().join("ready");
    let started = async {
        while !ready.exists() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, started).await.expect("it starts them");
    runner.child.kill().await.unwrap();
    let runner = Runner::start_in(runner.into_folder(), &[], &[]).await;
    // The link is shown when the ends are told.
    let left = living(&BTreeSet::from([task.clone()]));
    assert!(left.is_empty(), "{} live", left.len());
    let (mut socket, _) = runner.lease(&credential, session).await;
    let ended = socket.find(|frame| frame["event"]["task"]["id"] == task.as_str()).await;
    assert_eq!(ended["event"]["task"]["state"]["status"], "lost", "{ended}");
    drop(runner.stop().await);
}
