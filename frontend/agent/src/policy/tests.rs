//! The policy as tables, and properties that no command may break.

use serde_json::json;
use shared::tools::ToolCall;

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const HOME: &str = "/home/me/project";

fn workspace_at(path: &str) -> Workspace<'_> {
    Workspace { path, wide: None }
}

#[test]
fn harmless_commands_run_unasked() {
    for command in [
        "sleep 5 && echo done",
        "sleep 2; echo a || true",
        "pwd",
        "ls -la src *.rs",
        "ls -a Cargo.toml package.json 2>/dev/null",
        "ls x 2>&1 | head -n 5",
        "ls > /dev/null 2>&1",
        "ls &>/dev/null",
        "ls &>/dev/null ; pwd",
        "printf '%5.2f%%\\n' 3",
        "wc -l *.rs; du -sh -d1 .; sha256sum a",
        "sed -n 1,5p f",
        "sed -n '5,$p;/a/d' f",
        "sed -e s/a/b/g -ne '10q' f",
        "sed 's/[^/]*$//' f",
        "awk -F, -v x=1 '$1 ~ /a/ {print $1, NR}' f",
        "tree -L 2 -I node_modules src",
        "xxd -l 64 f",
        "git grep -n x",
        "ls # just looking\npwd",
        "rg -n x src | head",
        "git log --stat",
        "cargo tree --offline --depth 1",
        "jq . f | awk '{print $1}'",
        "cat README.md | wc -l",
        "cat '/home/me/project/a b.txt'",
        "tail -n 20 \"log file.txt\"",
        "grep -rn --include=*.rs 'fn main' src .github/*.yml",
        "rg -n --hidden todo",
        "find . -name '*.rs' -type f -maxdepth 3",
        "find . \\( -name a -o -name b \\) -size +10k",
        "git status --short",
        "git --no-pager log --oneline -n 5 main..topic",
        "git diff HEAD~1 -- src",
        "git branch -a",
        "sort -rn -k2 -t, a.csv | uniq -c",
        "date +%s",
        "printf '%s\\n' a",
        "test -f a && [ -d b ]",
        "cd sub && ls",
        "seq 3\necho b\n\n",
        "echo \"it's ok!\" a\\ b",
        "which cargo; command -v npm",
        "file -b a; stat a; du -sh .; uname -a",
        "true &&\n pwd",
        "cargo -V; rustc --version && node -v",
        "python3 --version",
        "go version",
        "java -version",
    ] {
        assert_eq!(run(command, &[]), Verdict::ReadOnly, "{command}");
    }
}

#[test]
fn everything_else_is_asked_for() {
    for (command, reason) in [
        ("npm test", "runs npm"),
        ("node -v x", "runs node"),
        ("bash -v", "runs bash"),
        ("python3 --version x.py", "runs python3"),
        ("./python3 --version", "runs ./python3"),
        ("yarn --version", "runs yarn"),
        ("rm -rf .", "runs rm"),
        ("echo a > b", "redirection"),
        ("echo a >> b", "redirection"),
        ("ls >/dev/nullx", "redirection"),
        ("cat < a", "redirection"),
        ("ls 3>/dev/null", "redirection"),
        ("cat <<EOF\na\nEOF", "redirection"),
        ("echo $(id)", "another command prints"),
        ("echo '$(id)'", "another command prints"),
        ("echo `id`", "another command prints"),
        ("echo $HOME", "variables"),
        ("echo \"$HOME\"", "variables"),
        ("echo $'a'", "variables"),
        ("sleep 5 &", "`&`"),
        ("sleep 5 & echo a", "`&`"),
        ("(ls)", "groups"),
        ("{ ls; }", "groups"),
        ("cat {a,/etc/passwd}", "groups"),
        ("PORT=80 ls", "sets variables"),
        ("a[0]=1 ls", "sets variables"),
        ("a+=1", "sets variables"),
        ("ls # it's", "not judged"),
        ("ls # a\u{1b}[2K", "not judged"),
        ("ls # a\nrm b", "runs rm"),
        ("echo 'a", "not judged"),
        ("echo \"a", "not judged"),
        ("echo a\\", "not judged"),
        ("echo a\rb", "not judged"),
        ("ls |& cat", "not judged"),
        ("", "empty"),
        (" \n", "empty"),
        ("ls &&", "empty"),
        ("ls ||", "empty"),
        ("; ls", "empty"),
        ("! ls", "runs !"),
        ("if true", "runs if"),
        ("./ls", "runs ./ls"),
        ("l*", "runs l*"),
        ("cat /etc/passwd", "outside"),
        ("cat /home/me/project/../secret", "outside"),
        ("cat /home/me/projects", "outside"),
        ("ls ~", "outside"),
        ("ls a/../../b", "outside"),
        ("ls .*/b", "outside"),
        ("grep -f/etc/passwd a", "outside"),
        ("grep -rf/etc/passwd a", "outside"),
        ("grep --file=/etc/passwd a", "outside"),
        ("grep --file=../a a", "outside"),
        ("cd .. && ls", "outside"),
        ("cd && ls", "cd with"),
        ("cd - && ls", "cd with"),
        ("find . -delete", "find with"),
        ("find . -exec rm {} +", "find with"),
        ("find . -exec rm a ';'", "find with"),
        ("find . -fprint a", "find with"),
        ("find *", "find with"),
        ("sort -o a b", "sort with"),
        ("sort --compress-program=a b", "sort with"),
        ("sort --outp=a b", "sort with"),
        ("uniq a b", "uniq with"),
        ("uniq - b", "uniq with"),
        ("uniq a*", "uniq with"),
        ("rg --pre sh a", "rg with"),
        ("rg -nz a", "rg with"),
        ("date -s 10:00", "date with"),
        ("date 11201200", "date with"),
        ("printf -v a b", "printf with"),
        ("test -v a", "test with"),
        ("rg -?pre=sh x", "file names"),
        ("git log -1 -?output=.git/config", "file names"),
        ("test -? 'a[1]'", "file names"),
        ("[ a = * ]", "[ with"),
        ("printf %n PATH; ls", "printf with"),
        ("printf 'x%5n' PATH", "printf with"),
        ("printf %? PATH", "printf with"),
        ("true &>/dev/null rm -rf .", "`&`"),
        ("ps eww", "runs ps"),
        ("ps axeww", "runs ps"),
        ("ps eww -C meanwhile", "runs ps"),
        ("sed -i s/a/b/ f", "sed with"),
        ("sed -ni s/a/b/ f", "sed with"),
        ("sed -n '1e ls' f", "sed with"),
        ("sed s/a/b/e f", "sed with"),
        ("sed -n 'w g' f", "sed with"),
        ("sed -ne 'w g' f", "sed with"),
        ("sed -n --expression='w g' f", "sed with"),
        ("sed 's/a/b/w g' f", "sed with"),
        ("sed -f x f", "sed with"),
        ("awk '{print > \"g\"}' f", "awk with"),
        ("awk '{print | \"ls\"}' f", "awk with"),
        ("awk 'BEGIN{system(\"ls\")}'", "awk with"),
        ("awk -f x f", "awk with"),
        ("awk -i inplace x f", "awk with"),
        ("tree -o g", "tree with"),
        ("tree -aog", "tree with"),
        ("tree -R -H . -L 1", "tree with"),
        ("xxd a g", "xxd with"),
        ("xxd -r a g", "xxd with"),
        ("xxd a*", "xxd with"),
        ("cargo tree", "cargo with"),
        ("cargo test", "cargo with"),
        ("cargo tree --offline --config x", "cargo with"),
        ("git grep -Ovi x", "git grep with"),
        ("sha256sum -c list", "sha256sum with"),
        ("md5sum --check list", "md5sum with"),
        ("wc --files0-from=list", "wc with"),
        ("du --files0-from=list", "du with"),
        ("file -C", "file with"),
        ("git -c core.pager=sh log", "runs git -c"),
        ("git push", "runs git push"),
        ("git", ""),
        ("git diff --output=a", "git diff with"),
        ("git diff --outp=a", "git diff with"),
        ("git log --ext-diff", "git log with"),
        ("git diff --no-index a b", "git diff with"),
        ("git branch -D a", "git branch with"),
        ("git stash", "git stash with"),
        ("git remote add a b", "git remote with"),
        ("ls | xargs rm", "runs xargs"),
        ("ls; curl x | sh", "runs curl"),
        ("env ls", "runs env"),
        ("command ls", "command with"),
    ] {
        match run(command, &[]) {
            Verdict::Allow => panic!("{command}"),
            Verdict::ReadOnly => assert!(reason.is_empty(), "{command}"),
            Verdict::Ask { reason: got, always, dangers } => {
                assert!(got.contains(reason) && !reason.is_empty(), "{command}: {got}");
                let exact = exact(command);
                assert_eq!(always.first(), Some(&exact).filter(|_| dangers.is_empty()), "{command}");
            }
        }
    }
}

/// A line a command: `read` (it runs unasked), `ask`, `exact` (no rule by its first words can be made of it)
/// or `prefix`.
#[test]
fn the_verdicts() {
    let mut wrong = Vec::new();
    for line in include_str!("verdicts.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (expected, command) = line.split_once(": ").expect("each line says what, then the command");
        let verdict = run(command, &[]);
        let by_words = |rule: &Rule| matches!(rule, Rule::Prefix { .. });
        let fits = match (expected, &verdict) {
            ("read", verdict) => *verdict == Verdict::ReadOnly,
            ("ask", Verdict::Ask { .. }) => true,
            ("exact", Verdict::Ask { always, .. }) => !always.iter().any(by_words),
            ("prefix", Verdict::Ask { always, .. }) => always.iter().any(by_words),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{line}: {verdict:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_refused_is_dangerous() {
    for command in ["cat a", "sed -n 1p a"] {
        assert_eq!(run(command, &[]), Verdict::ReadOnly);
        let Verdict::Ask { dangers, .. } = ask_refused(&bash(command), HOME) else { panic!("{command}") };
        assert!(dangers[0].what[0].contains("was refused"), "{dangers:?}");
        let Verdict::Ask { dangers, .. } = ask_without_sandbox(&bash(command), HOME) else {
            panic!("{command}")
        };
        assert_eq!(dangers, []);
    }
}

#[test]
fn prefixes_that_are_offered() {
    for (command, expected) in [
        ("npm test -- --watch=false", "npm test"),
        ("cargo test -p agent --lib -- --nocapture", "cargo test"),
        ("go test ./... -run Foo -count=1", "go test"),
        ("pytest -q -k 'a and b' tests/x.py", "pytest"),
        ("make check -j4", "make check"),
        ("git commit -am 'a b'", "git commit"),
        ("cargo test --config x=1", ""),
        ("cargo --config x=1 test", ""),
        ("cargo run", ""),
        ("cargo run -- rm", ""),
        ("go test -exec sh ./...", ""),
        ("go test -toolexec=sh", ""),
        ("go vet -vettool=x", ""),
        ("go run x.go", ""),
        ("make check SHELL=x", ""),
        ("make check -f /tmp/x", ""),
        ("make check deploy", ""),
        ("just --shell x y", ""),
        ("pytest -p evil", ""),
        ("pytest -c /tmp/x", ""),
        ("pytest --rootdir=/tmp", ""),
        ("pytest /tmp/evil.py", ""),
        ("pytest ../evil.py", ""),
        ("python3 -m http.server", ""),
        ("python3 -m pip install x", ""),
        ("git -c alias.x=!sh x", ""),
        ("git commit -F a", ""),
        ("git merge -s sh a", ""),
        ("git rebase -x sh", ""),
        ("env npm test", ""),
        ("xargs npm test", ""),
        ("find . -exec npm test", ""),
        ("npm exec x", ""),
        ("npm test --script-shell=x", ""),
        ("npm --prefix x test", ""),
        ("npm run lint x", ""),
        ("npm test 'a;b'", ""),
        ("node -e x", ""),
        ("ssh a npm test", ""),
        ("docker run a npm test", ""),
        ("nice npm test", ""),
        ("timeout 5 npm test", ""),
        ("time npm test", ""),
        ("jest --config x", ""),
        ("tsc -p x", ""),
        ("mvn test -Dexec=x", ""),
        ("gradle test -I x", ""),
        ("ctest -S x", ""),
        ("npm run lint", "npm run lint"),
        ("cargo test -p agent", "cargo test"),
        ("git commit -m 'a b'", "git commit"),
        ("pytest -q", "pytest"),
        ("python3 -m pytest -q", "python3 -m pytest"),
        ("make check", "make check"),
        ("./gradlew test", "./gradlew test"),
        ("make", ""),
        ("make -C sub", ""),
        ("make CC=sh", ""),
        ("cargo install x", ""),
        ("python3 x.py", ""),
        ("python3 -c 'x'", ""),
        ("bash x.sh", ""),
        ("npx x", ""),
        ("sudo npm test", ""),
        ("rm a", ""),
        ("npm test && rm a", ""),
        ("npm test > log", ""),
        ("npm test 2>&1", ""),
        ("npm test;", ""),
        ("npm test\n", ""),
        ("PORT=80 npm test", ""),
        ("npm t*", ""),
    ] {
        let Verdict::Ask { always, .. } = run(command, &[]) else { panic!("allowed: {command}") };
        let mut rules = vec![exact(command)];
        if always.is_empty() {
            assert!(expected.is_empty(), "{command}");
            continue;
        }
        if !expected.is_empty() {
            rules.push(prefix(expected));
        }
        assert_eq!(always, rules, "{command}");
    }
}

#[test]
fn what_rules_cover() {
    // The last ones could be made by earlier versions, or are nobody's.
    let rules =
        ["npm test", "python3 -m pytest", "make check", "cargo run", "python3 -m", "bash", ""].map(prefix);
    let rules: Vec<Rule> = rules.into_iter().chain([exact("rm a > b")]).collect();
    for command in ["rm a > b", "npm test", "npm test --watch", "npm 'test'", "python3 -m pytest -q"] {
        assert_eq!(run(command, &rules), Verdict::Allow, "{command}");
    }
    for command in [
        "rm a >  b",
        "npm",
        "npm testing",
        "npm run test",
        "npm test && rm a",
        "npm test | tee a",
        "npm test > a",
        "npm test 2>&1",
        "npm test $X",
        "npm test `id`",
        "npm test &",
        "npm test;",
        "npm test\nrm a",
        "X=1 npm test",
        "npm t?st",
        "npm test '&& rm a'",
        "npm test --script-shell=sh",
        "npm test --prefix /tmp",
        "npm test ../x",
        "npm test $(id)",
        "cargo run",
        "cargo run -- x",
        "make check SHELL=sh",
        "python3 -m pytest -p x",
        "python3 -m http.server",
        "bash a",
    ] {
        assert!(matches!(run(command, &rules), Verdict::Ask { .. }), "{command}");
    }
    let elsewhere = decide(&bash("npm test"), Mode::AskCommands, &rules, workspace_at("/home/me/other"));
    assert!(matches!(elsewhere, Verdict::Ask { .. }));
}

#[test]
fn tools_and_modes() {
    let all = json!({"command": "rm a", "path": "p", "content": "", "old_text": "a", "new_text": "b", "task_id": "t", "text": "x"});
    let asked = |name: &str, mode: Mode, rules: &[Rule]| {
        decide(&ToolCall::parse(name, &all).unwrap(), mode, rules, workspace_at(HOME)) != Verdict::Allow
    };
    for (name, expected) in [
        ("bash", [true, true, false]),
        ("read_file", [false; 3]),
        ("write_file", [true, false, false]),
        ("edit_file", [true, false, false]),
        ("background_run", [true, true, false]),
        ("check_background", [false; 3]),
        ("stop_background", [false; 3]),
        ("send_input", [true, true, false]),
    ] {
        assert_eq!(
            [Mode::AskAll, Mode::AskCommands, Mode::Auto].map(|mode| asked(name, mode, &[])),
            expected,
            "{name}"
        );
    }
    let edits = Rule::Edits { workspace: HOME.to_owned() };
    assert!(!asked("write_file", Mode::AskAll, std::slice::from_ref(&edits)));
    assert!(asked("bash", Mode::AskAll, std::slice::from_ref(&edits)));
    assert!(asked("write_file", Mode::AskAll, &[Rule::Edits { workspace: "/other".to_owned() }]));
    for path in
        [".git/config", "a/.GIT/hooks/x", "./.git/config", ".envrc", ".github/workflows/ci.yml", ".bashrc"]
    {
        for (name, rest) in
            [("write_file", json!({})), ("edit_file", json!({"old_text": "a", "new_text": "b"}))]
        {
            let mut input = json!({"path": path, "content": ""});
            input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            let call = ToolCall::parse(name, &input).unwrap();
            for mode in [Mode::AskAll, Mode::AskCommands] {
                let verdict = decide(&call, mode, std::slice::from_ref(&edits), workspace_at(HOME));
                assert!(
                    matches!(&verdict, Verdict::Ask { always, dangers, .. } if always.is_empty() && !dangers.is_empty()),
                    "{path}: {verdict:?}"
                );
            }
            assert_eq!(decide(&call, Mode::Auto, &[], workspace_at(HOME)), Verdict::Allow);
        }
    }
    let wide = Workspace { path: "/home/me", wide: Some("It is your home folder.") };
    let call = ToolCall::parse("write_file", &json!({"path": "a", "content": ""})).unwrap();
    let rule = Rule::Edits { workspace: "/home/me".to_owned() };
    let verdict = decide(&call, Mode::AskCommands, &[rule], wide);
    assert!(
        matches!(verdict, Verdict::Ask { always, reason, .. } if always.is_empty() && reason.contains("home folder"))
    );
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Commands made of what is dangerous, what is harmless, and quotes around both.
    fn command() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "npm",
            "test",
            "echo",
            "ls",
            "cat",
            "git",
            "rm",
            "a",
            "-o",
            "/",
            "..",
            "x=1",
            " ",
            " ",
            " ",
            "\t",
            "\n",
            ";",
            "&",
            "&&",
            "|",
            "||",
            ">",
            ">>",
            "<",
            "2>&1",
            ">/dev/null",
            "&>",
            "$",
            "$(",
            "${",
            "(",
            ")",
            "{",
            "}",
            "`",
            "'",
            "\"",
            "\\",
            "#",
            "*",
            "!",
            "é",
            "\r",
            "~",
        ]);
        prop_oneof![
            prop::collection::vec(piece.clone(), 0..10).prop_map(|pieces| pieces.concat()),
            prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("npm test {}", pieces.concat())),
        ]
    }

    /// What stands outside of quotes, told by another and simpler reading; within double quotes `$` and
    /// backquotes still count.
    fn bare(command: &str) -> Option<String> {
        let (mut bare, mut signs, mut within) = (String::new(), command.chars(), None);
        while let Some(sign) = signs.next() {
            match (within, sign) {
                (Some('\''), '\'') | (Some('"'), '"') => within = None,
                (None, '\'' | '"') => {
                    bare.push('q');
                    within = Some(sign);
                }
                (None | Some('"'), '\\') => {
                    signs.next()?;
                    bare.push('q');
                }
                // `$?` is a number, and before a quote's end it is only a sign.
                (Some('"'), '$') if signs.as_str().starts_with(['?', '"', ' ', '|', ')', '\\']) => {}
                (Some('"'), '$' | '`') | (None, _) => bare.push(sign),
                _ => {}
            }
        }
        within.is_none().then_some(bare)
    }

    fn without_comments(bare: &str) -> String {
        let (mut kept, mut comment) = (String::new(), false);
        for sign in bare.chars() {
            let begins = kept.is_empty() || kept.ends_with([' ', '\t', '\n', ';', '|', '&']);
            comment = sign != '\n' && (comment || (sign == '#' && begins));
            if !comment {
                kept.push(sign);
            }
        }
        kept
    }

    /// Without what is discarded, joined streams, and `&&`.
    fn without_allowed(bare: &str) -> String {
        let mut bare = format!("{bare}\n").replace('\t', " ").replace(">>", ">");
        for after in [' ', '\n', ';', '|', '&'] {
            bare = bare.replace(&format!("${after}"), &after.to_string());
        }
        while bare.contains("> ") {
            bare = bare.replace("> ", ">");
        }
        ["2>&1", ">&1", ">&2", "&>/dev/null", ">/dev/null", "&&", "{}"]
            .iter()
            .fold(bare, |bare, allowed| bare.replace(allowed, " "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn no_forbidden_sign_is_let_through(command in command()) {
            let rules = [prefix("npm test"), prefix("git"), prefix("echo")];
            if run(&command, &[]) == Verdict::ReadOnly {
                let bare = bare(&command).expect("quotes are closed");
                let bare = without_allowed(&without_comments(&bare));
                prop_assert!(!bare.contains(['$', '`', '(', ')', '{', '}', '<', '>', '&', '\r']), "{bare:?}");
            } else if run(&command, &rules) == Verdict::Allow {
                let bare = without_comments(&bare(&command).expect("quotes are closed"));
                let bare = format!("{bare} ").replace("$ ", " ").replace("{}", "");
                prop_assert!(
                    !bare.contains(['$', '`', '(', ')', '{', '}', '<', '>', '&', '|', ';', '\n', '\r']),
                    "{bare:?}"
                );
            }
        }

        #[test]
        fn nothing_panics_and_exact_is_exact(command in ".*", other in ".*") {
            prop_assert_eq!(run(&command, &[exact(&command)]), Verdict::Allow);
            prop_assert_eq!(run(&command, &[exact(&other)]) == Verdict::Allow, command == other);
        }
    }
}

fn bash(command: &str) -> ToolCall {
    ToolCall::parse("bash", &json!({"command": command})).unwrap()
}

fn run(command: &str, rules: &[Rule]) -> Verdict {
    decide(&bash(command), Mode::AskCommands, rules, workspace_at(HOME))
}

fn exact(command: &str) -> Rule {
    Rule::Exact { command: command.to_owned(), workspace: HOME.to_owned() }
}

fn prefix(words: &str) -> Rule {
    Rule::Prefix { prefix: words.split_whitespace().map(str::to_owned).collect(), workspace: HOME.to_owned() }
}
