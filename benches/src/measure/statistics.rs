//! Statistics of samples.

/// Median and spread of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The lower quartile.
    pub lower: f64,
    /// The upper quartile.
    pub upper: f64,
    /// Number of samples.
    pub count: usize,
}

/// The value below which the part `rank` (0 to 1) of the samples lies, interpolated between the
/// two nearest (Hyndman and Fan's type 7). `None` without samples.
pub fn quantile(samples: &[f64], rank: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = rank.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// The median; `None` without samples.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.5)
}

/// Median and quartiles; `None` without samples.
pub fn summary(samples: &[f64]) -> Option<Summary> {
    Some(Summary {
        median: median(samples)?,
        lower: quantile(samples, 0.25)?,
        upper: quantile(samples, 0.75)?,
        count: samples.len(),
    })
}

/// Number of resamples behind an interval.
const RESAMPLES: usize = 1_000;

/// The 95 % interval of the median by bootstrap: the middle of the medians of random resamples, the
/// same for the same samples. `None` for fewer than three.
pub fn interval(samples: &[f64]) -> Option<(f64, f64)> {
    if samples.len() < 3 {
        return None;
    }
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut draw = || {
        // xorshift
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        samples[(((state >> 32) * samples.len() as u64) >> 32) as usize]
    };
    let resample = |_| median(&samples.iter().map(|_| draw()).collect::<Vec<_>>());
    let medians: Vec<_> = (0..RESAMPLES).filter_map(resample).collect();
    Some((quantile(&medians, 0.025)?, quantile(&medians, 0.975)?))
}

/// Speed of `samples` as multiples of `baseline`'s: one ratio a round, `baseline / sample` of
/// times. Rounds that one of them lacks are left out.
pub fn ratios(baseline: &[f64], samples: &[f64]) -> Vec<f64> {
    baseline.iter().zip(samples).map(|(baseline, sample)| baseline / sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_the_two_nearest_samples() {
        let samples = [40.0, 10.0, 20.0, 30.0];
        assert_eq!(median(&samples), Some(25.0));
        assert_eq!(quantile(&samples, 0.0), Some(10.0));
        assert_eq!(quantile(&samples, 1.0), Some(40.0));
        assert_eq!(quantile(&samples, 1.0 / 3.0), Some(20.0));
    }

    #[test]
    fn a_single_outlier_does_not_move_the_median() {
        assert_eq!(median(&[3.0, 1.0, 1e9, 2.0, 2.0]), Some(2.0));
    }

    #[test]
    fn no_samples_have_no_summary() {
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn an_interval_holds_the_median_and_narrows_with_more_samples() {
        let samples = |count: u32| -> Vec<_> {
            (0..count).map(|n| f64::from(n.wrapping_mul(0x9E37_79B9) % 1_000)).collect()
        };
        let width = |count| {
            let samples = samples(count);
            let (low, high) = interval(&samples).expect("enough samples");
            let median = median(&samples).expect("samples");
            assert!(low <= median && median <= high, "{low}..{high}: {median}");
            high - low
        };
        assert!(width(400) < width(25) / 2.0);
        assert_eq!(interval(&[1.0, 2.0]), None);
        assert_eq!(interval(&[4.0; 5]), Some((4.0, 4.0)));
    }

    #[test]
    fn a_ratio_compares_samples_of_the_same_round() {
        // The second round met a machine that was ten times slower; the ratio is the same.
        assert_eq!(ratios(&[20.0, 200.0, 30.0], &[10.0, 100.0]), [2.0, 2.0]);
    }
}
