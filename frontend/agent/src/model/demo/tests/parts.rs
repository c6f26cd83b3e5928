//! Wishes of several parts: what is done, in which order, and that no part is dropped without a word.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// Parts in a line: `bg sleep 3 / run ls -la / after: read a.txt`.
fn outline(words: &str) -> String {
    let parts = understand(words);
    let told: Vec<String> = parts.iter().map(part).collect();
    told.join(" / ")
}

fn part(part: &Part) -> String {
    let wish = match &part.wish {
        Wish::Run(commands) => format!("run {}", commands.join(" | ")),
        Wish::Background(commands) => format!("bg {}", commands.join(" | ")),
        Wish::Tests { pytest } => format!("tests{}", if *pytest { " with pytest" } else { "" }),
        Wish::Check(named) => format!("check {}", named.as_deref().unwrap_or("all")),
        Wish::Stop(Which::All) => "stop all".to_owned(),
        Wish::Stop(Which::Last) => "stop last".to_owned(),
        Wish::Stop(Which::Named(named)) => format!("stop {named}"),
        Wish::Read(path) => format!("read {path}"),
        Wish::Write(File { name, content }) => {
            let content = content.as_ref().map(|content| format!(" = {content}")).unwrap_or_default();
            format!("write {}{content}", name.as_deref().unwrap_or("?"))
        }
        Wish::Nothing => "nothing".to_owned(),
        Wish::Help => "help".to_owned(),
        Wish::Unknown(words) => format!("unknown: {words}"),
    };
    if part.after { format!("after: {wish}") } else { wish }
}

#[test]
fn every_part_is_understood() {
    let mut wrong = Vec::new();
    for (words, expected) in [
        // The lesson.
        (examples()[0].wish, "bg sleep 5 && echo done / write ?"),
        (examples()[1].wish, "bg sleep 2 | sleep 4 | sleep 6 / check all"),
        (examples()[2].wish, "tests with pytest"),
        // A background task, then something else.
        ("start sleep 3 in the background and list files", "bg sleep 3 / run ls -la"),
        ("Start sleep 3 in the background and list the files.", "bg sleep 3 / run ls -la"),
        ("start \"sleep 3\" in the background, list the files", "bg sleep 3 / run ls -la"),
        ("start 'sleep 3' in the background, and then list all files!", "bg sleep 3 / run ls -la"),
        ("start “sleep 3” in the background; list files", "bg sleep 3 / run ls -la"),
        ("start `sleep 3` in the background. Then list files.", "bg sleep 3 / run ls -la"),
        ("Start sleep 3 in the background. List the files, please.", "bg sleep 3 / run ls -la"),
        ("in the background start sleep 3 and list files", "bg sleep 3 / run ls -la"),
        ("In the background, run sleep 3, and list files", "bg sleep 3 / run ls -la"),
        ("please run sleep 3 in the background and also list the files", "bg sleep 3 / run ls -la"),
        ("Start sleep 3 in the background and, while it runs, list files", "bg sleep 3 / run ls -la"),
        ("Start sleep 3 in the background and while that runs list the files", "bg sleep 3 / run ls -la"),
        ("start sleep 3 in the background, meanwhile list files", "bg sleep 3 / run ls -la"),
        ("start sleep 3 in the background and in the meantime show me the files", "bg sleep 3 / run ls -la"),
        ("start sleep 3 in the background and ls", "bg sleep 3 / run ls"),
        ("sleep 3 in the background, then ls", "bg sleep 3 / run ls"),
        ("run sleep 3 & then list files", "bg sleep 3 / run ls -la"),
        (
            "can you start sleep 3 in the background and then list the files for me?",
            "bg sleep 3 / run ls -la",
        ),
        ("I want you to start sleep 3 in the background and to list the files", "bg sleep 3 / run ls -la"),
        ("kick off sleep 3 in the background, then list files", "bg sleep 3 / run ls -la"),
        ("run sleep 3 as a background task and list files in src", "bg sleep 3 / run ls -la src"),
        ("START SLEEP 3 IN THE BACKGROUND AND LIST FILES", "bg sleep 3 / run ls -la"),
        (
            "run sleep 4 in the background, then create a file notes.txt while it runs, then list the files",
            "bg sleep 4 / write notes.txt / run ls -la",
        ),
        (
            "Run \"sleep 4\" in the background, create a file called “a.md” with ‘some words’ and then read a.md.",
            "bg sleep 4 / write a.md = some words / read a.md",
        ),
        ("run sleep 4 in the background, then create a file Y while it runs", "bg sleep 4 / write Y"),
        (
            "run sleep 4 in the background; while that runs, write hello.txt; list files",
            "bg sleep 4 / write hello.txt / run ls -la",
        ),
        ("Run sleep 5, then create a file while it runs", "bg sleep 5 / write ?"),
        ("Create a file \"x.txt\" while \"sleep 3\" runs in the background", "bg sleep 3 / write x.txt"),
        ("list the files while sleep 3 runs", "bg sleep 3 / run ls -la"),
        ("While \"sleep 3\" runs, create notes.md with 'a list'", "bg sleep 3 / write notes.md = a list"),
        ("while running sleep 3 in the background, list the files", "bg sleep 3 / run ls -la"),
        (
            "run `cargo build` in the background and write a file called log.txt with 'it runs'",
            "bg cargo build / write log.txt = it runs",
        ),
        (
            "Run “make all” in the background, then create a file named “notes.md” while it runs.",
            "bg make all / write notes.md",
        ),
        ("run sleep 9 in the background, check it, and stop it", "bg sleep 9 / check all / stop last"),
        ("start sleep 9 in the background and then stop all tasks", "bg sleep 9 / stop all"),
        ("start sleep 9 in the background, what is running?", "bg sleep 9 / check all"),
        ("start sleep 9 in the background. What is running?", "bg sleep 9 / check all"),
        ("start sleep 9 in the background and tell me what is running", "bg sleep 9 / check all"),
        ("run the tests in the background and list the files", "tests / run ls -la"),
        ("Run pytest in the background, then read README.md", "tests with pytest / read README.md"),
        ("Start `sleep 3` in the background & list files", "bg sleep 3 / run ls -la"),
        ("start sleep 3 in the background -> list files", "bg sleep 3 / run ls -la"),
        ("Start “sleep 3” in the background… then list files", "bg sleep 3 / run ls -la"),
        ("Hi! Start sleep 3 in the background and list files. Thanks!", "bg sleep 3 / run ls -la"),
        ("start sleep 3 in the background, list files, and that's it", "bg sleep 3 / run ls -la"),
        ("could you run \"sleep 5\" in the background while you list the files?", "bg sleep 5 / run ls -la"),
        ("Run sleep 5 in the background while listing the files", "bg sleep 5 / run ls -la"),
        ("run sleep 3 in the background, ls in the foreground", "bg sleep 3 / run ls"),
        ("run npm test in the background and show me the git status", "bg npm test / run git status"),
        ("start the tests in the background, then tell me what time it is", "tests / run date"),
        (
            "start sleep 10 in the background. While it runs, create a.txt, b.txt and c.txt",
            "bg sleep 10 / write a.txt / write b.txt / write c.txt",
        ),
        (
            "run python3 -m http.server 8000 in the background, then curl -s localhost:8000 and stop it",
            "bg python3 -m http.server 8000 / run curl -s localhost:8000 / stop last",
        ),
        (
            "sleep 2 && echo a in the background and sleep 3 && echo b in the background",
            "bg sleep 2 && echo a / bg sleep 3 && echo b",
        ),
        (
            "start sleep 9 in the background and then check on it after that stop it",
            "bg sleep 9 / check all / stop last",
        ),
        // Several commands, and numbers as words.
        (
            "start two background tasks: sleep 3 and sleep 5, then list the files",
            "bg sleep 3 | sleep 5 / run ls -la",
        ),
        ("start three background tasks and list the files", "bg sleep 2 | sleep 4 | sleep 6 / run ls -la"),
        ("Start a couple of background tasks, then check their status", "bg sleep 2 | sleep 4 / check all"),
        ("run date twice in the background", "bg date | date"),
        (
            "run \"date\" in the background three times and list the files",
            "bg date | date | date / run ls -la",
        ),
        ("sleep for three seconds in the background, then list files", "bg sleep 3 / run ls -la"),
        ("start a five second sleep in the background and list files", "bg sleep 5 / run ls -la"),
        ("run sleep two in the background and list files", "bg sleep 2 / run ls -la"),
        (
            "start sleep 3 in the background, sleep 4 in the background and list files",
            "bg sleep 3 / bg sleep 4 / run ls -la",
        ),
        (
            "run sleep 3 in the background, run sleep 4 in the background, then list files",
            "bg sleep 3 / bg sleep 4 / run ls -la",
        ),
        ("start sleep 3 in the background and sleep 4 too", "bg sleep 3 / bg sleep 4"),
        (
            "start sleep 3, sleep 4 and sleep 5 in parallel, then create a file a.txt",
            "bg sleep 3 | sleep 4 | sleep 5 / write a.txt",
        ),
        (
            "start sleep 3 in the background\nlist files\nread README.md",
            "bg sleep 3 / run ls -la / read README.md",
        ),
        (
            "Please do these things:\n1. run sleep 3 in the background\n2. list the files\n3. create a file named x.txt",
            "bg sleep 3 / run ls -la / write x.txt",
        ),
        ("- start sleep 3 in the background\n- list files", "bg sleep 3 / run ls -la"),
        (
            "first run sleep 3 in the background, second list the files, finally read a.txt",
            "bg sleep 3 / run ls -la / read a.txt",
        ),
        // Without a background.
        ("list the files and read README.md", "run ls -la / read README.md"),
        ("Run \"a\" and then \"b\"", "run a / run b"),
        ("run ls, then pwd, then date", "run ls / run pwd / run date"),
        ("create a file a.txt with \"x\", then read it", "write a.txt = x / read a.txt"),
        ("read a.txt and b.txt", "read a.txt / read b.txt"),
        ("create a file named a.txt with hello and goodbye", "write a.txt = hello and goodbye"),
        ("hello, run ls", "run ls"),
        ("stop sleep 2 and sleep 4", "stop sleep 2 / stop sleep 4"),
        // What happens anyway asks for nothing.
        ("run sleep 3 in the background and tell me when it is done", "bg sleep 3"),
        ("run sleep 3 in the background and keep working on other things", "bg sleep 3"),
        ("run sleep 3 in the background, don't wait for it, and list files", "bg sleep 3 / run ls -la"),
        ("run sleep 3 in the background, let me know once it's finished", "bg sleep 3"),
        // What is to be done only afterwards.
        (
            "run sleep 3 in the background and when it is done list the files",
            "bg sleep 3 / after: run ls -la",
        ),
        ("run sleep 3 in the background, once it has finished, read a.txt", "bg sleep 3 / after: read a.txt"),
        ("run sleep 3 in the background, list the files after it ends", "bg sleep 3 / after: run ls -la"),
        (
            "run sleep 3 in the background. Wait for it to finish, then list the files.",
            "bg sleep 3 / after: run ls -la",
        ),
        // What is not understood is named.
        ("start sleep 3 in the background and fold my laundry", "bg sleep 3 / unknown: fold my laundry"),
        ("run \"ls\" and fold my laundry", "run ls / unknown: fold my laundry"),
        ("list the files, then fold my laundry", "run ls -la / unknown: fold my laundry"),
        ("list the files and fold my laundry", "run ls -la / unknown: fold my laundry"),
        ("Fold my laundry. List the files.", "unknown: Fold my laundry / run ls -la"),
        ("start the server and list the files", "unknown: start the server / run ls -la"),
        ("what is running and what time is it?", "check all / run date"),
        ("add \"x\" to notes.txt", "unknown: add \"x\" to notes.txt"),
        ("don't run ls, and don't list files", "unknown: don't run ls, and don't list files"),
        ("do not run ls and create a file", "unknown: do not run ls and create a file"),
        ("how do I run ls and list files?", "help"),
    ] {
        let told = outline(words);
        if told != expected {
            wrong.push(format!("{words:?}\n   expected {expected}\n      found {told}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn commands_stay_whole() {
    let mut wrong = Vec::new();
    for command in [
        "sleep 1 && echo list the files",
        "cd /tmp; ls; pwd",
        "make && make install",
        "make; make test",
        "ls | sort | head -n 3",
        "false || true",
        "for i in 1 2 3; do echo $i; sleep 1; done",
        "while true; do date; sleep 1; done",
        "if true; then echo yes; else echo no; fi",
        "until false; do sleep 1; done",
        "case a in a) echo b;; esac",
        "(sleep 1; echo done)",
        "find . -name '*.rs' -and -type f",
        "git commit -m \"run this, then list the files\"",
        "echo 'start and stop; read and write'",
        "echo start and stop",
        "echo \"hello world\"",
        "grep -r \"a, b and then c\" .",
        "sh -c 'sleep 1; run me'",
        "python3 -c \"print('a; list files')\"",
        "npm run build",
        "docker stop all",
        "./deploy a, b",
        "ls ..",
        "ls -la .",
        "cargo test -- --list",
    ] {
        for (words, expected) in [
            (format!("run {command}"), format!("run {command}")),
            (format!("run {command} in the background"), format!("bg {command}")),
            (format!("run {command} in the background and list files"), format!("bg {command} / run ls -la")),
            (
                format!("start {command} in the background, then read a.txt."),
                format!("bg {command} / read a.txt"),
            ),
            (format!("run `{command}`, then list files"), format!("run {command} / run ls -la")),
            (format!("Please run: {command}"), format!("run {command}")),
        ] {
            let told = outline(&words);
            if told != expected {
                wrong.push(format!("{words:?}\n   expected {expected}\n      found {told}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn three_parts_are_done_in_their_order() {
    let mut world = World::default();
    world.bash("ls -la", TaskState::Completed, "notes.txt\n");
    let said = world.say(
        "run \"sleep 9\" in the background, then create a file notes.txt while it runs, then list the files",
    );
    assert_eq!(world.used, ["background_run sleep 9", "write_file notes.txt", "bash ls -la"]);
    has(&world.texts[1], &["While that runs, I write `notes.txt`."]);
    has(&world.texts[2], &["`notes.txt` is there.", "While that runs, I run `ls -la`."]);
    has(&said, &["notes.txt", "`sleep 9` (task task0000) still runs"]);
    assert!(world.files["notes.txt"].contains("- sleep 9 (task task0000)"));
    world.end(0, TaskState::Completed, "");
    assert_eq!(world.wake(), "`sleep 9` is done (exit 0, 5.0s). It printed nothing.");
    assert_eq!(world.used.len(), 3);
}

#[test]
fn what_is_to_come_afterwards_comes_afterwards() {
    let mut world = World::default();
    world.bash("ls -la", TaskState::Completed, "a.txt\n");
    let said = world.say("run sleep 9 in the background and when it is done list the files");
    assert_eq!(world.used, ["background_run sleep 9"]);
    has(&said, &["then I do the rest of what you asked for"]);
    world.end(0, TaskState::Failed { code: 2 }, "");
    let said = world.wake();
    assert_eq!(world.used, ["background_run sleep 9", "bash ls -la"]);
    has(&said, &["a.txt"]);
    has(&world.texts[world.texts.len() - 2], &["`sleep 9` failed (exit 2"]);
    has(&world.say("what is running?"), &["This is how they stand"]);
}

#[test]
fn a_part_that_is_not_understood_is_named_and_the_others_are_done() {
    let mut world = World::default();
    world.bash("ls -la", TaskState::Completed, "a.txt\n");
    let said = world.say("start sleep 9 in the background, fold my laundry, and list the files");
    assert_eq!(world.used, ["background_run sleep 9", "bash ls -la"]);
    let all = world.texts.join("\n");
    has(&all, &["I do not understand this part, so it is not done: “fold my laundry”"]);
    assert_eq!(all.matches("fold my laundry").count(), 1);
    has(&said, &["a.txt", "still runs"]);
}

#[test]
fn what_is_denied_ends_the_wish() {
    let mut world = World { denied: Some(String::new()), ..World::default() };
    let said = world.say("start sleep 9 in the background and list the files");
    has(&said, &["You did not allow `sleep 9`", "So I leave out the rest of what you asked for."]);
    assert_eq!(world.used, ["background_run sleep 9"]);
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// However a wish is put together of parts, each part is there, in its order.
    #[test]
    fn parts_add_up(
        places in proptest::collection::vec((0_usize..PARTS.len(), 0_usize..JOINTS.len()), 1..5),
        end in "[.!]?",
    ) {
        let mut words = String::new();
        let mut expected = Vec::new();
        for (number, (part, joint)) in places.iter().enumerate() {
            if number > 0 {
                words.push_str(JOINTS[*joint]);
            }
            words.push_str(PARTS[*part].0);
            expected.push(PARTS[*part].1);
        }
        words.push_str(&end);
        proptest::prop_assert_eq!(outline(&words), expected.join(" / "), "{}", words);
    }

    /// Whatever stands in quotes is one command, and is given on unchanged.
    #[test]
    fn quotes_are_never_cut(command in "[a-z][a-z;,.&|]{0,6}( (and|then|list|run|stop|files|while|it|runs|in|the|background|[a-z;,]{1,5})){0,8}") {
        for (open, close) in [("\"", "\""), ("“", "”"), ("`", "`"), ("«", "»")] {
            let words = format!("run {open}{command}{close} in the background, then list the files");
            proptest::prop_assert_eq!(outline(&words), format!("bg {command} / run ls -la"));
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
const PARTS: [(&str, &str); 9] = [
    ("start sleep 3 in the background", "bg sleep 3"),
    ("run \"make && make test\" in the background", "bg make && make test"),
    ("run 'ls; pwd'", "run ls; pwd"),
    ("list the files", "run ls -la"),
    ("create a file named a.txt with \"words, and then more\"", "write a.txt = words, and then more"),
    ("read b.txt", "read b.txt"),
    ("stop all tasks", "stop all"),
    ("check their status", "check all"),
    ("run “for i in 1 2; do date; done” in the background", "bg for i in 1 2; do date; done"),
];
#[cfg(not(target_arch = "wasm32"))]
const JOINTS: [&str; 10] =
    [", then ", " and then ", "; ", ". Then ", ", and ", " and ", ", ", "\n", "; then ", ". After that, "];
