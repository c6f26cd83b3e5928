//! Which sessions other tabs drive, and the list that follows from it.

use agent::effect::SessionSummary;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;

use super::{TabController, own_name};
use crate::shell::js::hidden;
use crate::shell::{local_storage, lock};
use crate::state::Sessions;

/// With what pause the locks are looked at again, in milliseconds.
const LOOK_AGAIN: u32 = 1_000;

impl TabController {
    /// A lock goes only some time after a tab has given it up or has gone: while others hold any, it is
    /// looked again.
    pub(super) async fn look_at_locks(&self) {
        self.see_locks().await;
        if self.looking.replace(true) {
            return;
        }
        while !hidden() && self.others_hold_any() {
            TimeoutFuture::new(LOOK_AGAIN).await;
            self.see_locks().await;
        }
        self.looking.set(false);
    }

    async fn see_locks(&self) {
        let held = lock::held().await;
        if *self.held.borrow() != held {
            self.held.replace(held);
            self.list();
        }
    }

    fn others_hold_any(&self) -> bool {
        let handles = self.handles.borrow();
        let drives = |session| handles.get(session).is_some_and(|handle| handle.leads());
        self.held.borrow().keys().any(|session| !drives(session))
    }

    /// Tells the page the list of sessions. One that no tab drives is not at work, whatever its last line
    /// said.
    pub(super) fn list(&self) {
        let held = self.held.borrow();
        let handles = self.handles.borrow();
        let own = own_name(&held, &handles);
        let here = |session| handles.get(session).is_some_and(|handle| handle.leads());
        let lines = self.summaries.borrow();
        let list = lines.values().map(|line| {
            let runs = held.contains_key(&line.session) || here(&line.session);
            SessionSummary {
                busy: line.busy && runs,
                running: if runs { line.running } else { 0 },
                ..line.clone()
            }
        });
        self.state.sessions.set(Sessions {
            list: list.collect(),
            current: self.shown.get(),
            elsewhere: held
                .iter()
                .filter(|(session, name)| Some(*name) != own && !here(session))
                .map(|(session, _)| *session)
                .collect(),
            here: handles.values().filter(|handle| handle.leads()).count(),
            deleted: local_storage::deleted(),
        });
    }
}
