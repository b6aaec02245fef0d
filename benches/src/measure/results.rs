//! Results of a run: raw samples, as JSON.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// Results of one experiment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// The experiment, such as `registry-throughput`.
    pub experiment: String,
    /// Machine, time and load.
    pub machine: Machine,
    /// Samples of rounds.
    #[serde(default)]
    pub series: Vec<Series>,
    /// Latency histograms.
    #[serde(default)]
    pub distributions: Vec<Labelled<Distribution>>,
    /// Quantities over time.
    #[serde(default)]
    pub timelines: Vec<Labelled<Timeline>>,
    /// Notes about omissions, with their reasons.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The samples of one subject in one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Workload that was run.
    pub workload: String,
    /// Backend or library that ran it.
    pub subject: String,
    /// Number of threads.
    pub threads: u32,
    /// Number of descriptors that had an entry.
    pub entries: u32,
    /// The samples' unit, such as `ns/operation`.
    pub unit: String,
    /// One sample a round.
    pub samples: Vec<f64>,
}

/// Something of one subject in one setting.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Labelled<T> {
    /// Workload that was run.
    pub workload: String,
    /// Backend or library that ran it.
    pub subject: String,
    /// Result.
    #[serde(flatten)]
    pub value: T,
}

/// A histogram, at some ranks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// Number of operations that were timed.
    pub count: u64,
    /// Seconds of run in which they were timed; 0 in results of before this was noted.
    #[serde(default)]
    pub seconds: f64,
    /// Rank (0 to 1) and nanoseconds.
    pub points: Vec<(f64, f64)>,
    /// Nanoseconds, and the number of operations that took longer; as `seconds`.
    #[serde(default)]
    pub longer: Vec<(f64, u64)>,
}

/// Memory over time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// Seconds, records that are retired but not free (if known), resident KiB above the start.
    pub points: Vec<(f64, Option<u64>, f64)>,
    /// Records that were retired until then, for each point; empty in results of before this was noted.
    #[serde(default)]
    pub retired: Vec<u64>,
}

impl Results {
    /// An experiment's results, empty yet, with the machine as it is now.
    pub fn new(experiment: &str) -> Results {
        Results { experiment: experiment.to_owned(), machine: Machine::now(), ..Results::default() }
    }

    /// Writes `directory/EXPERIMENT.json`.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let file = directory.join(format!("{}.json", self.experiment));
        fs::write(file, serde_json::to_string(self)? + "\n")
    }

    /// All the results that `directory` holds, by experiment.
    pub fn read_all(directory: &Path) -> io::Result<Vec<Results>> {
        let mut files: Vec<_> = fs::read_dir(directory)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        files.iter().map(|file| Ok(serde_json::from_str(&fs::read_to_string(file)?)?)).collect()
    }

    /// The series of `subject` doing `workload` in this setting.
    pub fn find(
        &self,
        workload: &str,
        subject: &str,
        threads: u32,
        entries: u32,
    ) -> Option<&Series> {
        self.series.iter().find(|series| {
            series.workload == workload
                && series.subject == subject
                && (series.threads, series.entries) == (threads, entries)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_from_their_file_as_they_were() {
        let directory =
            std::env::temp_dir().join(format!("epochsocks-results.{}", std::process::id()));
        let series = Series {
            workload: "miss".to_owned(),
            subject: "slots".to_owned(),
            threads: 2,
            entries: 100,
            unit: "ns/operation".to_owned(),
            samples: vec![1.5, 2.25],
        };
        let results = Results { series: vec![series.clone()], ..Results::new("test") };
        results.write(&directory).expect("a temporary file can be written");
        let read = Results::read_all(&directory).expect("and read");
        fs::remove_dir_all(&directory).expect("and removed");
        assert_eq!(read[0].find("miss", "slots", 2, 100), Some(&series));
        assert_eq!(read[0].find("miss", "slots", 1, 100), None);
    }
}
