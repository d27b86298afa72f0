//! Figures: how they are printed, and what is made of many.

use std::fmt::Display;
use std::time::Duration;

/// Prints one figure, as `cargo xtask bench` reads it.
pub(crate) fn print(name: &str, value: impl Display) {
    println!("{name} {value:.3}");
}

/// How many of `count` in a second.
#[expect(clippy::cast_precision_loss, reason = "a count of what happened in some seconds is below 2^53")]
pub(crate) fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}

/// The value below which `percent` of the sorted values lie, in microseconds; 0 of none.
pub(crate) fn percentile_us(sorted: &[Duration], percent: usize) -> f64 {
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).map_or(0.0, |value| value.as_secs_f64() * 1e6)
}

/// Jain's index of fairness: 1 if all have the same, 1/n if one has all.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let count = f64::from(u32::try_from(shares.len()).unwrap_or(u32::MAX));
    if squares > 0.0 { sum * sum / (count * squares) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_of_what_is_there() {
        let sorted: Vec<Duration> = (1..=101).map(Duration::from_micros).collect();
        assert!((percentile_us(&sorted, 50) - 51.0).abs() < 1e-6);
        assert!((percentile_us(&sorted, 99) - 100.0).abs() < 1e-6);
        assert!(percentile_us(&[], 50).abs() < 1e-6);
    }

    #[test]
    fn shares_are_judged_by_jains_index() {
        assert!((jain(&[50.0, 50.0]) - 1.0).abs() < 1e-9);
        assert!((jain(&[100.0, 0.0]) - 0.5).abs() < 1e-9);
        assert!(jain(&[]).abs() < 1e-9);
    }

    #[test]
    fn a_rate_is_of_the_time_that_went_by() {
        assert!((per_second(300, Duration::from_secs(3)) - 100.0).abs() < 1e-9);
    }
}
