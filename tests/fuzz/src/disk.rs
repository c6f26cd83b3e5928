//! The file tools with paths and texts from a model, and the store's file as a disk may spoil it.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use runner::files::Files;
use runner::state_dir::StateDir;
use runner::store::{Client, Store};
use shared::{ClientId, Timestamp};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::choice;

const SECRET: &str = "what lies outside";

struct Fixture {
    runtime: Runtime,
    files: Files,
    folder: TempDir,
}

fn fixture() -> &'static Mutex<Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        fs::write(folder.path().join("outside"), SECRET).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Mutex::new(Fixture { runtime, files: Files::open(&work).unwrap(), folder })
    })
}

/// The workspace as each input finds it, with ways out of it.
fn furnish(work: &Path) {
    let links = [("file", "../outside"), ("folder", ".."), ("root", "/proc/self/root"), ("loop", "loop")];
    for (name, to) in links {
        let path = work.join(name);
        if fs::read_link(&path).is_err() {
            let _replaced = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            std::os::unix::fs::symlink(to, path).unwrap();
        }
    }
    let _there = fs::create_dir_all(work.join("a/b"));
    let _folder = fs::write(work.join("a/text"), "one\ntwo\n");
}

/// A choice, a path up to a zero, and a text. Nothing outside is read or changed.
pub(crate) fn files(bytes: &[u8]) {
    let (choice, rest) = choice(bytes);
    let text = String::from_utf8_lossy(rest);
    let (path, text) = text.split_once('\0').unwrap_or((&text, ""));
    let fixture = fixture().lock().unwrap_or_else(PoisonError::into_inner);
    let (work, outside) = (fixture.folder.path().join("work"), fixture.folder.path().join("outside"));
    furnish(&work);
    let files = &fixture.files;
    fixture.runtime.block_on(async {
        let path = path.to_owned();
        match choice % 3 {
            0 => {
                let read = files.read(path, Some(1), None).await;
                assert!(!read.is_ok_and(|read| read.text.contains(SECRET)), "it was read");
            }
            1 => drop(files.write(path, text.to_owned()).await),
            _ => drop(files.edit(path, "o".to_owned(), text.to_owned()).await),
        }
    });
    assert_eq!(fs::read_to_string(outside).unwrap(), SECRET, "it was changed");
    let left: Vec<_> =
        fs::read_dir(fixture.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "something was made outside: {left:?}");
}

pub(crate) fn file_seeds() -> Vec<Vec<u8>> {
    let paths = [
        "a/text",
        "a/b/new",
        "file",
        "folder/outside",
        "root/etc/hostname",
        "loop",
        "../outside",
        "/etc/hostname",
        "a/../../outside",
        "./a/./text",
        "a/b/../../../outside",
        "folder/new",
        "~",
        "a//text",
        "a/text/",
    ];
    let seed = |(choice, path): (u8, &&str)| [&[choice], path.as_bytes(), b"\0text to write\n"].concat();
    (0..3).flat_map(|choice| paths.iter().map(move |path| (choice, path))).map(seed).collect()
}

/// Whatever the file holds, the store opens, anew if need be, or says why not.
pub(crate) fn store(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    runner::fuzzing::store(&folder.path().join("state"), bytes);
}

pub(crate) fn store_seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let store = Store::open(&state).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        for number in 0..20 {
            let id = ClientId(uuid::Uuid::from_u128(number));
            let client = Client {
                id,
                name: "a page".into(),
                created: Timestamp(1),
                seen: None,
                revoked: None,
                key: (number % 2 == 0).then_some([4; 65]),
                paired_by: (number > 9).then(|| ClientId(uuid::Uuid::from_u128(number - 1))),
            };
            store.add_client(client, [u8::try_from(number).unwrap(); 32]).await.unwrap();
        }
    });
    store.close();
    let path = state.path().join("meanwhile.db");
    // What a real task leaves, as a later life finds it.
    let event = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/frames/server.event.ended.json"),
    );
    let event: serde_json::Value = serde_json::from_str(&event.unwrap()).unwrap();
    let (event, task) = (&event["event"], &event["event"]["task"]);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let session = uuid::Uuid::from_u128(1).into_bytes();
    connection.execute("INSERT INTO sessions VALUES (?1, 1, 0)", [session.as_slice()]).unwrap();
    connection
        .execute(
            "INSERT INTO outbox VALUES (?1, 1, ?2)",
            rusqlite::params![session.as_slice(), event.to_string()],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO tasks (id, op, session, command, task, active) VALUES ('3d76fad9', x'01', ?1, 'true', ?2, 0)",
            rusqlite::params![session.as_slice(), task.to_string()],
        )
        .unwrap();
    drop(connection);
    vec![fs::read(path).unwrap(), Vec::new()]
}
