//! What a person must allow first, as a client hears of it.

use std::os::unix::fs::symlink;

use serde_json::json;
use uuid::Uuid;

use crate::support::{Runner, left_out};

#[tokio::test]
async fn what_runs_by_itself_is_changed_only_with_an_approval_under_another_id() {
    let runner = Runner::start(&[]).await;
    std::fs::create_dir(runner.workspace().join(".git")).unwrap();
    symlink(".git", runner.workspace().join("g")).unwrap();
    let credential = runner.pair().await;
    let (mut socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
    assert_eq!(welcome.get("wide").cloned().unwrap_or_default(), json!(null));
    let write = json!({"op": "write_file", "path": "g/config", "content": "[core]\n"});
    let id = Uuid::new_v4().to_string();
    for _ in 0..2 {
        socket.request_as(&id, write.clone()).await;
        let reply = socket.reply(&id).await;
        assert_eq!(reply["err"]["code"], "needs_approval", "{reply}");
        assert!(reply["err"]["message"].as_str().unwrap().contains(".git/config through a link"), "{reply}");
    }
    assert!(!runner.workspace().join(".git/config").exists());
    let mut approved = write;
    approved["approved"] = json!(true);
    let reply = socket.ask(approved).await;
    assert_eq!(reply["created"], true, "{reply}");
    assert_eq!(std::fs::read_to_string(runner.workspace().join(".git/config")).unwrap(), "[core]\n");
}

#[tokio::test]
async fn a_workspace_that_is_the_home_folder_is_said_and_nothing_changes_there_unasked() {
    let sandboxes = async |runner: &Runner| {
        let credential = runner.pair().await;
        let (socket, welcome) = runner.lease(&credential, Uuid::new_v4()).await;
        (socket, welcome["sandboxes"].clone(), welcome)
    };
    let (_, elsewhere, _) = sandboxes(&Runner::start(&[]).await).await;
    if elsewhere == json!([]) {
        left_out("this system holds no command to reading, wherever the workspace lies");
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("workspace");
    std::fs::create_dir(&home).unwrap();
    let runner = Runner::start_in(folder, &[], &[("HOME", home.to_str().unwrap())]).await;
    let (mut socket, here, welcome) = sandboxes(&runner).await;
    assert_eq!(here, json!([]), "a command that reads the workspace would read the home folder");
    assert!(welcome["wide"].as_str().unwrap().contains("your home folder"), "{welcome}");
    assert!(runner.log().contains("The workspace is your home folder"), "{}", runner.log());
    let refused = socket.refused(json!({"op": "write_file", "path": "notes", "content": "x"})).await;
    assert_eq!(refused, "needs_approval");
    let edit = json!({"op": "write_file", "path": "notes", "content": "x", "approved": true});
    assert_eq!(socket.ask(edit).await["created"], true);
}
