//! Many values and what is said of them.

use std::time::Duration;

/// Values of one measure, in order of size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The smallest value that so many percent of all do not exceed; 0 of none.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(place).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }
}

/// The median of the quotients of what was measured in turns, and how far apart they are.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Figures {
    Figures::new(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
}

/// A number with three digits that count.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub(crate) fn millis(value: f64) -> String {
    format!("{} ms", number(value))
}

pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{} MiB", number(bytes / (1024.0 * 1024.0)))
}

/// So many a second.
#[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let figures = Figures::new((1..=200).rev().map(f64::from).collect());
        assert_eq!(
            (figures.median(), figures.percentile(99), figures.percentile(100)),
            (100.0, 198.0, 200.0)
        );
        let few = Figures::new(vec![3.0, 1.0, 2.0]);
        assert_eq!((few.median(), few.percentile(99), few.percentile(0)), (2.0, 3.0, 1.0));
        assert!(Figures::default().median().abs() < f64::EPSILON);
    }

    #[test]
    fn numbers_are_as_exact_as_they_can_be() {
        assert_eq!([0.1234, 12.34, 1234.4].map(number), ["0.12", "12.3", "1234"]);
        assert_eq!(mebibytes(1.5 * 1024.0 * 1024.0), "1.50 MiB");
    }
}
