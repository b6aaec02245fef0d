//! The verdicts so far. A run of some programs keeps those of the others.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::table::{Host, Row, workshop};
use crate::trial::Trial;
use crate::verdict::Verdict;
use crate::wrapper::Wrapper;

/// One run, as it stands in the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The verdict.
    pub verdict: Verdict,
    /// The wrapper's first word on it, or what leaked.
    pub reason: String,
}

/// By row and command, wrapper, and host.
pub struct Results(BTreeMap<String, Entry>);

impl Results {
    /// Those of earlier runs.
    pub fn load() -> Results {
        let text = fs::read_to_string(file()).unwrap_or_default();
        Results(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Keeps the runs of one row through one wrapper.
    pub fn record(&mut self, row: &Row, wrapper: Wrapper, trials: &[Trial]) {
        for trial in trials {
            let reason = match trial.verdict {
                Verdict::Leaks => trial.leaks[0].clone(),
                Verdict::Works => String::new(),
                _ => trial.reason.clone(),
            };
            let entry = Entry { verdict: trial.verdict, reason };
            self.0.insert(key(row, wrapper, trial.host), entry);
        }
        let text = serde_json::to_string_pretty(&self.0).expect("verdicts are text");
        fs::create_dir_all(workshop()).expect("the target directory can be written");
        fs::write(file(), text).expect("the target directory can be written");
    }

    /// The last run of this row, or nothing.
    pub fn of(&self, row: &Row, wrapper: Wrapper, host: Host) -> Option<&Entry> {
        self.0.get(&key(row, wrapper, host))
    }
}

/// A row whose command has changed has no results.
fn key(row: &Row, wrapper: Wrapper, host: Host) -> String {
    format!("{}|{}|{}|{}", row.name, wrapper.name(), host.name(), row.command)
}

fn file() -> PathBuf {
    workshop().join("results.json")
}
