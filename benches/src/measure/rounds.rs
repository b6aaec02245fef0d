//! Interleaved rounds.

/// Takes `rounds` samples of each of `subjects`, one of each a round. What a process leaves to the kernel falls on
/// the next one, so the order is that of a Williams design: over all rounds none is the first more often than
/// another, and none comes more often after the same one. Answers one list of samples for each subject, in the
/// subjects' order; round `r` is sample `r` of each.
pub fn interleaved(
    rounds: usize,
    subjects: usize,
    mut sample: impl FnMut(usize) -> f64,
) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::with_capacity(rounds); subjects];
    for round in 0..rounds {
        for turn in 0..subjects {
            let subject = at(round, turn, subjects);
            samples[subject].push(sample(subject));
        }
    }
    samples
}

/// The subject of a turn. Row 0 is 0, 1, n-1, 2, n-2 and so on; each round adds 1. An odd number of subjects needs
/// the mirrored rows, too.
fn at(round: usize, turn: usize, subjects: usize) -> usize {
    let is_mirrored = subjects % 2 == 1 && round / subjects % 2 == 1;
    let turn = if is_mirrored { subjects - 1 - turn } else { turn };
    let first_row = if turn % 2 == 1 { turn.div_ceil(2) } else { subjects - turn / 2 };
    (first_row + round) % subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_one_sample_of_each_subject() {
        let mut order = Vec::new();
        let samples = interleaved(4, 3, |subject| {
            order.push(subject);
            subject as f64
        });
        assert_eq!(samples, [vec![0.0; 4], vec![1.0; 4], vec![2.0; 4]]);
        for round in order.chunks(3) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
    }

    #[test]
    fn each_subject_comes_after_every_other_equally_often() {
        for subjects in 2..8 {
            let rounds: Vec<Vec<_>> = (0..2 * subjects)
                .map(|round| (0..subjects).map(|turn| at(round, turn, subjects)).collect())
                .collect();
            let follows = |one, other| {
                let pairs = rounds.iter().flat_map(|round| round.windows(2));
                pairs.filter(|pair| *pair == [other, one]).count()
            };
            for one in 0..subjects {
                for other in (0..subjects).filter(|other| *other != one) {
                    assert_eq!(follows(one, other), 2, "{one} after {other} of {subjects}");
                }
            }
        }
    }

    #[test]
    fn each_subject_is_first_equally_often() {
        let mut order = Vec::new();
        interleaved(6, 3, |subject| {
            order.push(subject);
            0.0
        });
        let firsts = |subject| order.chunks(3).filter(|round| round[0] == subject).count();
        assert_eq!([firsts(0), firsts(1), firsts(2)], [2, 2, 2]);
    }

    #[test]
    fn a_drifting_machine_falls_on_all_subjects_alike() {
        let mut drift = 0.0;
        let samples = interleaved(30, 3, |_| {
            drift += 1.0;
            drift
        });
        let sums: Vec<f64> = samples.iter().map(|samples| samples.iter().sum()).collect();
        assert!(sums.iter().all(|sum| (sum - sums[0]).abs() < f64::EPSILON), "{sums:?}");
    }
}
