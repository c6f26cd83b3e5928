//! How long to wait before the next try: pure, so that a seed decides the jitter.

/// Spreads bits: the finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
#[must_use]
pub const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Milliseconds before try number `attempt` (0 is the first repetition): `first` doubling up to `most`, the
/// upper half of it random.
#[must_use]
pub fn delay_ms(attempt: u32, first: u64, most: u64, seed: u64) -> u64 {
    let whole = first.saturating_mul(1 << attempt.min(20)).min(most);
    whole / 2 + mix(seed ^ u64::from(attempt)) % (whole / 2 + 1)
}
