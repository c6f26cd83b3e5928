//! What the tab does with sessions as they are kept: titles, deletion, logs, and the writing of lines and
//! drafts.

use agent::effect::SessionSummary;
use agent::event::Command;
use agent::record::Entry;
use agent::tabs;
use agent::view::Severity;
use leptos::prelude::*;
use shared::json;
use shared::{SessionId, TaskId};

use super::{Broadcast, TabController};
use crate::shell::session::SessionHandle;
use crate::shell::store::StoreError;
use crate::shell::{files, local_storage, lock};
use crate::terminal;
use crate::ui::{composer, dom};

impl TabController {
    /// Shows the session that an address names. Without its log it would begin anew under the same name, and
    /// take the results of the browser that has the log: so then another one is begun.
    pub(super) async fn visit(&self, session: SessionId) {
        match self.is_ours(session).await {
            Ok(true) => self.switch(session),
            Ok(false) => {
                self.switch(self.new_session());
                self.report_error(
                    "The address names a session whose log is not in this browser: it was begun in another one, or deleted. This is a new session.",
                );
            }
            Err(reason) => {
                // The address stays, so that a reload tries again.
                self.turn_to(self.new_session());
                self.report_error(&format!(
                    "Whether the session in the address is in this browser could not be looked up: {reason}. Reload this page to try again; this is a new session.",
                ));
            }
        }
    }

    async fn is_ours(&self, session: SessionId) -> Result<bool, StoreError> {
        let open =
            self.summaries.borrow().contains_key(&session) || self.handles.borrow().contains_key(&session);
        if open || self.is_begun_here(session) || lock::held().await.contains_key(&session) {
            return Ok(true);
        }
        self.store.knows(session).await
    }

    /// Gives a session a title: through its agent, if it is open here, otherwise through whoever may.
    pub(super) fn rename(&self, session: SessionId, title: String) {
        let open = self.handles.borrow().get(&session).cloned();
        match open {
            Some(handle) => handle.send(tabs::Event::Command(Command::Rename { title })),
            None => self.run_errand(session, tabs::Event::Retitle { title }),
        }
    }

    /// A session that is not open here has a new title in its log.
    pub(in crate::shell) fn titled(&self, session: SessionId, title: String) {
        let line = self.summaries.borrow().get(&session).cloned();
        match line {
            Some(line) => self.index(SessionSummary { title, ..line }),
            None => self.report_error("this session is not in the list any more"),
        }
    }

    /// Forgets a session, unless another tab leads it.
    pub(super) fn delete(&self, session: SessionId) {
        let open = self.handles.borrow().get(&session).cloned();
        match open {
            Some(handle) => handle.send(tabs::Event::Delete),
            None => self.run_errand(session, tabs::Event::Delete),
        }
    }

    /// Does something with a session that is not open here.
    fn run_errand(&self, session: SessionId, errand: tabs::Event) {
        if let Some(tab) = self.me.upgrade() {
            SessionHandle::new(&tab, session).send(errand);
        }
    }

    /// Removes what is kept of a session.
    pub(in crate::shell) async fn delete_kept(&self, session: SessionId) -> Result<(), String> {
        self.unwritten.borrow_mut().remove(&session);
        self.store.delete(session).await.map_err(|error| error.to_string())
    }

    /// Nothing is left of a session.
    pub(in crate::shell) fn gone(&self, session: SessionId) {
        local_storage::add_deleted(session);
        self.broadcast.post(&Broadcast::Gone { session });
        self.forget(session);
    }

    /// A session is no more.
    pub(super) fn forget(&self, session: SessionId) {
        self.summaries.borrow_mut().remove(&session);
        // What was still to be written would bring a part of it back.
        self.unwritten.borrow_mut().remove(&session);
        if self.shown.get() == Some(session) {
            self.switch(self.new_session());
        }
        self.drafts.borrow_mut().remove(&session);
        self.close(session);
        self.list();
    }

    /// The shown session's log: what is kept of it, and behind that what could not be kept.
    pub(super) async fn log(&self) -> Result<Vec<Entry>, String> {
        let (session, unsaved) = self.unsaved()?;
        let mut log = match self.store.log(session).await {
            Err(_) if begins(&unsaved) => Vec::new(),
            kept => kept.map_err(|error| error.to_string())?,
        };
        let last = log.last().map_or(0, |entry| entry.n);
        log.extend(unsaved.into_iter().filter(|entry| entry.n > last));
        Ok(log)
    }

    /// Looked up before what is kept, so that nothing falls between the two.
    fn unsaved(&self) -> Result<(SessionId, Vec<Entry>), String> {
        let session = self.shown.get().ok_or_else(|| "no session is open".to_owned())?;
        let handle = self.handles.borrow().get(&session).cloned();
        Ok((session, handle.map(|handle| handle.unsaved()).unwrap_or_default()))
    }

    pub(super) async fn export(&self) -> Result<(), String> {
        let (session, unsaved) = self.unsaved()?;
        let mut lines = match self.store.lines(session).await {
            Err(_) if begins(&unsaved) => Vec::new(),
            kept => kept.map_err(|error| error.to_string())?,
        };
        let last = lines.last().map_or(0, |(n, _)| *n);
        lines.extend(
            unsaved.iter().filter(|entry| entry.n > last).map(|entry| (entry.n, json::to_text(entry))),
        );
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        if lines.is_empty() {
            return Err("nothing was said in this session yet, so there is nothing to export".to_owned());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        files::download(&format!("meanwhile-{session}.jsonl"), "application/jsonl", text.as_bytes()).await
    }

    pub(super) async fn copy_log(&self, task: &TaskId) {
        let copied = match files::whole_log(&self.pairing, task).await {
            Ok(bytes) => dom::copy(&terminal::plain(&bytes)).await,
            Err(reason) => Err(reason),
        };
        match copied {
            Ok(()) => self.state.toast(Severity::Good, "copied".to_owned()),
            Err(reason) => self.report_error(&reason),
        }
    }

    /// Shows a task's whole log in a tab of its own; where the browser opens none, it is a download.
    pub(super) async fn open_log(&self, task: &TaskId) -> Result<(), String> {
        let log = terminal::plain(&files::whole_log(&self.pairing, task).await?);
        files::open(&format!("{task}.log"), log.as_bytes()).await
    }

    /// Offers a task's whole log as a download.
    pub(super) async fn save_log(&self, task: &TaskId) -> Result<(), String> {
        let log = terminal::plain(&files::whole_log(&self.pairing, task).await?);
        files::download(&format!("{task}.log"), files::TEXT, log.as_bytes()).await
    }

    /// The page may go before what is under way is written: what the person wrote is kept where that takes no
    /// time.
    pub(super) fn leave(&self) {
        for handle in self.handles.borrow().values() {
            // What it left the last time may be done by now.
            local_storage::forget_messages(handle.session, |left| left.from == handle.id);
            local_storage::leave_messages(handle.session, handle.left_messages());
        }
        if let Some(session) = self.shown.get() {
            let draft = self.written();
            if *self.kept_draft.borrow() == draft {
                let _ = local_storage::take_draft(session);
            } else {
                local_storage::leave_draft(session, &draft);
            }
        }
    }

    /// Puts the draft that is kept of the shown session into the box, in front of what was written meanwhile.
    pub(super) async fn bring_draft(&self, session: SessionId) {
        let kept = self.store.draft(session).await;
        if self.shown.get() != Some(session) {
            return;
        }
        let left = local_storage::take_draft(session);
        let is_left = left.is_some();
        // What could not be read is not written over before somebody writes.
        let Some(draft) = left.or_else(|| kept.clone().ok()) else { return };
        self.kept_draft.replace(kept.unwrap_or_default());
        let written = self.written();
        if draft.is_empty() || draft == written {
            // That it was emptied may not be written yet.
            if is_left {
                self.save_draft(session, written);
            }
            return;
        }
        let joins = !written.is_empty();
        let text = if joins { format!("{draft}\n\n{written}") } else { draft };
        self.state.draft.set(text.clone());
        if is_left || joins {
            self.save_draft(session, text);
        }
    }

    /// Messages that nobody took are the person's again: they stand in front of the session's draft.
    pub(in crate::shell) fn restore_messages(&self, session: SessionId, messages: Vec<String>) {
        if messages.is_empty() {
            return;
        }
        let before = |draft: String| {
            let parts = messages.iter().cloned().chain((!draft.is_empty()).then_some(draft));
            parts.collect::<Vec<_>>().join("\n\n")
        };
        if self.shown.get() == Some(session) {
            let text = before(self.written());
            self.state.draft.set(text.clone());
            return self.save_draft(session, text);
        }
        let unwritten = self.drafts.borrow().get(&session).cloned();
        if let Some(draft) = unwritten {
            return self.save_draft(session, before(draft));
        }
        self.start(|tab| async move {
            let kept = tab.store.draft(session).await.unwrap_or_default();
            // It is in the box by now, or waits to be written.
            if tab.shown.get() == Some(session) || tab.drafts.borrow().contains_key(&session) {
                return tab.restore_messages(session, messages);
            }
            let parts = messages.into_iter().chain((!kept.is_empty()).then_some(kept));
            tab.save_draft(session, parts.collect::<Vec<_>>().join("\n\n"));
        });
    }

    pub(super) fn save_draft(&self, session: SessionId, text: String) {
        self.drafts.borrow_mut().insert(session, text);
        self.write_on();
    }

    /// The draft as it stands in the box.
    pub(super) fn written(&self) -> String {
        composer::written().unwrap_or_else(|| self.state.draft.get_untracked())
    }

    /// The page did not go: what it has under way it goes on with.
    pub(super) fn come_back(&self) {
        for (session, handle) in &*self.handles.borrow() {
            local_storage::forget_messages(*session, |left| left.from == handle.id);
        }
        if let Some(session) = self.shown.get() {
            let _ = local_storage::take_draft(session);
        }
    }

    /// Writes lines and drafts, one after the other and the newest only.
    pub(super) fn write_on(&self) {
        if self.writing.replace(true) {
            return;
        }
        self.start(|tab| async move {
            loop {
                let line = tab.unwritten.borrow_mut().pop_first();
                let draft = tab.drafts.borrow_mut().pop_first();
                if line.is_none() && draft.is_none() {
                    break;
                }
                // Without them the list and the draft are older at the next start; the log, which counts,
                // reports its own fate.
                if let Some((_, line)) = line {
                    let _ = tab.store.put_summary(&line).await;
                }
                let Some((session, text)) = draft else { continue };
                match tab.store.put_draft(session, &text).await {
                    Ok(()) if tab.shown.get() == Some(session) => drop(tab.kept_draft.replace(text)),
                    Ok(()) => {}
                    // The box has it while it is shown, and leaves it behind.
                    Err(_) if tab.shown.get() == Some(session) => {}
                    Err(_) => local_storage::leave_draft(session, &text),
                }
            }
            tab.writing.set(false);
        });
    }
}

/// Whether this is a log from its beginning on.
fn begins(log: &[Entry]) -> bool {
    log.first().is_some_and(|entry| entry.n == 1)
}
