//! Chooses the next step: what to say and which tools to use, from the wish and the steps that were taken for it.
//!
//! A step that was taken is not taken again, so every script ends.

use shared::json::{self, ToJson, Value};

use super::commands;
use super::report::{self, code};
use super::story::{self, Step, Story, Task};
use super::stream::Reply;
use super::wishes::{self, File, MOST_TASKS, OWN_FILE, Part, Which, Wish};

/// Looks for what tells which tests a workspace has; changes nothing, and runs unasked.
pub(super) const LOOK: &str = "ls -d .git README.md Cargo.toml go.mod package.json pyproject.toml pytest.ini conftest.py Makefile test_*.py *_test.py tests/test_*.py tests/*_test.py test/test_*.py 2>/dev/null; grep -Hs '\"test\" *:' package.json; grep -Hs '^test *:' Makefile; grep -Hs pytest pyproject.toml setup.cfg tox.ini; command -v pytest python3 cargo go npm make; true";
const COMMITS: &str = "git log --oneline -n 5";

/// What to answer.
pub(super) fn next(story: &Story) -> Reply {
    let parts = story.wish.as_deref().map_or_else(Vec::new, wishes::understand);
    let mut reply = Draft::default();
    let explains = story.asked && parts.iter().all(|part| matches!(part.wish, Wish::Help | Wish::Unknown(_)));
    if !story.introduced && !explains {
        reply.say(format!("{} The commands are real.", report::INTRODUCTION));
    }
    for place in &story.fresh {
        let task = &story.tasks[*place];
        if let Some(end) = &task.end {
            let of_tests = story.own_tasks().any(|own| own.id == task.id)
                && parts.get(task.part).is_some_and(|part| matches!(part.wish, Wish::Tests { .. }));
            reply.say(if of_tests { report::tests_end(task, end) } else { report::end(task, end) });
        }
    }
    let stopped = story.steps.iter().any(Step::stopped);
    let goes_on = !story.resumed && waited_for(story, &parts).is_some();
    if story.asked || story.resumed && !stopped || goes_on {
        plan(&mut reply, story, &parts);
    } else {
        if story.resumed {
            reply.say("You stopped me there, so I leave it at that. Say what to do next.");
        }
        reply.say_all(report::left(story));
    }
    if reply.tools.is_empty() && !story.advised && !explains {
        reply.say(report::ADVICE);
    }
    if reply.tools.is_empty() && reply.said.is_empty() {
        reply.say("There is nothing new to say.");
    }
    Reply { text: reply.said.join("\n\n"), tools: reply.tools, part: reply.part }
}

/// The part that was put off until what now has ended: the first that waits, if none of it was begun.
fn waited_for(story: &Story, parts: &[Part]) -> Option<usize> {
    let place = parts.iter().position(|part| part.after)?;
    let begun = story.steps.iter().any(|step| step.part >= place);
    let ended = story.own_tasks().all(|task| task.end.is_some());
    let just_now =
        story.fresh.iter().any(|fresh| story.own_tasks().any(|own| own.id == story.tasks[*fresh].id));
    (!begun && ended && just_now).then_some(place)
}

#[derive(Default)]
struct Draft {
    said: Vec<String>,
    tools: Vec<(&'static str, Value)>,
    part: usize,
}

impl Draft {
    fn say(&mut self, text: impl Into<String>) {
        self.said.push(text.into());
    }

    fn say_all(&mut self, texts: impl IntoIterator<Item = String>) {
        self.said.extend(texts);
    }

    fn take(&mut self, name: &'static str, input: &[(&str, &dyn ToJson)]) {
        self.tools.push((name, json::object(input)));
    }
}

/// A part of the wish, among the steps that were taken for it.
#[derive(Clone, Copy)]
struct Scene<'a> {
    story: &'a Story,
    part: usize,
}

impl<'a> Scene<'a> {
    /// The steps of this part that used a tool.
    fn taken(self, name: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps().filter(move |step| step.name == name)
    }

    fn steps(self) -> impl Iterator<Item = &'a Step> {
        self.story.steps.iter().filter(move |step| step.part == self.part)
    }

    /// The tasks of the whole wish.
    fn tasks(self) -> Vec<&'a Task> {
        self.story.own_tasks().collect()
    }

    /// How a part begins that is done while the parts before it run, or have run.
    fn meanwhile(self, does: &str) -> String {
        let before: Vec<&Task> = self.tasks().into_iter().filter(|task| task.part < self.part).collect();
        if before.is_empty() {
            return format!("I {does}");
        }
        match before.iter().filter(|task| task.end.is_none()).count() {
            0 if before.len() == 1 => format!("It has ended already; I still {does}"),
            0 => format!("They have ended already; I still {does}"),
            1 => format!("While that runs, I {does}"),
            _ => format!("While they run, I {does}"),
        }
    }
}

/// Goes on where the steps have come to: one part after the other, until one needs a tool.
fn plan(reply: &mut Draft, story: &Story, parts: &[Part]) {
    let waited = waited_for(story, parts);
    let reached = story.steps.last().map_or(0, |step| step.part);
    let from = waited.unwrap_or(reached);
    let only = parts.len() == 1;
    let mut waits = false;
    for (place, part) in parts.iter().enumerate().skip(from) {
        let scene = Scene { story, part: place };
        let running = story.own_tasks().any(|task| task.end.is_none());
        if part.after && running {
            waits = true;
            break;
        }
        reply.part = place;
        take(reply, scene, &part.wish, only);
        if !reply.tools.is_empty() {
            return;
        }
        let left = parts.len() - place - 1;
        if left > 0
            && scene.steps().next().is_some()
            && scene.steps().all(|step| step.failed && (step.denied() || step.name == "background_run"))
        {
            reply.say("So I leave out the rest of what you asked for.");
            break;
        }
    }
    let own: Vec<&Task> = story.own_tasks().collect();
    if !own.is_empty() {
        closing(reply, &own, waits);
    }
}

fn take(reply: &mut Draft, scene: Scene<'_>, wish: &Wish, only: bool) {
    match wish {
        Wish::Run(commands) => run(reply, scene, commands),
        Wish::Background(commands) => background(reply, scene, commands),
        Wish::Tests { pytest } => tests(reply, scene, *pytest),
        Wish::Check(named) => check(reply, scene, named.as_deref()),
        Wish::Stop(which) => stop(reply, scene, which),
        Wish::Read(path) => match scene.taken("read_file").next() {
            None => {
                if !only {
                    reply.say(format!("{} {}.", scene.meanwhile("read"), code(path)));
                }
                reply.take("read_file", &[("path", &path), ("limit", &200_u64)]);
            }
            Some(step) if step.failed => reply.say(report::failure(step)),
            Some(step) => {
                reply.say(format!("{} begins so:{}", code(path), report::block(&step.result, false)));
            }
        },
        Wish::Write(file) => match scene.taken("write_file").next() {
            None => {
                if !only {
                    reply.say(format!("{} {}.", scene.meanwhile("write"), code(&name(file))));
                }
                reply.take("write_file", &[("path", &name(file)), ("content", &content(file, &scene.tasks()))]);
            }
            Some(step) => reply.say(report::wrote(step)),
        },
        Wish::Nothing => {}
        Wish::Help => reply.say(explanation("")),
        Wish::Unknown(_) if only => reply.say(explanation("I do not understand that. ")),
        Wish::Unknown(words) => reply.say(format!(
            "I do not understand this part, so it is not done: “{}”. Say “help”, and I say what I understand.",
            words.split_whitespace().collect::<Vec<_>>().join(" ")
        )),
    }
}

fn explanation(first: &str) -> String {
    format!(
        "{first}{} What I understand, with commands of your own:\n\n\
- Run \"ls -la\"\n\
- Run \"sleep 5 && echo done\" in the background, then create a file while it runs\n\
- Start 3 background tasks: \"sleep 2\", \"sleep 4\", \"sleep 6\". Check their status.\n\
- Run pytest in the background and keep working on other things\n\
- What is running?\n\
- Start \"sleep 3\" in the background, then list the files, and read README.md\n\
- Stop \"sleep 6\", or: stop all\n\
- Read README.md\n\
- Create a file named notes.txt with \"some words\"\n\n{}",
        report::INTRODUCTION,
        report::ADVICE
    )
}

fn run(reply: &mut Draft, scene: Scene<'_>, commands: &[String]) {
    let mut steps = scene.taken("bash").peekable();
    if steps.peek().is_none() {
        reply.say(format!("{} {}.", scene.meanwhile("run"), report::commands(commands)));
        for command in commands.iter().take(MOST_TASKS) {
            reply.take("bash", &[("command", &command)]);
        }
    }
    reply.say_all(steps.map(report::ran));
}

fn background(reply: &mut Draft, scene: Scene<'_>, commands: &[String]) {
    let starts: Vec<&Step> = scene.taken("background_run").collect();
    if starts.is_empty() {
        let most = &commands[..commands.len().min(MOST_TASKS)];
        if most.len() < commands.len() {
            reply.say(format!(
                "I start at most {} at once, so I take the first.",
                commands::in_words(MOST_TASKS)
            ));
        }
        reply.say(format!("I start {} in the background.", report::commands(most)));
        for command in most {
            reply.take("background_run", &[("command", &command)]);
        }
    }
    reply.say_all(starts.into_iter().filter(|step| step.failed).map(report::failure));
}

/// The end of a turn: what still runs, and that its end will be told.
fn closing(reply: &mut Draft, own: &[&Task], waits: bool) {
    let running: Vec<String> = own
        .iter()
        .filter(|task| task.end.is_none())
        .map(|task| format!("{} (task {})", code(&task.command), task.id))
        .collect();
    match running.as_slice() {
        [] => reply.say_all(report::standing(own)),
        [one] if waits => reply.say(format!("{one} still runs. I end my turn here: its result comes by itself, and then I do the rest of what you asked for.")),
        [one] => reply.say(format!("{one} still runs. I end my turn here: its result comes by itself, and then I go on.")),
        _ if waits => reply.say(format!(
            "I started {} and have not heard of their end. I end my turn here: the results come by themselves, and then I do the rest of what you asked for.",
            running.join(", ")
        )),
        _ => reply.say(format!(
            "I started {} and have not heard of their end. I end my turn here: the results come by themselves.",
            running.join(", ")
        )),
    }
}

fn tests(reply: &mut Draft, scene: Scene<'_>, pytest: bool) {
    let Some(look) = scene.taken("bash").find(|step| step.text("command") == LOOK) else {
        reply.say("I look which tests this workspace has.");
        return reply.take("bash", &[("command", &LOOK)]);
    };
    if look.failed {
        return reply.say(report::failure(look));
    }
    let (why, command) = match choose(&look.result, pytest) {
        Ok(choice) => choice,
        Err(words) => return reply.say(words),
    };
    let Some(start) = scene.taken("background_run").next() else {
        reply.say(format!("{why} I run {} in the background.", code(command)));
        return reply.take("background_run", &[("command", &command)]);
    };
    if start.failed {
        return reply.say(report::failure(start));
    }
    let own: Vec<&Task> = scene.tasks().into_iter().filter(|task| task.part == scene.part).collect();
    let running = own.iter().any(|task| task.end.is_none());
    let meanwhile = if running { "While the tests run, " } else { "The tests have ended; " };
    let has = |name: &str| look.result.lines().any(|line| line == name);
    let (read, listed) =
        (scene.taken("read_file").next(), scene.taken("bash").find(|step| step.text("command") == "ls"));
    if read.is_none() && listed.is_none() {
        if has("README.md") {
            reply.say(format!("{meanwhile}I read README.md."));
            return reply.take("read_file", &[("path", &"README.md"), ("limit", &60_u64)]);
        }
        reply.say(format!("{meanwhile}I look at what else is here."));
        return reply.take("bash", &[("command", &"ls")]);
    }
    let commits = scene.taken("bash").find(|step| step.text("command") == COMMITS);
    if has(".git") && commits.is_none() {
        reply.say(format!("{meanwhile}I look at the last commits too."));
        return reply.take("bash", &[("command", &COMMITS)]);
    }
    reply.say_all(read.map(report::headings));
    reply.say_all(listed.into_iter().chain(commits).map(report::ran));
}

/// Which command runs the tests, with a sentence why; or an honest word.
fn choose(found: &str, pytest: bool) -> Result<(&'static str, &'static str), String> {
    let has = |name: &str| found.lines().any(|line| line == name);
    let says = |start: &str| found.lines().any(|line| line.starts_with(start));
    let installed = |program: &str| {
        found.lines().any(|line| {
            line.strip_suffix(program).is_some_and(|folder| folder.starts_with('/') && folder.ends_with('/'))
        })
    };
    let python = ["pytest.ini", "conftest.py"].iter().any(|name| has(name))
        || ["pyproject.toml:", "setup.cfg:", "tox.ini:"].iter().any(|start| says(start))
        || found
            .lines()
            .any(|line| line.contains("test") && line.strip_suffix(".py").is_some() && !line.contains(':'));
    let instead = |usual: &'static str, other: &'static str| if pytest { other } else { usual };
    let known = [
        (
            python,
            "pytest",
            "There are tests for pytest here.",
            "There are tests for pytest here.",
            "pytest -q",
        ),
        (
            python,
            "python3",
            "There are tests for pytest here.",
            "There are tests for pytest here.",
            "python3 -m pytest -q",
        ),
        (
            has("Cargo.toml"),
            "cargo",
            "This is a Cargo workspace.",
            "There is nothing for pytest here, but this is a Cargo workspace with tests of its own.",
            "cargo test",
        ),
        (
            says("package.json:"),
            "npm",
            "package.json has a test script.",
            "There is nothing for pytest here, but package.json has a test script.",
            "npm test",
        ),
        (
            has("go.mod"),
            "go",
            "This is a Go module.",
            "There is nothing for pytest here, but this is a Go module.",
            "go test ./...",
        ),
        (
            says("Makefile:"),
            "make",
            "The Makefile has a target for tests.",
            "There is nothing for pytest here, but the Makefile has a target for tests.",
            "make test",
        ),
    ];
    let there = known.iter().filter(|(there, ..)| *there);
    let mut missing = Vec::new();
    for (_, program, usual, other, command) in there {
        if installed(program) {
            return Ok((instead(usual, other), command));
        }
        missing.push(*program);
    }
    Err(if missing.is_empty() {
        "I found no tests here: no tests for pytest, no Cargo.toml, no test script in package.json, no go.mod, no test target in a Makefile. So I ran nothing. Name a command, and I run it: Run \"…\" in the background.".to_owned()
    } else {
        format!(
            "There are tests here, but {} is not installed where the runner looks, so I ran nothing. Name another command, and I run it: Run \"…\" in the background.",
            report::list(&missing)
        )
    })
}

fn check(reply: &mut Draft, scene: Scene<'_>, named: Option<&str>) {
    if let Some(step) = scene.taken("check_background").next() {
        return reply.say(match named {
            Some(_) if !step.failed => {
                format!("This is what the runner says:{}", report::block(&step.result, true))
            }
            _ => standings(step),
        });
    }
    match named.map(|named| (named, find(scene.story, named))) {
        None => {
            if !scene.tasks().is_empty() {
                reply.say("Now I look at how they stand.");
            }
            reply.take("check_background", &[]);
        }
        Some((_, Some(id))) => reply.take("check_background", &[("task_id", &id)]),
        Some((named, None)) => reply.say(format!("I know of no task {} in this conversation.", code(named))),
    }
}

/// The id of a task that is named by its id or a part of its command: one that runs before one that ended, the last before the first.
fn find(story: &Story, named: &str) -> Option<String> {
    let is_id = named.len() == 8 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = |task: &&Task| task.id == named || task.command.contains(named);
    let running = story.tasks.iter().rev().filter(|task| task.end.is_none()).find(fits);
    let found = running.or_else(|| story.tasks.iter().rev().find(fits));
    found.map(|task| task.id.clone()).or_else(|| is_id.then(|| named.to_owned()))
}

/// How tasks stand by a `check_background`.
fn standings(step: &Step) -> String {
    if step.failed {
        return report::failure(step);
    }
    let looks = story::looks(&step.result);
    if looks.is_empty() {
        return step.result.clone();
    }
    let lines: Vec<String> = looks
        .iter()
        .map(|(id, status, command)| format!("- {} (task {id}): {status}", code(command)))
        .collect();
    format!("This is how they stand:\n\n{}", lines.join("\n"))
}

fn stop(reply: &mut Draft, scene: Scene<'_>, which: &Which) {
    let mut stops = scene.taken("stop_background").peekable();
    if stops.peek().is_some() {
        let told = |step: &Step| if step.failed { report::failure(step) } else { step.result.clone() };
        return reply.say_all(stops.map(told));
    }
    let story = scene.story;
    let running: Vec<&Task> = story.tasks.iter().filter(|task| task.end.is_none()).collect();
    let targets: Vec<String> = match which {
        Which::All => running.iter().map(|task| task.id.clone()).collect(),
        Which::Last => running.last().map(|task| task.id.clone()).into_iter().collect(),
        Which::Named(named) => find(story, named)
            .filter(|id| story.task(id).is_none_or(|task| task.end.is_none()))
            .into_iter()
            .collect(),
    };
    if !targets.is_empty() {
        for task_id in targets.iter().take(MOST_TASKS) {
            reply.take("stop_background", &[("task_id", &task_id)]);
        }
        return;
    }
    match scene.taken("check_background").next() {
        None => {
            reply.say("I look which tasks run.");
            reply.take("check_background", &[]);
        }
        Some(step) if step.failed => reply.say(report::failure(step)),
        Some(step) => reply.say(format!("There is nothing of that kind to stop. {}", standings(step))),
    }
}

fn name(file: &File) -> String {
    file.name.clone().unwrap_or_else(|| OWN_FILE.to_owned())
}

fn content(file: &File, own: &[&Task]) -> String {
    if let Some(content) = &file.content {
        return format!("{content}\n");
    }
    let running: Vec<String> = own
        .iter()
        .filter(|task| task.end.is_none())
        .map(|task| format!("- {} (task {})\n", task.command.replace('\n', " "), task.id))
        .collect();
    if running.is_empty() {
        return "This file was made by the demo of Meanwhile.\n".to_owned();
    }
    format!(
        "This file was made by the demo of Meanwhile while this ran in the background:\n\n{}",
        running.concat()
    )
}
