//! Chance from a seed.

use agent::backoff::mix;

/// A generator: the same seed gives the same draws on every platform.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// 0 to `below`, exclusive.
    pub(crate) const fn below(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    /// A place in a list of this length.
    pub(crate) fn index(&mut self, length: u64) -> usize {
        usize::try_from(self.below(length)).expect("lists are short")
    }

    /// True once in `of` draws.
    pub(crate) const fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}
