//! The file tools against a real folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use runner::files::Files;
use shared::ProblemCode;
use tempfile::TempDir;

fn workspace() -> (TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ws")).unwrap();
    fs::write(folder.path().join("secret"), "secret\n").unwrap();
    let files = Files::open(&folder.path().join("ws")).unwrap();
    (folder, files)
}

#[tokio::test]
async fn lines_are_read_from_an_offset() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), "1\n2\n3\n4").unwrap();
    let text = files.read("a".into(), Some(2), Some(2)).await.unwrap();
    assert_eq!((text.text.as_str(), text.first_line, text.total_lines, text.more), ("2\n3\n", 2, 4, true));
    let rest = files.read("a".into(), Some(4), None).await.unwrap();
    assert_eq!((rest.text.as_str(), rest.more), ("4", false));
}

#[tokio::test]
async fn an_empty_file_has_no_lines() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), "").unwrap();
    let text = files.read("a".into(), None, None).await.unwrap();
    assert_eq!((text.text.as_str(), text.total_lines, text.more), ("", 0, false));
}

#[tokio::test]
async fn a_read_ends_at_its_bound_and_says_that_there_is_more() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), "0123456789abcde\n".repeat(20_000)).unwrap();
    let text = files.read("a".into(), None, None).await.unwrap();
    assert_eq!((text.text.len(), text.total_lines, text.more), (256 * 1024, 20_000, true));
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_by_its_number() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), format!("short\n{}\nlast\n", "x".repeat(300_000))).unwrap();
    let problem = files.read("a".into(), Some(2), None).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::TooLarge);
    assert!(problem.message.contains("Line 2"), "{problem}");
    assert_eq!(files.read("a".into(), Some(3), None).await.unwrap().text, "last\n");
}

#[tokio::test]
async fn an_absolute_path_inside_is_the_same_file() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), "x").unwrap();
    let path = folder.path().canonicalize().unwrap().join("ws/a");
    assert_eq!(files.read(path.to_str().unwrap().into(), None, None).await.unwrap().text, "x");
}

#[tokio::test]
async fn no_spelling_leads_out() {
    let (folder, files) = workspace();
    let secret = folder.path().join("secret");
    symlink(&secret, folder.path().join("ws/link")).unwrap();
    symlink("../secret", folder.path().join("ws/relative")).unwrap();
    symlink("..", folder.path().join("ws/up")).unwrap();
    symlink("/proc/self/root", folder.path().join("ws/root")).unwrap();
    let spellings = [
        secret.to_str().unwrap().to_owned(),
        "../secret".into(),
        "a/../../secret".into(),
        "link".into(),
        "relative".into(),
        "up/secret".into(),
        format!("root{}", secret.display()),
        format!("{}/../secret", folder.path().join("ws").display()),
    ];
    for path in spellings {
        let read = files.read(path.clone(), None, None).await.unwrap_err();
        assert_eq!(read.code, ProblemCode::OutsideWorkspace, "{path}: {read}");
        let written = files.write(path.clone(), "taken".into()).await.unwrap_err();
        assert_eq!(written.code, ProblemCode::OutsideWorkspace, "{path}: {written}");
    }
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret\n");
}

#[tokio::test]
async fn a_link_inside_is_written_through() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/real"), "old\n").unwrap();
    symlink("real", folder.path().join("ws/link")).unwrap();
    let change = files.write("link".into(), "new\n".into()).await.unwrap();
    assert_eq!(change.path, "real");
    assert!(fs::symlink_metadata(folder.path().join("ws/link")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(folder.path().join("ws/real")).unwrap(), "new\n");
}

/// What runs by itself is changed only with an approval, whatever the path looks like.
#[tokio::test]
async fn no_spelling_hides_what_runs_by_itself() {
    let (folder, files) = workspace();
    let work = folder.path().join("ws");
    fs::create_dir_all(work.join(".git/hooks")).unwrap();
    fs::write(work.join(".git/config"), "[core]\n").unwrap();
    symlink(".git", work.join("g")).unwrap();
    symlink(".git/config", work.join("c")).unwrap();
    symlink("g", work.join("h")).unwrap();
    fs::create_dir_all(work.join("sub/.github")).unwrap();
    fs::create_dir(work.join(".husky")).unwrap();
    symlink("sub/.github", work.join("gh")).unwrap();
    symlink(".husky", work.join("hooks")).unwrap();
    symlink("../.bashrc", work.join("sub/b")).unwrap();
    fs::write(work.join(".bashrc"), "[core]\n").unwrap();
    let absolute = work.join("g/config").display().to_string();
    for path in [
        "g/config",
        "c",
        "h/config",
        "g/hooks/pre-commit",
        "g/new/deep/file",
        "a/../g/config",
        "sub/../.git/config",
        ".GIT/config",
        ".git",
        "gh/workflows/ci.yml",
        "sub/../gh/./workflows/new/x.yml",
        "hooks/pre-commit",
        "sub/b",
        ".envrc",
        "sub/.vscode/tasks.json",
        "sub/.cargo/config.toml",
        "sub/Jenkinsfile",
        &absolute,
    ] {
        let written = files.write(path.into(), "[core]\n\tfsmonitor = x\n".into()).await.unwrap_err();
        let codes = [ProblemCode::NeedsApproval, ProblemCode::Malformed];
        assert!(codes.contains(&written.code), "{path}: {written}");
        let edited = files.edit(path.into(), "[core]".into(), "[x]".into()).await.unwrap_err();
        assert!(codes.contains(&edited.code), "{path}: {edited}");
    }
    let refused = files.write("g/config".into(), String::new()).await.unwrap_err();
    assert_eq!(refused.code, ProblemCode::NeedsApproval);
    assert!(refused.message.contains(".git/config through a link"), "{refused}");
    assert_eq!(fs::read_to_string(work.join(".git/config")).unwrap(), "[core]\n");
    assert_eq!(fs::read_to_string(work.join(".bashrc")).unwrap(), "[core]\n");
    assert!(!work.join(".git/hooks/pre-commit").exists() && !work.join(".git/new").exists());
    assert!(!work.join("sub/.github/workflows").exists() && !work.join(".envrc").exists());
    let files = files.approved(true);
    files.write("g/config".into(), "[user]\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(work.join(".git/config")).unwrap(), "[user]\n");
    files.edit("sub/b".into(), "[core]".into(), "[x]".into()).await.unwrap();
    files.write("sub/.github/workflows/ci.yml".into(), "a\n".into()).await.unwrap();
}

/// A folder is a repository by what lies in it: whichever of its parts comes last, and its settings after
/// that, are asked for.
#[tokio::test]
async fn no_repository_is_made_of_its_parts() {
    let parts = ["docs/HEAD", "docs/config", "docs/objects/x", "docs/refs/x"];
    for last in 0..parts.len() {
        let (_folder, files) = workspace();
        let order = parts.iter().cycle().skip(last + 1).take(parts.len());
        let mut refused = Vec::new();
        for path in order {
            if let Err(problem) = files.write((*path).to_owned(), "x\n".into()).await {
                assert_eq!(problem.code, ProblemCode::NeedsApproval, "{path}: {problem}");
                refused.push(*path);
            }
        }
        assert!(!refused.is_empty(), "{}", parts[last]);
    }
    let (folder, files) = workspace();
    let made = folder.path().join("ws/made");
    fs::create_dir_all(made.join("objects")).unwrap();
    fs::create_dir_all(made.join("refs")).unwrap();
    fs::write(made.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    for path in
        ["made/config", "made/hooks/pre-commit", "made/HEAD", "made/commondir", "made/info/attributes"]
    {
        let problem = files.write(path.into(), "x\n".into()).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::NeedsApproval, "{path}");
        assert!(problem.message.contains("repository"), "{problem}");
    }
    files.write("made/notes".into(), "x\n".into()).await.unwrap();
    files.write("other/config".into(), "x\n".into()).await.unwrap();
    files.approved(true).write("made/config".into(), "x\n".into()).await.unwrap();
}

#[tokio::test]
async fn in_a_wide_workspace_each_change_is_allowed_first() {
    let (folder, _) = workspace();
    let files = Files::open_as(&folder.path().join("ws"), Some("It is your home folder.".into())).unwrap();
    let problem = files.write("a".into(), "x\n".into()).await.unwrap_err();
    assert_eq!(
        (problem.code, problem.message.as_str()),
        (ProblemCode::NeedsApproval, "It is your home folder.")
    );
    files.approved(true).write("a".into(), "x\n".into()).await.unwrap();
    assert_eq!(files.read("a".into(), None, None).await.unwrap().text, "x\n");
}

#[tokio::test]
async fn binary_and_foreign_encodings_are_refused_with_a_message() {
    let (folder, files) = workspace();
    for (name, bytes, word) in [
        ("zero", &b"a\0b"[..], "binary"),
        ("utf16", b"\xff\xfea\0", "UTF-16"),
        ("latin", b"caf\xe9\n", "UTF-8"),
    ] {
        fs::write(folder.path().join("ws").join(name), bytes).unwrap();
        let problem = files.read(name.into(), None, None).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::NotText);
        assert!(problem.message.contains(word), "{problem}");
        let problem = files.edit(name.into(), "a".into(), "b".into()).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::NotText, "{problem}");
        assert_eq!(fs::read(folder.path().join("ws").join(name)).unwrap(), bytes);
    }
}

#[tokio::test]
async fn folders_and_pipes_are_no_files() {
    let (folder, files) = workspace();
    fs::create_dir(folder.path().join("ws/d")).unwrap();
    let pipe = folder.path().join("ws/p");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in ["d", "p"] {
        assert_eq!(
            files.read(path.into(), None, None).await.unwrap_err().code,
            ProblemCode::NotText,
            "{path}"
        );
        assert_eq!(
            files.write(path.into(), "x".into()).await.unwrap_err().code,
            ProblemCode::NotText,
            "{path}"
        );
    }
}

#[tokio::test]
async fn writing_makes_folders_and_tells_the_diff() {
    let (folder, files) = workspace();
    let change = files.write("a/b/c.txt".into(), "one\ntwo\n".into()).await.unwrap();
    assert_eq!(
        (change.path.as_str(), change.created, change.added, change.removed),
        ("a/b/c.txt", true, 2, 0)
    );
    assert!(change.diff.starts_with("--- /dev/null\n+++ b/a/b/c.txt\n@@ "), "{}", change.diff);
    assert_eq!(fs::read_to_string(folder.path().join("ws/a/b/c.txt")).unwrap(), "one\ntwo\n");
}

#[tokio::test]
async fn a_change_keeps_the_mode_and_leaves_nothing_beside() {
    let (folder, files) = workspace();
    let path = folder.path().join("ws/run.sh");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    files.write("run.sh".into(), "#!/bin/sh\necho\n".into()).await.unwrap();
    files.edit("run.sh".into(), "echo".into(), "true".into()).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o750);
    assert_eq!(fs::read_dir(folder.path().join("ws")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_reader_never_sees_half_a_file() {
    let (folder, files) = workspace();
    let (one, two) = ("1".repeat(1_000_000), "2".repeat(2_000_000));
    files.write("a".into(), one.clone()).await.unwrap();
    let path = folder.path().join("ws/a");
    let expected = (one.clone(), two.clone());
    let reader = std::thread::spawn(move || {
        for _ in 0..200 {
            let seen = fs::read_to_string(&path).unwrap();
            assert!(seen == expected.0 || seen == expected.1, "{} bytes", seen.len());
        }
    });
    while !reader.is_finished() {
        files.write("a".into(), two.clone()).await.unwrap();
        files.write("a".into(), one.clone()).await.unwrap();
    }
    reader.join().unwrap();
}

#[tokio::test]
async fn an_edit_replaces_the_first_occurrence_alone() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), "x\ny\nx\n").unwrap();
    let change = files.edit("a".into(), "x".into(), "z".into()).await.unwrap();
    assert_eq!((change.created, change.added, change.removed), (false, 1, 1));
    assert_eq!(fs::read_to_string(folder.path().join("ws/a")).unwrap(), "z\ny\nx\n");
}

#[tokio::test]
async fn an_edit_that_does_not_match_says_what_is_near() {
    let (folder, files) = workspace();
    fs::write(folder.path().join("ws/a"), "  one\n  two\n").unwrap();
    let problem = files.edit("a".into(), "one\ntwo".into(), "z".into()).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::NoMatch);
    assert!(problem.message.contains("Line 1"), "{problem}");
}

#[tokio::test]
async fn edits_at_once_lose_nothing() {
    let (folder, files) = workspace();
    let all: String = (0..20).fold(String::new(), |all, number| all + &format!("<{number}>\n"));
    fs::write(folder.path().join("ws/a"), all).unwrap();
    let edits: Vec<_> = (0..20)
        .map(|number| {
            let files = files.clone();
            tokio::spawn(
                async move { files.edit("a".into(), format!("<{number}>"), format!("[{number}]")).await },
            )
        })
        .collect();
    for edit in edits {
        edit.await.unwrap().unwrap();
    }
    let expected: String = (0..20).fold(String::new(), |all, number| all + &format!("[{number}]\n"));
    assert_eq!(fs::read_to_string(folder.path().join("ws/a")).unwrap(), expected);
}

#[tokio::test]
async fn too_much_is_refused_and_a_long_diff_is_cut() {
    let (folder, files) = workspace();
    let problem = files.write("a".into(), "x".repeat(4 * 1024 * 1024 + 1)).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::TooLarge);
    assert!(!folder.path().join("ws/a").exists());
    fs::write(folder.path().join("ws/long"), "x".repeat(4 * 1024 * 1024 + 1)).unwrap();
    let problem = files.edit("long".into(), "x".into(), "y".into()).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::TooLarge, "{problem}");
    let change = files.write("a".into(), "line\n".repeat(100_000)).await.unwrap();
    assert!(change.diff.len() <= 32 * 1024, "{}", change.diff.len());
    assert!(change.diff.ends_with("more lines)\n"), "{}", &change.diff[change.diff.len() - 40..]);
    assert_eq!(change.added, 100_000);
}

/// A write through a handle on the old folder would say "Created", and be gone with that.
#[tokio::test]
async fn a_workspace_that_is_renamed_and_made_anew_is_the_new_one() {
    let (folder, files) = workspace();
    let (ws, old) = (folder.path().join("ws"), folder.path().join("ws.old"));
    files.write("kept".into(), "old\n".into()).await.unwrap();
    fs::rename(&ws, &old).unwrap();
    for _ in 0..2 {
        let problem = files.write("a".into(), "x\n".into()).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::System);
        assert!(problem.message.contains("no longer there"), "{problem}");
    }
    assert!(!old.join("a").exists());
    fs::create_dir(&ws).unwrap();
    files.write("a".into(), "x\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(ws.join("a")).unwrap(), "x\n");
    assert_eq!(files.read("kept".into(), None, None).await.unwrap_err().code, ProblemCode::NotFound);
    fs::remove_dir_all(&old).unwrap();
    files.edit("a".into(), "x".into(), "y".into()).await.unwrap();
    assert_eq!(files.read("a".into(), None, None).await.unwrap().text, "y\n");
    // And back, and a third one.
    fs::rename(&ws, &old).unwrap();
    fs::create_dir(&ws).unwrap();
    assert_eq!(files.read("a".into(), None, None).await.unwrap_err().code, ProblemCode::NotFound);
    fs::remove_dir(&ws).unwrap();
    fs::rename(&old, &ws).unwrap();
    assert_eq!(files.read("a".into(), None, None).await.unwrap().text, "y\n");
}

#[tokio::test]
async fn a_workspace_that_becomes_a_link_leads_nowhere() {
    let (folder, files) = workspace();
    let ws = folder.path().join("ws");
    fs::remove_dir(&ws).unwrap();
    symlink(folder.path(), &ws).unwrap();
    let problem = files.read("secret".into(), None, None).await.unwrap_err();
    assert!(problem.message.contains("a link to"), "{problem}");
}

#[tokio::test]
async fn an_edit_keeps_the_line_ends_of_the_file() {
    let (folder, files) = workspace();
    let path = folder.path().join("ws/a");
    fs::write(&path, "one\r\ntwo\r\n").unwrap();
    files.edit("a".into(), "two".into(), "2\n3".into()).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\r\n2\r\n3\r\n");
    files.edit("a".into(), "one\r\n2\r\n".into(), "1\n\n2\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\r\n\r\n2\r\n3\r\n");
    files.edit("a".into(), "2\n3\n".into(), "4\r\n5\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\r\n\r\n4\r\n5\r\n");
}

#[tokio::test]
async fn a_file_that_is_written_anew_keeps_its_line_ends_and_that_is_said() {
    let (folder, files) = workspace();
    let path = folder.path().join("ws/a");
    fs::write(&path, "one\r\ntwo\r\n").unwrap();
    let change = files.write("a".into(), "one\n2\nthree\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\r\n2\r\nthree\r\n");
    assert_eq!((change.added, change.removed), (2, 1), "what is the same is no change: {}", change.diff);
    assert!(change.note.is_some_and(|note| note.contains("\\r\\n")), "it is said");
    let change = files.write("a".into(), "1\r\n2\r\n".into()).await.unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), change.note), ("1\r\n2\r\n", None));
    for (old, new) in [("1\r\n2\n", "1\n2\n"), ("1\n2\n", "1\r\n2\r\n"), ("1", "1\n2\n")] {
        fs::write(&path, old).unwrap();
        let change = files.write("a".into(), new.into()).await.unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), change.note), (new, None), "{old:?}");
    }
    // The most that may be written is meant of what is written.
    fs::write(&path, "1\r\n").unwrap();
    let problem = files.write("a".into(), "x\n".repeat(2 * 1024 * 1024)).await.unwrap_err();
    assert_eq!(problem.code, ProblemCode::TooLarge);
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\r\n");
}

/// Whatever moment a named pipe comes to a file's place: nobody reads or writes there, and opening it would
/// wait for ever.
#[test]
fn a_named_pipe_that_is_swapped_in_blocks_nothing() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let (folder, files) = workspace();
    let ws = folder.path().join("ws");
    let over = Arc::new(AtomicBool::new(false));
    let swapping = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut swaps = 0_u32;
            while !over.load(Ordering::Relaxed) {
                fs::write(ws.join("file"), "one\n").unwrap();
                fs::rename(ws.join("file"), ws.join("a")).unwrap();
                let pipe = ws.join("pipe");
                let made = rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &pipe,
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RWXU,
                    0,
                );
                made.unwrap();
                fs::rename(pipe, ws.join("a")).unwrap();
                swaps += 1;
            }
            swaps
        })
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut done, mut refused) = (0, 0);
    let begun = std::time::Instant::now();
    while (done < 50 || refused < 50) && begun.elapsed().as_secs() < 20 {
        let all = async {
            let write = files.write("a".into(), "two\n".into()).await.map(drop);
            let edit = files.edit("a".into(), "one".into(), "two".into()).await.map(drop);
            let read = files.read("a".into(), None, None).await.map(drop);
            [write, edit, read]
        };
        let patience = std::time::Duration::from_secs(10);
        let Ok(outcomes) = runtime.block_on(async { tokio::time::timeout(patience, all).await }) else {
            // What is blocked stays so; nobody waits for it.
            std::mem::forget(runtime);
            panic!("a named pipe is waited for");
        };
        done += outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        refused += outcomes.iter().filter(|outcome| outcome.is_err()).count();
    }
    over.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap();
    assert!(done > 0 && refused > 0 && swaps > 50, "it was tried: {done}, {refused}, {swaps}");
}
