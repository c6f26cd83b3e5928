//! A supervisor that is alive and says nothing, once its tree was killed in its place.
//!
//! One that works needs no more than to reap then. One whose tree is not gone may be waiting, as everybody
//! does, for what the system does not end; after ten seconds of that it says so.

/// Rounds, of a second at least, after which it is given up if nothing is left below it.
const ALONE: u32 = 3;
/// The same if something may be.
const WITH_OTHERS: u32 = 15;

#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Of killing in its place, since it last said something.
    rounds: u32,
    /// It has said that the system does not end something.
    pub(super) stuck: bool,
}

impl Silence {
    pub(super) const fn broken(&mut self) {
        self.rounds = 0;
    }

    /// The tree was killed once more; `alone`: nothing is left of it. Whether the supervisor is to be given
    /// up.
    pub(super) const fn lasts(&mut self, alone: bool) -> bool {
        self.rounds += 1;
        if alone { self.rounds >= ALONE } else { !self.stuck && self.rounds >= WITH_OTHERS }
    }
}
