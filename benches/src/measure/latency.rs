//! Histograms of how long single operations take.

use hdrhistogram::Histogram;

use super::results::Distribution;

/// The longest time that is told apart, in nanoseconds: ten seconds.
const LONGEST: u64 = 10_000_000_000;
/// Ranks that are reported of each histogram.
pub const RANKS: [f64; 17] = [
    0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 0.99999,
    0.999999, 1.0,
];

/// A histogram with three significant digits, of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that the histogram can have")
}

/// Notes one operation; what took longer than the longest counts as the longest.
pub fn record(histogram: &mut Histogram<u64>, nanoseconds: f64) {
    histogram.saturating_record((nanoseconds as u64).max(1));
}

/// Values of a histogram at each of [`RANKS`]. A rank that so few operations can't support is left
/// out: the last operation is not a percentile.
pub fn distribution(histogram: &Histogram<u64>) -> Distribution {
    let count = histogram.len();
    let supported = |rank: f64| rank == 1.0 || (1.0 - rank) * count as f64 > 0.999;
    let points = RANKS
        .into_iter()
        .filter(|rank| supported(*rank))
        .map(|rank| (rank, histogram.value_at_quantile(rank) as f64))
        .collect();
    Distribution { count, points }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(distribution: &Distribution, rank: f64) -> Option<f64> {
        distribution.points.iter().find(|point| point.0 == rank).map(|point| point.1)
    }

    #[test]
    fn a_percentile_is_the_time_that_so_many_operations_do_not_exceed() {
        let mut times = histogram();
        (1..=10_000).for_each(|time| record(&mut times, f64::from(time)));
        let distribution = distribution(&times);
        for (rank, expected) in
            [(0.5, 5_000.0), (0.99, 9_900.0), (0.9999, 9_999.0), (1.0, 10_000.0)]
        {
            let found = at(&distribution, rank).expect("enough operations");
            assert!((found / expected - 1.0).abs() < 0.001, "{rank}: {found}");
        }
    }

    #[test]
    fn no_percentile_is_claimed_that_the_count_can_not_support() {
        let mut times = histogram();
        (0..1_000).for_each(|_| record(&mut times, 5.0));
        let distribution = distribution(&times);
        assert!(at(&distribution, 0.999).is_some());
        assert_eq!(at(&distribution, 0.9999), None);
        assert_eq!(at(&distribution, 1.0), Some(5.0));
    }
}
