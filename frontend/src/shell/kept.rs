//! What all tabs of this origin share at once: settings, the key for direct calls, the runner's credential.
//!
//! It lies in `localStorage`, which is per origin with its port, and changes elsewhere come as `storage` events. Key and
//! credential are read where they are used, never kept in a state, never shown, never sent but to where they belong.

use agent::settings::{Rule, Settings};
use shared::SessionId;
use shared::json;
use web_sys::Storage;

use super::js::{window, words};

/// Where the settings are.
pub(super) const SETTINGS: &str = "meanwhile.settings";
/// Where the key for direct calls is.
pub(super) const KEY: &str = "meanwhile.key";
/// Where a tab's new session is.
const BEGUN: &str = "meanwhile.begun";
/// Where the credential for the runner is.
pub(super) const CREDENTIAL: &str = "meanwhile.credential";

/// The settings as saved, with defaults for what is missing or cannot be read.
pub(super) fn settings() -> Settings {
    let saved = get(SETTINGS).and_then(|text| json::from_text(&text).ok()).unwrap_or_default();
    Settings { has_key: key().is_some(), ..saved }
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

/// The key for direct calls.
pub(super) fn key() -> Option<String> {
    get(KEY).filter(|key| is_plain(key))
}

/// Keeps a key for direct calls.
pub(super) fn save_key(key: &str) -> Result<(), String> {
    let key = key.trim();
    if !is_plain(key) {
        return Err("a key is one word of plain letters, digits and signs: please copy it again".to_owned());
    }
    put(KEY, key)
}

/// Forgets the key.
pub(super) fn forget_key() {
    remove(KEY);
}

/// The credential for the runner.
pub(super) fn credential() -> Option<String> {
    get(CREDENTIAL).filter(|credential| is_plain(credential))
}

/// Keeps a credential.
pub(super) fn save_credential(credential: &str) -> Result<(), String> {
    put(CREDENTIAL, credential)
}

/// The session that this tab began and in which nothing was said yet: it is in no list, and is still this browser's after a reload.
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

/// Whether a text can stand in a header.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn storage() -> Result<Storage, String> {
    let none = || "this browser keeps nothing for this page".to_owned();
    window().local_storage().map_err(|exception| words(&exception))?.ok_or_else(none)
}

fn get(name: &str) -> Option<String> {
    storage().ok()?.get_item(name).ok()?
}

fn put(name: &str, text: &str) -> Result<(), String> {
    storage()?.set_item(name, text).map_err(|exception| words(&exception))
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
