//! The lock, the store and the channel, as the browser has them.

use agent::record::{Entry, Record};
use agent::tabs::{AppendError, Claim, ClaimError, Event, LockMode, Received};
use uuid::Uuid;

use super::{Browser, Fate, Happening, Lane, Toy};

impl Browser {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Reach { tab: id, event, claim } => {
                if event == Event::Garbled {
                    self.saw("a message that is not understood");
                }
                if let Some(tab) = self.get(id) {
                    tab.claim = claim.unwrap_or(tab.claim);
                    tab.garbled |= event == Event::Garbled;
                }
                self.send(id, event);
            }
            Happening::Ring { tab: id, at } => {
                if self.get(id).is_some_and(|tab| tab.alarm == Some(at)) {
                    self.send(id, Event::Tick);
                }
            }
            Happening::SaveAgain { tab: id, start } => {
                let toy = self.get(id).and_then(|tab| tab.agent.as_mut()).filter(|toy| toy.start == start);
                if let Some(entries) = toy.and_then(Toy::save_again) {
                    self.send(id, Event::Append(entries));
                }
            }
            Happening::Live { tab, start } => self.live(tab, start),
            Happening::Answer { tab: id, start, from, number, name } => {
                let toy = self.get(id).and_then(|tab| tab.agent.as_mut()).filter(|toy| toy.start == start);
                if toy.is_some() {
                    *self.done.entry(name).or_default() += 1;
                    self.send(id, Event::Answered { from, number });
                }
            }
            Happening::Left { tab: id } => {
                if self.get(id).is_some_and(|tab| tab.agent.is_some()) {
                    let left = self.store.left.clone();
                    self.send(id, Event::Left(left));
                }
            }
            Happening::Thaw { tab: id } => self.thaw(id),
            Happening::Ask { tab, request, mode } => self.ask(tab, request, mode),
            Happening::Release { tab, request } => self.release(|one| one == (tab, request)),
            Happening::ReleaseAll { tab } => self.release(|one| one.0 == tab),
            Happening::Claim { tab, token, term } => self.claim(tab, token, term),
            Happening::Append { tab, token, term, entries, heard, claim, fate } => {
                self.append(tab, (token, term, claim), entries, &heard, fate);
            }
        }
    }

    /// What came while it stood still comes now, in its order.
    pub(super) fn thaw(&mut self, id: u64) {
        let waited = self.get(id).and_then(|tab| tab.frozen.take()).unwrap_or_default();
        for happening in waited {
            self.now += 1;
            self.happen(happening);
        }
    }

    fn answer(&mut self, tab: u64, event: Event) {
        self.plan(Lane::FromLock(tab), 5, Happening::Reach { tab, event, claim: None });
    }

    fn ask(&mut self, tab: u64, request: u64, mode: LockMode) {
        match (mode, self.lock.holder) {
            (LockMode::Steal, Some((robbed, of))) => {
                self.saw("a lock that is stolen");
                self.answer(robbed, Event::Stolen { request: of });
                self.grant(tab, request);
            }
            (LockMode::IfFree, Some(_)) => self.answer(tab, Event::Refused { request }),
            (LockMode::Wait, Some(_)) => self.lock.waiting.push_back((tab, request)),
            (LockMode::Steal | LockMode::IfFree | LockMode::Wait, None) => self.grant(tab, request),
        }
    }

    fn grant(&mut self, tab: u64, request: u64) {
        self.lock.holder = Some((tab, request));
        self.answer(tab, Event::Granted { request });
    }

    fn release(&mut self, of: impl Fn((u64, u64)) -> bool) {
        self.lock.waiting.retain(|one| !of(*one));
        if self.lock.holder.is_some_and(&of) {
            self.lock.holder = None;
            if let Some((tab, request)) = self.lock.waiting.pop_front() {
                self.grant(tab, request);
            }
        }
    }

    /// The agent answers, or does something else that nobody asked for.
    fn live(&mut self, id: u64, start: u64) {
        let (now, text) = (self.now, self.name("answer"));
        let toy = self.get(id).and_then(|tab| tab.agent.as_mut()).filter(|toy| toy.start == start);
        let Some(toy) = toy else { return };
        let append = toy.record(now, Record::Titled { title: text });
        let shown = toy.unshown();
        toy.works = false;
        self.saw("an entry of the agent's own");
        for event in append.map(Event::Append).into_iter().chain([Event::Show(shown), Event::Works(false)]) {
            self.send(id, event);
        }
    }

    fn claim(&mut self, tab: u64, token: Uuid, term: u64) {
        let fate = self.fate(12);
        if fate != Fate::Done {
            self.saw("a claim that fails");
            if let Some(tab) = self.get(tab) {
                tab.blind = true;
            }
        }
        let store = &mut self.store;
        let term = term.max(store.term + 1);
        store.claims += 1;
        let claim = store.claims;
        if fate != Fate::Fails {
            (store.token, store.term, store.claim) = (Some(token), term, claim);
        }
        let log = store.log.clone();
        let outcome = match fate {
            Fate::Done => Ok(Claim { term, log, heard: store.heard.clone() }),
            Fate::Unknown => Err(ClaimError::Unreadable("nobody knows".to_owned())),
            Fate::Fails if tab > 1 => Err(ClaimError::Unavailable("no store".to_owned())),
            Fate::Fails => Err(ClaimError::Unreadable("no store".to_owned())),
        };
        let event = Event::Read { token, outcome };
        self.plan(Lane::FromStore(tab), 10, Happening::Reach { tab, event, claim: Some(claim) });
    }

    fn append(
        &mut self,
        tab: u64,
        under: (Uuid, u64, u64),
        entries: Vec<Entry>,
        heard: &Received,
        fate: Fate,
    ) {
        let (token, _, claim) = under;
        let next = self.store.log.len() as u64 + 1;
        if self.store.claim != claim && !self.store.log.is_empty() {
            self.saw("an append of a claim that is over");
        }
        let outcome = if self.store.token.is_some_and(|claimed| claimed != token) {
            self.saw("an append that is fenced off");
            Err(AppendError::Fenced)
        } else if fate == Fate::Fails || entries[0].n > next {
            self.saw("an append that fails");
            Err(AppendError::Failed("no room".to_owned()))
        } else {
            self.write(under, entries, heard);
            if fate == Fate::Unknown {
                self.saw("an append that lands and is said to have failed");
                Err(AppendError::Failed("nobody knows".to_owned()))
            } else {
                Ok(())
            }
        };
        let event = Event::Appended { token, outcome };
        self.plan(Lane::FromStore(tab), 10, Happening::Reach { tab, event, claim: None });
    }

    fn write(&mut self, (token, term, claim): (Uuid, u64, u64), entries: Vec<Entry>, heard: &Received) {
        let store = &mut self.store;
        if store.token.replace(token).is_none() {
            (store.term, store.claim) = (term, claim);
        }
        assert_eq!(
            store.claim, claim,
            "what was asked for under claim {claim} is written under {}",
            store.claim
        );
        for entry in entries {
            match store.log.get(usize::try_from(entry.n - 1).unwrap()) {
                Some(known) => assert_eq!(*known, entry, "two different entries of one number"),
                None => store.log.push(entry),
            }
        }
        store.heard.merge(heard);
    }
}
