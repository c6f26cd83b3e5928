//! What people do: speak, decide, reload, open the session elsewhere, set clocks, shut laptops, and lose what
//! they should have kept.

use std::collections::BTreeSet;

use agent::event::{Author, Command, Decision, LinkInput, ModelInput};
use agent::record::{Entry, Record};
use agent::{Effect, Event};
use shared::{OpId, Timestamp};

use super::{Browser, Happening, World};

/// No more pages are open at once.
const MOST_PAGES: usize = 3;

impl World {
    /// The person does something, unless their page stands still.
    pub(crate) fn user(&mut self, wish: Command) {
        self.event(Event::Command { author: Author::default(), command: wish });
    }

    /// Something happens to the person's page.
    pub(crate) fn event(&mut self, event: Event) {
        if self.page().frozen_until <= self.now {
            self.send(self.front, event);
        }
    }

    pub(crate) fn send_message(&mut self, steer: bool) {
        self.messages += 1;
        let text = format!("wish {}", self.messages);
        self.user(Command::QueueMessage { text, steer });
    }

    pub(crate) fn decide(&mut self) {
        if let Some((call, index)) = self.page().asked {
            let decision =
                if self.chance.one_in(4) { Decision::Deny { reason: String::new() } } else { Decision::Once };
            self.user(Command::Decide { call, index, decision });
        }
    }

    /// The page is loaded again: all that is not on the disk is gone.
    pub(crate) fn reload(&mut self) {
        let browser = self.page().browser;
        self.close(self.front);
        self.open(browser);
    }

    /// A page is closed. A transaction under way may or may not have been finished.
    fn close(&mut self, id: u64) {
        self.leave(id);
        let Some(at) = self.pages.iter().position(|page| page.id == id) else { return };
        let browser = self.pages.remove(at).browser;
        let mut pending: Vec<Vec<Entry>> = Vec::new();
        self.agenda.retain(|_, happening| match happening {
            Happening::Written { page, entries, fails } if *page == id => {
                pending.extend((!*fails).then(|| std::mem::take(entries)));
                false
            }
            other => other.page() != Some(id),
        });
        for entries in pending {
            let disk = &self.browsers[browser];
            let fits = entries[0].n <= disk.disk.len() as u64 + 1 && disk.claim == id;
            if fits && self.chance.one_in(2) {
                self.write(browser, &entries);
            }
        }
    }

    /// The page was told that another one runs the session.
    pub(super) fn fenced(&mut self, id: u64) {
        let now = Timestamp(self.now);
        let Some(page) = self.get_mut(id) else { return };
        page.pending.clear();
        let effects = page.agent.handle(now, Event::Fenced);
        let quiet = |effect: &Effect| {
            matches!(
                effect,
                Effect::Show(_) | Effect::CancelCall(_) | Effect::Disconnect { .. } | Effect::Alarm(None)
            )
        };
        assert!(effects.iter().all(quiet), "a page that is fenced off acts: {effects:?}");
        self.saw("a page that is fenced off late");
        self.close(id);
    }

    /// Another tab takes the session over: this page's agent does nothing from here on, and the other begins
    /// with what is on the disk.
    pub(crate) fn fence(&mut self) {
        if self.page().frozen_until > self.now {
            return;
        }
        let id = self.front;
        self.send(id, Event::Fenced);
        let message = Command::QueueMessage { text: "too late".to_owned(), steer: true };
        let closed = LinkInput::Closed { code: 1006, reason: String::new() };
        let now = self.now;
        if let Some(page) = self.get_mut(id) {
            let call = page.agent.session().call;
            for (n, event) in [
                Event::Tick,
                Event::Online,
                Event::Command { author: Author::default(), command: message },
                Event::Link { generation: page.socket.unwrap_or(0), input: closed },
                Event::Model { call, input: ModelInput::End },
            ]
            .into_iter()
            .enumerate()
            {
                let effects = page.agent.handle(Timestamp(now + 10_000 * n as u64), event);
                let acts = effects.iter().any(|effect| !matches!(effect, Effect::Show(_)));
                assert!(!acts, "a page that was fenced off acts: {effects:?}");
            }
        }
        self.reload();
    }

    /// Another tab opens the session while this one is alive, and this one hears of it late: by the lock, by
    /// its next write, or by the runner.
    pub(crate) fn take_over(&mut self) {
        let (id, browser) = (self.front, self.page().browser);
        // A transaction that began before may or may not be finished before; the tab hears of it later.
        let writing: Vec<(u64, u64)> = self
            .agenda
            .iter()
            .filter(|(_, happening)| matches!(happening, Happening::Written { page, fails: false, .. } if *page == id))
            .map(|(at, _)| *at)
            .collect();
        for at in writing {
            if self.chance.one_in(2)
                && let Some(Happening::Written { page, entries, .. }) = self.agenda.remove(&at)
                && entries[0].n <= self.browsers[browser].disk.len() as u64 + 1
            {
                self.write(browser, &entries);
                let through = entries.last().map_or(0, |entry| entry.n);
                self.agenda.insert(at, Happening::Known { page, through });
            }
        }
        let after = self.delay(2_000);
        self.plan(after, Happening::Fenced { page: id });
        self.saw("two tabs on one session");
        self.room();
        self.open(browser);
    }

    /// The session's address is opened in another browser, which has no log of it, or an old copy. The page
    /// here stays, and only the runner can tell it.
    pub(crate) fn other_browser(&mut self) {
        if self.browsers.len() > 2 {
            return;
        }
        let disk = if self.chance.one_in(2) {
            Vec::new()
        } else {
            let log = self.disk().to_vec();
            let kept = self.chance.index(log.len() as u64 + 1);
            log.into_iter().take(kept).collect()
        };
        self.saw(if disk.is_empty() {
            "another browser without the log"
        } else {
            "another browser with an old log"
        });
        // Neither it nor the runner knows what was done in a store that is lost.
        let begun = begun_on(&disk);
        for (_, name) in self.lost.iter().filter(|(op, _)| !begun.contains(op)) {
            *self.forgotten.entry(name.clone()).or_default() += 1;
        }
        self.browsers.push(Browser { disk, claim: 0, full: false, skew: 0 });
        self.room();
        self.open(self.browsers.len() - 1);
    }

    /// The person goes to another page that is still open, and takes the session back there.
    pub(crate) fn go_elsewhere(&mut self) {
        let claimed = |id: u64, browser: usize| self.browsers[browser].claim == id;
        let others: Vec<u64> = self
            .pages
            .iter()
            .filter(|page| page.id != self.front && claimed(page.id, page.browser))
            .map(|page| page.id)
            .collect();
        if others.is_empty() {
            return;
        }
        self.front = others[self.chance.index(others.len() as u64)];
        self.saw("a return to another browser");
        self.user(Command::Reconnect);
    }

    /// All but the person's page are closed when there are too many.
    fn room(&mut self) {
        while self.pages.len() >= MOST_PAGES {
            let oldest = self.pages.iter().map(|page| page.id).find(|id| *id != self.front);
            let Some(oldest) = oldest else { return };
            self.close(oldest);
        }
    }

    /// The page stands still: a laptop that is shut, a tab that is put to sleep.
    pub(crate) fn freeze(&mut self) {
        let length = [50, 1_000, 20_000, 400_000, 30_000_000][self.chance.index(5)];
        let until = self.now + length;
        let front = self.front;
        if let Some(page) = self.get_mut(front) {
            // What waits for the end of one that is longer would come only then.
            page.frozen_until = page.frozen_until.max(until);
        }
        self.saw("a page that stands still");
    }

    /// The whole machine sleeps: whatever is due is late.
    pub(crate) fn sleep(&mut self) {
        self.now += [2_000, 60_000, 30_000_000][self.chance.index(3)];
        self.saw("a machine that sleeps");
    }

    /// Somebody sets the clock of the person's browser.
    pub(crate) fn set_clock(&mut self) {
        let browser = self.page().browser;
        let step = [5, 800, 4_000, 90_000, 10_000_000][self.chance.index(5)];
        let back = self.chance.one_in(2);
        self.browsers[browser].skew += if back { -step } else { step };
        self.saw(match (back, step > 4_000) {
            (true, true) => "a clock that is set back far",
            (true, false) => "a clock that is set back a little",
            (false, _) => "a clock that jumps ahead",
        });
    }

    /// The disk is full, or has room again.
    pub(crate) fn fill_or_empty(&mut self) {
        let browser = self.page().browser;
        let full = &mut self.browsers[browser].full;
        *full = !*full;
        self.saw("a full disk");
    }

    pub(crate) fn is_full(&self) -> bool {
        self.browsers[self.page().browser].full
    }

    pub(crate) fn hide_or_show(&mut self) {
        let front = self.front;
        let Some(page) = self.get_mut(front) else { return };
        page.hidden = !page.hidden;
        let visible = !page.hidden;
        self.event(Event::Visible(visible));
    }

    /// The runner's store is lost.
    pub(crate) fn lose_store(&mut self) {
        self.cut();
        let done: Vec<(OpId, String)> = self.runner.done().map(|(op, name)| (op, name.to_owned())).collect();
        let begun: Vec<_> = self.browsers.iter().map(|browser| begun_on(&browser.disk)).collect();
        for (op, name) in &done {
            if begun.iter().any(|begun| !begun.contains(op)) {
                *self.forgotten.entry(name.clone()).or_default() += 1;
            }
        }
        self.lost.extend(done);
        self.saw("a lost store");
        self.runner.lose_store();
    }

    /// No more trouble: the other pages are closed, there is room, and the runner is there.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.away_until = 0;
        let others: Vec<u64> = self.pages.iter().map(|page| page.id).filter(|id| *id != self.front).collect();
        for id in others {
            self.close(id);
        }
        for browser in &mut self.browsers {
            browser.full = false;
        }
        let (front, now) = (self.front, self.now);
        let until = self.page().frozen_until;
        if let Some(page) = self.get_mut(front).filter(|_| until > now) {
            page.frozen_until = now;
            for ((at, order), happening) in std::mem::take(&mut self.agenda) {
                let waited = at >= until && happening.page() == Some(front);
                self.agenda.insert((if waited { now } else { at }, order), happening);
            }
        }
        // It may have lost its claim to a page that is closed now.
        if self.browsers[self.page().browser].claim != front {
            self.reload();
        }
    }

    /// The session was taken back by another page that is no more: the person takes it again.
    pub(crate) fn take_back(&mut self) {
        let front = self.front;
        if let Some(page) = self.get_mut(front)
            && std::mem::take(&mut page.taken)
        {
            self.user(Command::Reconnect);
        }
    }
}

/// The operations that a log says were begun.
fn begun_on(disk: &[Entry]) -> BTreeSet<OpId> {
    disk.iter()
        .filter_map(|entry| match &entry.record {
            Record::ToolBegan { op, .. } => Some(*op),
            _ => None,
        })
        .collect()
}
