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

/// The times that `longer` counts from: a tenth of a microsecond to a tenth of a second.
pub fn limits() -> impl Iterator<Item = u64> {
    let powers = (2..8).map(|power| 10u64.pow(power));
    powers.flat_map(|power| [power, 2 * power, 5 * power]).chain([10u64.pow(8)])
}

/// A histogram with three significant digits, of nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that the histogram can have")
}

/// Notes one operation; what took longer than the longest counts as the longest.
pub fn record(histogram: &mut Histogram<u64>, nanoseconds: f64) {
    histogram.saturating_record((nanoseconds as u64).max(1));
}

/// Values of a histogram of `seconds` of run at each of [`RANKS`], and counts of what took longer than
/// each of [`limits`]. A rank that so few operations can't support is left
/// out: the last operation is not a percentile.
pub fn distribution(histogram: &Histogram<u64>, seconds: f64) -> Distribution {
    let count = histogram.len();
    let supported = |rank: f64| rank == 1.0 || (1.0 - rank) * count as f64 > 0.999;
    let points = RANKS
        .into_iter()
        .filter(|rank| supported(*rank))
        .map(|rank| (rank, histogram.value_at_quantile(rank) as f64))
        .collect();
    let longer = |limit| (limit as f64, count - histogram.count_between(0, limit));
    Distribution { count, seconds, points, longer: limits().map(longer).collect() }
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
        let distribution = distribution(&times, 1.0);
        for (rank, expected) in
            [(0.5, 5_000.0), (0.99, 9_900.0), (0.9999, 9_999.0), (1.0, 10_000.0)]
        {
            let found = at(&distribution, rank).expect("enough operations");
            assert!((found / expected - 1.0).abs() < 0.001, "{rank}: {found}");
        }
    }

    #[test]
    fn what_took_longer_is_counted() {
        let mut times = histogram();
        for time in [50.0, 1_500.0, 1_500.0, 30_000_000.0] {
            record(&mut times, time);
        }
        let longer = distribution(&times, 1.0).longer;
        let above = |limit| longer.iter().find(|it| it.0 == limit).map(|it| it.1);
        assert_eq!([100.0, 1e3, 2e3, 1e7, 5e7].map(above), [3, 3, 1, 1, 0].map(Some));
    }

    #[test]
    fn no_percentile_is_claimed_that_the_count_can_not_support() {
        let mut times = histogram();
        (0..1_000).for_each(|_| record(&mut times, 5.0));
        let distribution = distribution(&times, 1.0);
        assert!(at(&distribution, 0.999).is_some());
        assert_eq!(at(&distribution, 0.9999), None);
        assert_eq!(at(&distribution, 1.0), Some(5.0));
    }
}
