//! The lock, the store and the channel, as the browser has them.

use agent::record::Entry;
use agent::tabs::{AppendError, Claim, Event, LockMode, Received};
use uuid::Uuid;

use super::{Browser, Happening, Lane, Toy};

impl Browser {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Reach { tab: id, event, claim } => {
                if let (Some(tab), Some(claim)) = (self.get(id), claim) {
                    tab.claim = claim;
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
            Happening::Thaw { tab: id } => self.thaw(id),
            Happening::Ask { tab, request, mode } => self.ask(tab, request, mode),
            Happening::Release { tab, request } => self.release(|one| one == (tab, request)),
            Happening::ReleaseAll { tab } => self.release(|one| one.0 == tab),
            Happening::Claim { tab, token, term } => self.claim(tab, token, term),
            Happening::Append { tab, token, term, entries, heard, claim, fails } => {
                self.append(tab, (token, term, claim), entries, &heard, fails);
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

    fn claim(&mut self, tab: u64, token: Uuid, term: u64) {
        let store = &mut self.store;
        let term = term.max(store.term + 1);
        store.claims += 1;
        let claim = store.claims;
        // A log that is not there yet is claimed by its first entry.
        if !store.log.is_empty() {
            (store.token, store.term, store.claim) = (Some(token), term, claim);
        }
        let outcome = Ok(Claim { term, log: store.log.clone(), heard: store.heard.clone() });
        let event = Event::Read { token, outcome };
        self.plan(Lane::FromStore(tab), 10, Happening::Reach { tab, event, claim: Some(claim) });
    }

    fn append(
        &mut self,
        tab: u64,
        under: (Uuid, u64, u64),
        entries: Vec<Entry>,
        heard: &Received,
        fails: bool,
    ) {
        let (token, _, claim) = under;
        let next = self.store.log.len() as u64 + 1;
        if self.store.claim != claim && !self.store.log.is_empty() {
            self.saw("an append of a claim that is over");
        }
        let outcome = if self.store.token.is_some_and(|claimed| claimed != token) {
            self.saw("an append that is fenced off");
            Err(AppendError::Fenced)
        } else if fails || entries[0].n > next {
            self.saw("an append that fails");
            Err(AppendError::Failed("no room".to_owned()))
        } else {
            self.write(under, entries, heard);
            Ok(())
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
