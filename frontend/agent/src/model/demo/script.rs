//! What the demo does next: three stories and two signs, each a row of steps of which none is taken twice.

use serde_json::{Value, json};
use shared::tools::ToolCall;

use super::facts::{Facts, Known, Occasion, Step};
use super::project::{LOOK, choose};
use super::reply::Reply;
use super::sentences;

/// The file of the first story.
pub(super) const FILE: &str = "meanwhile-demo.txt";
/// The most tasks that one wish starts.
const MOST_TASKS: usize = 10;
const COMMITS: &str = "git log --oneline -n 5";

/// What the message asks for. Whatever stands between the quotes of an example can be changed.
#[derive(Debug, PartialEq)]
pub(super) enum Wish<'a> {
    /// `$ command`
    Run(&'a str),
    /// `& command`
    Background(&'a str),
    /// The first example.
    Meanwhile(&'a str),
    /// The second.
    Several(Vec<&'a str>),
    /// The third.
    Tests,
    /// Everything else.
    Unknown,
}

impl<'a> Wish<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.trim();
        let behind =
            |sign: char| text.strip_prefix(sign).map(str::trim).filter(|command| !command.is_empty());
        if let Some(command) = behind('$') {
            return Self::Run(command);
        }
        if let Some(command) = behind('&') {
            return Self::Background(command);
        }
        let [first, second, third] = super::examples().map(|example| pattern(example.wish));
        let (form, quoted) = pattern(text);
        match quoted.as_slice() {
            [command] if form == first.0 => Self::Meanwhile(command),
            [_, ..] if form == second.0 => Self::Several(quoted.into_iter().take(MOST_TASKS).collect()),
            [] if form == third.0 => Self::Tests,
            _ => Self::Unknown,
        }
    }
}

/// The text around quotes, without numbers and the commas between quotes; and what stands in them.
fn pattern(text: &str) -> (String, Vec<&str>) {
    let (mut form, mut quoted) = (String::new(), Vec::new());
    for (place, piece) in text.split('"').enumerate() {
        if place % 2 == 1 {
            quoted.push(piece.trim());
        } else if piece.trim() != "," {
            form.extend(piece.chars().filter(|sign| !sign.is_ascii_digit()));
            form.push('"');
        }
    }
    quoted.retain(|command| !command.is_empty());
    (form.trim_end_matches('"').trim().to_lowercase(), quoted)
}

/// The next answer.
pub(super) fn next(facts: &Facts) -> Reply {
    let mut reply = Reply::default();
    let wish = Wish::of(&facts.wish);
    let explains = facts.occasion == Occasion::Message && wish == Wish::Unknown;
    if facts.answers == 0 && !explains {
        reply.add(format!("{} The commands are real.", sentences::INTRODUCTION));
    }
    for id in &facts.fresh {
        if let Some(known) = facts.task(id) {
            let of_tests = wish == Wish::Tests && facts.own().any(|own| own.id == known.id);
            reply.add(if of_tests {
                sentences::tests_completion(known)
            } else {
                sentences::completion(known)
            });
        }
    }
    match facts.occasion {
        Occasion::Message | Occasion::Results => take(&mut reply, facts, &wish),
        Occasion::Completions => reply.texts.extend(sentences::standing(facts)),
    }
    if reply.tools.is_empty() && facts.turns == 0 && !explains {
        reply.add(sentences::ADVICE);
    }
    if reply.tools.is_empty() && reply.texts.is_empty() {
        reply.add("There is nothing new to say.");
    }
    reply
}

fn take(reply: &mut Reply, facts: &Facts, wish: &Wish<'_>) {
    match wish {
        Wish::Run(command) => match facts.steps.first() {
            None => {
                reply.add(format!("I run {}.", sentences::code(command)));
                reply.take("bash", json!({"command": command}));
            }
            Some(step) => reply.add(sentences::ran(facts, step)),
        },
        Wish::Background(command) => {
            if background(reply, facts, &[command]) {
                closing(reply, facts);
            }
        }
        Wish::Meanwhile(command) => {
            if background(reply, facts, &[command]) {
                write_meanwhile(reply, facts);
            }
        }
        Wish::Several(commands) => {
            if background(reply, facts, commands) {
                look_at_all(reply, facts);
            }
        }
        Wish::Tests => run_tests(reply, facts),
        Wish::Unknown => reply.add(sentences::HELP),
    }
}

fn taken(facts: &Facts, fits: impl Fn(&ToolCall) -> bool) -> Vec<&Step> {
    facts.steps.iter().filter(|step| fits(&step.call)).collect()
}

/// Starts the commands; true once they were and at least one of them began.
fn background(reply: &mut Reply, facts: &Facts, commands: &[&str]) -> bool {
    let starts = taken(facts, |call| matches!(call, ToolCall::BackgroundRun(_)));
    if starts.is_empty() {
        reply.add(format!("I start {} in the background.", sentences::list(commands)));
        for command in commands {
            reply.take("background_run", json!({"command": command}));
        }
        return false;
    }
    if facts.steps.last().is_some_and(|step| matches!(step.call, ToolCall::BackgroundRun(_))) {
        reply.texts.extend(starts.iter().filter(|step| step.failed).map(|step| sentences::failure(step)));
    }
    starts.iter().any(|step| !step.failed)
}

/// "While that runs, I" do something else; unless it has ended already.
fn meanwhile(facts: &Facts, does: &str) -> String {
    match facts.own().filter(|task| task.completion.is_none()).count() {
        0 => format!("It has ended already; I still {does}"),
        1 => format!("While that runs, I {does}"),
        _ => format!("While they run, I {does}"),
    }
}

fn write_meanwhile(reply: &mut Reply, facts: &Facts) {
    match taken(facts, |call| matches!(call, ToolCall::WriteFile(_))).first() {
        None => {
            let running: Vec<_> =
                facts.own().map(|task| format!("- {} (task {})\n", task.command, task.id)).collect();
            let content = format!(
                "This file was written by the demo while these ran in the background:\n{}",
                running.concat()
            );
            reply.add(format!("{} {}.", meanwhile(facts, "write"), sentences::code(FILE)));
            reply.take("write_file", json!({"path": FILE, "content": content}));
        }
        Some(step) => {
            reply.add(sentences::wrote(step));
            closing(reply, facts);
        }
    }
}

fn look_at_all(reply: &mut Reply, facts: &Facts) {
    match taken(facts, |call| matches!(call, ToolCall::CheckBackground(_))).first() {
        None => {
            reply.add("Now I look at how they stand.");
            reply.take("check_background", json!({}));
        }
        Some(step) if step.failed => reply.add(sentences::failure(step)),
        Some(_) => {
            let lines: Vec<String> = facts.own().map(sentences::line).collect();
            reply.add(lines.join("\n"));
            closing(reply, facts);
        }
    }
}

fn run_tests(reply: &mut Reply, facts: &Facts) {
    let bash = |command: &str| {
        taken(facts, |call| matches!(call, ToolCall::Bash(bash) if bash.command == command)).first().copied()
    };
    let Some(look) = bash(LOOK) else {
        reply.add("I look which tests this workspace has.");
        return reply.take("bash", json!({"command": LOOK}));
    };
    if look.failed {
        return reply.add(sentences::failure(look));
    }
    let (why, command) = match choose(&look.result) {
        Ok(choice) => choice,
        Err(text) => return reply.add(text),
    };
    if facts.steps.len() == 1 {
        reply.add(why);
    }
    if !background(reply, facts, &[command]) {
        return;
    }
    let running = facts.own().any(|task| task.completion.is_none());
    let also =
        if running { "While the tests run, I look at" } else { "The tests have ended; I still look at" };
    let has = |name: &str| look.result.lines().any(|line| line == name);
    let read = taken(facts, |call| matches!(call, ToolCall::ReadFile(_))).first().copied();
    let listed = bash("ls");
    if read.is_none() && listed.is_none() {
        if has("README.md") {
            reply.add(format!("{also} README.md."));
            return reply.take("read_file", json!({"path": "README.md", "limit": 60}));
        }
        reply.add(format!("{also} what else is here."));
        return reply.take("bash", json!({"command": "ls"}));
    }
    let commits = bash(COMMITS);
    if has(".git") && commits.is_none() {
        reply.add(format!("{also} the last commits too."));
        return reply.take("bash", json!({"command": COMMITS}));
    }
    reply.texts.extend(read.map(sentences::headings));
    reply.texts.extend(listed.into_iter().chain(commits).map(|step| sentences::ran(facts, step)));
    closing(reply, facts);
}

/// The end of a turn: what still runs, and that its end will be told.
fn closing(reply: &mut Reply, facts: &Facts) {
    let running: Vec<&Known> = facts.own().filter(|task| task.completion.is_none()).collect();
    let named = |task: &&Known| format!("{} (task {})", sentences::code(&task.command), task.id);
    match running.as_slice() {
        [] => reply.texts.extend(sentences::standing(facts)),
        [one] => reply.add(format!(
            "{} still runs. I end my turn here: its result comes by itself, and then I go on.",
            named(one)
        )),
        all => reply.add(format!(
            "Still running: {}. I end my turn here: the results come by themselves.",
            all.iter().map(named).collect::<Vec<_>>().join(", ")
        )),
    }
}

impl Reply {
    pub(super) fn add(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    fn take(&mut self, name: &'static str, input: Value) {
        self.tools.push((name, input));
    }
}
