//! What all tabs of this origin share at once: settings, the key for direct calls, that this browser was
//! paired anew, and what a page that was left had not written yet.
//!
//! It lies in `localStorage`, which is per origin with its port, and changes elsewhere come as `storage`
//! events. The key is read where it is used, never kept in a state, never shown, never sent but to where it
//! belongs.

use agent::model::Api;
use agent::settings::{Direct, Rule, Settings};
use agent::tabs::{UnsavedMessage, merge_left};
use gloo_utils::window;
use shared::SessionId;
use shared::json;
use web_sys::Storage;

use super::js::describe;

/// Where the settings are.
pub(super) const SETTINGS: &str = "meanwhile.settings";
/// Where the key for direct calls by the usual API is; another API's name follows.
const KEY: &str = "meanwhile.key";
/// Where a tab's new session is.
const BEGUN: &str = "meanwhile.begun";
/// Where it is noted which client this browser is, so that other tabs hear of a new one.
pub(super) const CLIENT: &str = "meanwhile.client";
/// Where earlier versions had a credential.
const CREDENTIAL: &str = "meanwhile.credential";

/// Which sessions were deleted.
const DELETED: &str = "meanwhile.deleted";
/// What was being written and what was sent when the page was left; a session's name follows.
const LEFT_DRAFT: &str = "meanwhile.left.draft";
const LEFT_MESSAGES: &str = "meanwhile.left.said";
/// How many deleted sessions are remembered.
const MOST_DELETED: usize = 200;

/// The settings as saved, with defaults for what is missing or cannot be read.
pub(super) fn settings() -> Settings {
    let saved: Settings = get(SETTINGS).and_then(|text| json::from_text(&text).ok()).unwrap_or_default();
    let mut settings = saved.of_all_sessions();
    for api in Api::ALL {
        let direct = Direct { has_key: key(api).is_some(), ..settings.direct(api) };
        if direct != settings.direct(api) {
            settings.set_direct(api, direct);
        }
    }
    settings
}

/// Keeps the settings.
pub(super) fn save_settings(settings: &Settings) -> Result<(), String> {
    put(SETTINGS, &json::to_text(settings))
}

/// Adds a rule to what is saved now, so that rules of other tabs stay.
pub(super) fn add_rule(rule: Rule) -> Result<(), String> {
    let mut settings = settings();
    if !settings.rules.contains(&rule) {
        settings.rules.push(rule);
    }
    save_settings(&settings)
}

/// Where an API's key is.
fn key_name(api: Api) -> String {
    if api.is_usual() { KEY.to_owned() } else { format!("{KEY}.{}", api.name()) }
}

/// Whether something is a key's place.
pub(super) fn is_key(name: &str) -> bool {
    Api::ALL.iter().any(|api| key_name(*api) == name)
}

/// The key for direct calls by an API.
pub(super) fn key(api: Api) -> Option<String> {
    get(&key_name(api)).filter(|key| is_plain(key))
}

/// Keeps a key for direct calls.
pub(super) fn save_key(api: Api, key: &str) -> Result<(), String> {
    let key = key.trim();
    if !is_plain(key) {
        return Err(
            "a key has no blanks, only plain letters, digits and signs: please copy it again".to_owned()
        );
    }
    put(&key_name(api), key)
}

/// Forgets the key.
pub(super) fn forget_key(api: Api) {
    remove(&key_name(api));
}

/// Notes which client this browser is.
pub(super) fn note_client(client: &str) {
    // Without it other tabs hear of it when their own is refused.
    let _ = put(CLIENT, client);
}

/// Forgets the credential of an earlier version, and says whether there was one.
pub(super) fn forget_credential() -> bool {
    let there = get(CREDENTIAL).is_some();
    remove(CREDENTIAL);
    there
}

/// The session that this tab began and in which nothing was said yet: it is in no list, and is still this
/// browser's after a reload.
pub(super) fn begun() -> Option<SessionId> {
    tab_storage()?.get_item(BEGUN).ok()??.parse().ok().map(SessionId)
}

/// Keeps or forgets that.
pub(super) fn set_begun(session: Option<SessionId>) {
    let Some(storage) = tab_storage() else { return };
    let _ = match session {
        Some(session) => storage.set_item(BEGUN, &session.to_string()),
        None => storage.remove_item(BEGUN),
    };
}

fn tab_storage() -> Option<Storage> {
    window().session_storage().ok()?
}

/// Sessions that were deleted in this browser, so that what they left running can be told from others'.
pub(super) fn deleted() -> Vec<SessionId> {
    get(DELETED).and_then(|text| json::from_text(&text).ok()).unwrap_or_default()
}

/// Remembers that a session was deleted, and forgets what else is left of it here.
pub(super) fn add_deleted(session: SessionId) {
    let mut deleted = deleted();
    deleted.push(session);
    let excess = deleted.len().saturating_sub(MOST_DELETED);
    deleted.drain(..excess);
    // Without it the session's tasks are another browser's.
    let _ = put(DELETED, &json::to_text(&deleted));
    remove(&name(LEFT_DRAFT, session));
    remove(&name(LEFT_MESSAGES, session));
}

/// Keeps the draft that was being written when the page was left.
pub(super) fn leave_draft(session: SessionId, text: &str) {
    // There is nobody left to tell.
    let _ = put(&name(LEFT_DRAFT, session), text);
}

/// The draft that was being written when the page was left, if it differs from what the store has. Gives it
/// once.
pub(super) fn take_draft(session: SessionId) -> Option<String> {
    take(&name(LEFT_DRAFT, session))
}

/// Keeps messages that were sent and may not be in the log yet, beside those that other pages left.
pub(super) fn leave_messages(session: SessionId, messages: Vec<UnsavedMessage>) {
    if !messages.is_empty() {
        let mut all = messages_of(session);
        merge_left(&mut all, messages);
        put_messages(session, &all);
    }
}

/// The messages that were sent when pages were left. Those without a number are given once; the others until
/// they are forgotten.
pub(super) fn read_messages(session: SessionId) -> Vec<UnsavedMessage> {
    let all = messages_of(session);
    forget_messages(session, |left| left.number == 0);
    all
}

/// Forgets some of them.
pub(super) fn forget_messages(session: SessionId, which: impl Fn(&UnsavedMessage) -> bool) {
    let mut all = messages_of(session);
    let before = all.len();
    all.retain(|left| !which(left));
    if all.is_empty() {
        remove(&name(LEFT_MESSAGES, session));
    } else if all.len() < before {
        put_messages(session, &all);
    }
}

/// Of which session messages lie under a key.
pub(super) fn session_of_messages(key: &str) -> Option<SessionId> {
    key.strip_prefix(LEFT_MESSAGES)?.strip_prefix('.')?.parse().ok().map(SessionId)
}

/// The same as [`read_messages`], and all stay where they are.
pub(super) fn messages_of(session: SessionId) -> Vec<UnsavedMessage> {
    get(&name(LEFT_MESSAGES, session)).and_then(|text| json::from_text(&text).ok()).unwrap_or_default()
}

fn put_messages(session: SessionId, messages: &[UnsavedMessage]) {
    // There is nobody left to tell.
    let _ = put(&name(LEFT_MESSAGES, session), &json::to_text(messages));
}

fn name(what: &str, session: SessionId) -> String {
    format!("{what}.{session}")
}

fn take(name: &str) -> Option<String> {
    let text = get(name)?;
    remove(name);
    Some(text)
}

/// Whether a text can stand in a header.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn storage() -> Result<Storage, String> {
    let none = || "this browser keeps nothing for this page".to_owned();
    window().local_storage().map_err(|exception| describe(&exception))?.ok_or_else(none)
}

fn get(name: &str) -> Option<String> {
    storage().ok()?.get_item(name).ok()?
}

fn put(name: &str, text: &str) -> Result<(), String> {
    storage()?.set_item(name, text).map_err(|exception| describe(&exception))
}

fn remove(name: &str) {
    if let Ok(storage) = storage() {
        let _ = storage.remove_item(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_header_is_plain() {
        for (text, plain) in
            [("sk-ant-09_x", true), ("", false), ("a b", false), ("a\n", false), ("schlüssel", false)]
        {
            assert_eq!(is_plain(text), plain, "{text:?}");
        }
    }
}
