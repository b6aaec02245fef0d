//! Extent of a run.

use std::time::Duration;

/// Time that a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// To see that everything works.
    Quick,
    /// Enough for a report.
    Normal,
    /// Every setting.
    Full,
}

/// Numbers of rounds, times and settings.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Time that a run may take.
    pub effort: Effort,
    /// Samples of each subject in each setting.
    pub rounds: usize,
    /// Samples of each way to run a program.
    pub programs: usize,
    /// Least time of one sample.
    pub sample: Duration,
    /// Thread counts: powers of two, and the number of processors. More threads than processors would
    /// not meet in a sample, which is shorter than a time slice.
    pub threads: Vec<u32>,
    /// Numbers of entries.
    pub entries: Vec<u32>,
}

/// The entries that a registry has while the number of threads varies.
pub const ENTRIES: u32 = 100;

impl Plan {
    /// The plan for an effort.
    pub fn new(effort: Effort) -> Plan {
        Plan::on(effort, std::thread::available_parallelism().map_or(1, usize::from) as u32)
    }

    fn on(effort: Effort, processors: u32) -> Plan {
        let (rounds, programs, sample, most, entries) = match effort {
            Effort::Quick => (3, 2, 1, 2, vec![100]),
            Effort::Normal => (11, 7, 2, u32::MAX, vec![100, 1_000, 100_000]),
            Effort::Full => (31, 21, 10, u32::MAX, vec![1, 100, 1_000, 10_000, 100_000]),
        };
        let most = processors.min(most);
        let powers = (0..8).map(|power| 1 << power).filter(|threads| *threads < most);
        let threads = powers.chain([most]).collect();
        Plan { effort, rounds, programs, sample: Duration::from_millis(sample), threads, entries }
    }

    /// The settings: entries, and the thread counts to measure with that many. Only the full plan
    /// crosses all of both.
    pub fn settings(&self) -> Vec<(u32, Vec<u32>)> {
        let threads = |entries| match self.effort {
            _ if entries == ENTRIES => self.threads.clone(),
            Effort::Full => self.threads.clone(),
            Effort::Quick | Effort::Normal => vec![1, 2],
        };
        self.entries.iter().map(|entries| (*entries, threads(*entries))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_plan_varies_threads_at_one_number_of_entries() {
        let settings = Plan::on(Effort::Normal, 16).settings();
        assert_eq!(settings.len(), 3);
        for (entries, threads) in settings {
            assert_eq!(threads.contains(&16), entries == ENTRIES);
        }
    }

    #[test]
    fn no_more_threads_are_planned_than_there_are_processors() {
        let threads = |processors| Plan::on(Effort::Normal, processors).threads;
        assert_eq!(threads(1), [1]);
        assert_eq!(threads(2), [1, 2]);
        assert_eq!(threads(6), [1, 2, 4, 6]);
    }

    #[test]
    fn the_full_plan_crosses_threads_and_entries() {
        let settings = Plan::on(Effort::Full, 16).settings();
        assert!(settings.iter().all(|(_, threads)| threads.len() == 5));
    }
}
