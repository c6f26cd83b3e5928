//! The models that the page offers, their limits and what they cost. A price that is not known is unknown,
//! never 0.

use super::Usage;

/// Where the prices come from, for the page.
pub const SOURCE: &str = "the providers' price lists as carried by LiteLLM and models.dev";
/// When they were taken down.
pub const AS_OF: &str = "November 2026";
/// The demo's id in the table: it is no language model, and costs nothing.
pub const DEMO: &str = "demo";

/// A model of the picker. Prices are US dollars a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The id that a request names.
    pub id: &'static str,
    /// What a person reads.
    pub label: &'static str,
    /// The most tokens of request and answer together.
    pub context_limit: u64,
    /// The most tokens of an answer.
    pub output_limit: u64,
    /// Tokens read.
    pub input: f64,
    /// Tokens written.
    pub output: f64,
    /// Tokens read from the cache.
    pub cache_read: f64,
    /// Dearer prices of longer requests, if there are any.
    pub long: Option<Long>,
}

/// What a request costs that is longer than `above` tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Long {
    /// From how many tokens of input on.
    pub above: u64,
    /// Tokens read.
    pub input: f64,
    /// Tokens written.
    pub output: f64,
}

const fn row(id: &'static str, label: &'static str, input: f64, output: f64, cache_read: f64) -> Row {
    Row { id, label, context_limit: 1_000_000, output_limit: 128_000, input, output, cache_read, long: None }
}

/// The models, the recommended one first.
pub const TABLE: [Row; 7] = [
    row("claude-opus-5-5", "Claude Opus 5.5", 4.0, 20.0, 0.20),
    row("claude-sonnet-5-5", "Claude Sonnet 5.5", 2.0, 10.0, 0.10),
    Row {
        long: Some(Long { above: 100_000, input: 0.50, output: 2.50 }),
        ..row("claude-haiku-5-5", "Claude Haiku 5.5", 0.10, 0.50, 0.01)
    },
    row("claude-fable-5-2", "Claude Fable 5.2", 8.0, 40.0, 0.20),
    row("claude-opus-4-8", "Claude Opus 4.8", 5.0, 25.0, 0.50),
    row("claude-sonnet-4-6", "Claude Sonnet 4.6", 3.0, 15.0, 0.30),
    Row {
        context_limit: 200_000,
        output_limit: 64_000,
        ..row("claude-haiku-4-5", "Claude Haiku 4.5", 1.0, 5.0, 0.10)
    },
];

/// The row of a model; a dated id such as `claude-haiku-4-5-20251001` is that of its model.
#[must_use]
pub fn find(model: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| {
        model.strip_prefix(row.id).is_some_and(|rest| {
            let date = rest.strip_prefix('-').unwrap_or_default();
            rest.is_empty() || date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// What a call cost in US dollars; `None` if the model's price is not known. Writing to the cache costs a
/// quarter more than reading without it.
#[must_use]
pub fn dollars(model: &str, usage: Usage) -> Option<f64> {
    if model.is_empty() || model == DEMO {
        return Some(0.0);
    }
    let row = find(model)?;
    let read = usage.input + usage.cache_read + usage.cache_write;
    let (input, output, cache_read) = match row.long {
        Some(long) if read > long.above => (long.input, long.output, row.cache_read * long.input / row.input),
        _ => (row.input, row.output, row.cache_read),
    };
    let cost = tokens(usage.input) * input
        + tokens(usage.cache_read) * cache_read
        + tokens(usage.cache_write) * input * 1.25
        + tokens(usage.output) * output;
    Some(cost / 1e6)
}

fn tokens(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_calls_cost() {
        let usage =
            Usage { input: 1_000_000, cache_read: 1_000_000, cache_write: 1_000_000, output: 1_000_000 };
        check("claude-opus-5-5", usage, Some(4.0 + 0.2 + 5.0 + 20.0));
        check("claude-haiku-4-5-20251001", Usage { output: 200, ..Usage::default() }, Some(0.001));
        check("claude-haiku-5-5", Usage { input: 100_000, ..Usage::default() }, Some(0.01));
        check("claude-haiku-5-5", Usage { input: 200_000, ..Usage::default() }, Some(0.1));
        check("claude-haiku-5-5", Usage { cache_read: 200_000, ..Usage::default() }, Some(0.01));
        check("", usage, Some(0.0));
        check(DEMO, usage, Some(0.0));
        check("gpt-6.1-sol", usage, None);
        check("claude-opus-5-55", usage, None);
    }

    #[track_caller]
    fn check(model: &str, usage: Usage, expected: Option<f64>) {
        let cost = dollars(model, usage);
        let same = match (cost, expected) {
            (Some(cost), Some(expected)) => (cost - expected).abs() < 1e-9,
            (cost, expected) => cost == expected,
        };
        assert!(same, "{model}: {cost:?}, not {expected:?}");
    }
}
