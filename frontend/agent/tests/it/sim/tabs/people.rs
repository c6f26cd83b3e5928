//! What people do with tabs.

use std::collections::VecDeque;

use agent::event::Command;
use agent::tabs::{Event, Member, Role};
use shared::TaskId;
use uuid::Uuid;

use super::{Browser, Happening, Lane, Tab};

/// No more tabs are open at once.
const MOST_TABS: usize = 3;

impl Browser {
    /// Opens the session in another tab, or looks in there only for an errand.
    pub(crate) fn open(&mut self, errand: bool) {
        if self.tabs.len() >= MOST_TABS {
            return;
        }
        self.opened += 1;
        let id = self.opened;
        let me = Uuid::from_u64_pair(self.chance.next(), id);
        self.tabs.push(Tab {
            id,
            me,
            member: Member::new(me),
            role: Role::Closed,
            agent: None,
            view: std::collections::BTreeMap::new(),
            frozen: None,
            alarm: None,
            blind: false,
            garbled: false,
            dropped: 0,
            claim: 0,
            errand,
        });
        if errand {
            let title = self.name("title");
            self.wanted.insert(title.clone(), (id, self.now));
            self.errands.insert(id);
            self.saw("a title without opening");
            self.send(id, Event::Retitle { title });
        } else {
            self.send(id, Event::Open { begun: id > 1 });
        }
    }

    pub(super) fn name(&mut self, what: &str) -> String {
        self.messages += 1;
        format!("{what} {}", self.messages)
    }

    /// A tab at which a person can do something.
    fn some_tab(&mut self) -> Option<u64> {
        let able: Vec<u64> =
            self.tabs.iter().filter(|tab| tab.frozen.is_none() && !tab.errand).map(|tab| tab.id).collect();
        if able.is_empty() {
            return None;
        }
        let at = self.chance.index(able.len() as u64);
        able.get(at).copied()
    }

    pub(crate) fn send_message(&mut self, tab: u64) {
        let text = self.name("word");
        self.queued.insert(text.clone(), tab);
        self.send(tab, Event::Command(Command::QueueMessage { text, steer: false }));
    }

    /// Something that is meant for what is to be seen just now.
    fn want(&mut self, tab: u64) {
        let text = self.name("wish");
        self.wanted.insert(text.clone(), (tab, self.now));
        let command = match self.chance.below(3) {
            0 => Command::Rename { title: text },
            1 => Command::StopTask { task: TaskId(text) },
            _ => Command::EditMessage { id: 0, text },
        };
        self.send(tab, Event::Command(command));
    }

    /// A person does something, or something happens to a tab.
    pub(crate) fn disturb(&mut self) {
        let Some(tab) = self.some_tab() else {
            self.open(false);
            return;
        };
        match self.chance.below(28) {
            0..=7 => self.send_message(tab),
            8..=10 => self.want(tab),
            11..=13 => self.open(false),
            14 => self.open(true),
            15 => self.close(tab),
            16 => self.crash(tab),
            17 | 18 => self.send(tab, Event::TakeOver),
            19 | 20 => self.freeze(tab),
            21 => self.send(tab, Event::Leave),
            22 => self.send(tab, Event::Visit),
            23 | 24 => self.hide(tab),
            25 | 26 => self.come_back(tab),
            27 => {
                let frozen = self.tabs.iter().find(|tab| tab.frozen.is_some()).map(|tab| tab.id);
                if let Some(frozen) = frozen {
                    self.saw("a tab that is closed while it stands still");
                    self.crash(frozen);
                }
            }
            _ => {
                for _ in 0..self.chance.below(80) {
                    self.send_message(tab);
                }
            }
        }
    }

    /// The tab is closed, and has a moment to leave its messages behind.
    fn close(&mut self, id: u64) {
        self.hide(id);
        self.lose(id);
    }

    /// The page may be going: it leaves its messages behind, and others hear of that. It may as well go on.
    fn hide(&mut self, id: u64) {
        let Some(tab) = self.get(id) else { return };
        let unsaved = tab.agent.as_ref().map(|toy| toy.unsaved.clone()).unwrap_or_default();
        let left = tab.member.unsaved_messages(unsaved);
        if left.is_empty() {
            return;
        }
        self.store.leave(left);
        let others: Vec<u64> = self.tabs.iter().map(|tab| tab.id).filter(|other| *other != id).collect();
        for tab in others {
            self.plan(Lane::Alone, 20, Happening::Left { tab });
        }
    }

    /// It did not go.
    fn come_back(&mut self, id: u64) {
        let Some(me) = self.get(id).map(|tab| tab.me) else { return };
        let before = self.store.left.len();
        self.store.left.retain(|left| left.from != me);
        if self.store.left.len() < before {
            self.saw("a page that hides and comes back");
        }
    }

    pub(crate) fn close_all(&mut self) {
        while let Some(tab) = self.tabs.first() {
            self.close(tab.id);
        }
    }

    fn crash(&mut self, id: u64) {
        self.saw("a tab that crashes");
        self.crashed.insert(id);
        self.lose(id);
    }

    /// What it has on its way may be lost, from some moment on.
    fn lose(&mut self, id: u64) {
        let until = if self.chance.one_in(2) { self.now + self.chance.below(30) } else { u64::MAX };
        self.gone(id, Some(until));
    }

    /// A tab is no more. What it said and wanted after this time is lost.
    pub(super) fn gone(&mut self, id: u64, until: Option<u64>) {
        self.tabs.retain(|tab| tab.id != id);
        let until = until.unwrap_or(u64::MAX);
        let from_it = |lane: &Lane| match lane {
            Lane::Message(from, _) | Lane::ToLock(from) | Lane::ToStore(from) => *from == id,
            _ => false,
        };
        self.agenda.retain(|(at, _), (lane, _)| *at <= until || !from_it(lane));
        self.plan(Lane::ToLock(id), 5, Happening::ReleaseAll { tab: id });
    }

    /// The tab stands still: it is put to sleep, or busy.
    fn freeze(&mut self, id: u64) {
        let length = [20, 300, 5_000, 60_000][self.chance.index(4)];
        if let Some(tab) = self.get(id) {
            tab.frozen = Some(VecDeque::new());
        }
        self.saw("a tab that stands still");
        let at = self.now + length;
        self.set(at, Lane::Alone, Happening::Thaw { tab: id });
    }

    /// No more trouble: nothing fails, nothing is late, and nobody sleeps.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        let ids: Vec<u64> = self.tabs.iter().map(|tab| tab.id).collect();
        for id in ids {
            self.thaw(id);
        }
        // So is what is still on its way and will not be understood.
        let late = self.agenda.values().filter_map(|(_, happening)| match happening {
            Happening::Reach { tab, event: Event::Garbled, .. } => Some(*tab),
            _ => None,
        });
        for id in late.collect::<Vec<_>>() {
            if let Some(tab) = self.get(id) {
                tab.garbled = true;
            }
        }
        // Whoever is told to load a page again does so.
        let told: Vec<u64> = self
            .tabs
            .iter()
            .filter(|tab| (tab.blind || tab.garbled) && !tab.errand)
            .map(|tab| tab.id)
            .collect();
        for id in told {
            self.close(id);
            self.open(false);
        }
    }
}
