//! Results in; tables, plots and one HTML page out. A report holds a run of each machine, in a folder that
//! its processor's name gives.
//!
//! - [`targets`]: the targets, and what was measured for each
//! - [`page`]: the page, whose text is in page.html; [`details`]: the tables at its end
//! - [`plot`]: lines as SVG; [`bars`]: the README's figure; [`text`]: numbers and tables
//! - [`csv`]: every sample, a row each
//! - [`documents`]: the paragraphs of figures in README and design/

pub mod bars;
pub mod csv;
pub mod details;
pub mod documents;
pub mod page;
pub mod plot;
pub mod targets;
pub mod text;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::measure::machine::Machine;
use crate::measure::results::Results;

/// The results of one machine.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its folder.
    pub folder: String,
    /// Its results, an experiment each.
    pub all: Vec<Results>,
}

impl Run {
    /// The machine, for people.
    pub fn name(&self) -> &str {
        self.all.first().map_or("", |results| results.machine.processor.as_str())
    }
}

/// The folder of a processor's runs: its name without marks, speed and what all processors are called.
pub fn folder(processor: &str) -> String {
    let name = processor.split('@').next().unwrap_or("").replace("(R)", " ").replace("(TM)", " ");
    let words =
        name.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let telling =
        words.map(str::to_ascii_lowercase).filter(|word| word != "cpu" && word != "processor");
    telling.collect::<Vec<_>>().join("-")
}

/// The runs that a report holds, by their folders.
pub fn read(report: &Path) -> io::Result<Vec<Run>> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(report)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    let run = |path: &PathBuf| {
        let folder = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Run { folder, all: Results::read_all(path)? })
    };
    let runs = folders.iter().map(run).collect::<io::Result<Vec<_>>>()?;
    Ok(runs.into_iter().filter(|run| !run.all.is_empty()).collect())
}

/// Takes the results in `input` into the report: those of the same machine and experiment go.
pub fn take(input: &Path, report: &Path) -> io::Result<()> {
    let all = Results::read_all(input)?;
    if all.is_empty() {
        let message = format!("{} holds no results: run benches/run", input.display());
        return Err(io::Error::other(message));
    }
    all.iter()
        .try_for_each(|results| results.write(&report.join(folder(&results.machine.processor))))
}

/// Renews what follows from the runs of a report: the page, the figure, samples.csv of each run, and the
/// paragraphs of figures in `documents`.
pub fn render(report: &Path, documents: &[String]) -> io::Result<()> {
    let runs = read(report)?;
    for run in &runs {
        fs::write(report.join(&run.folder).join("samples.csv"), csv::table(&run.all))?;
    }
    fs::write(report.join("index.html"), page::page(&runs))?;
    fs::write(report.join("headline.svg"), bars::svg(&runs))?;
    for document in documents {
        let text = fs::read_to_string(document)?;
        fs::write(document, documents::renewed(&text, &runs))?;
    }
    Ok(())
}

/// The results of an experiment.
pub fn experiment<'r>(all: &'r [Results], name: &str) -> Option<&'r Results> {
    all.iter().find(|results| results.experiment == name)
}

/// Machine and time of each experiment, in a sentence.
pub fn machine(run: &Run) -> String {
    let Some(Machine { processor, processors, kernel, libc, rustc, .. }) =
        run.all.first().map(|results| results.machine.clone())
    else {
        return String::new();
    };
    let mut commits: Vec<(String, Vec<&str>)> = Vec::new();
    for Results { experiment, machine, .. } in &run.all {
        match commits.iter_mut().find(|it| it.0 == machine.commit) {
            Some((_, experiments)) => experiments.push(experiment),
            None => commits.push((machine.commit.clone(), vec![experiment])),
        }
    }
    let commits: Vec<_> =
        commits.iter().map(|(commit, of)| format!("{commit} ({})", of.join(", "))).collect();
    format!(
        "{processor}, {processors} processors, Linux {kernel}, {libc}, {rustc}; measured at {}. A + \
         means that files differed from the commit.",
        commits.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_s_name_gives_its_folder() {
        assert_eq!(folder("AMD EPYC"), "amd-epyc");
        assert_eq!(folder("Intel(R) Xeon(R) Processor"), "intel-xeon");
        assert_eq!(folder("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz"), "intel-xeon-e5-2686-v4");
    }

    #[test]
    fn the_committed_report_is_that_of_the_committed_runs() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let report = format!("{root}/design/report");
        let runs = read(report.as_ref()).expect("runs are committed");
        let found = |path: &str| fs::read_to_string(path).expect("committed");
        let is_right = |path: &str, text: &str| {
            assert!(found(path) == text, "stale: `benches/report --render` renews {path}");
        };
        is_right(&format!("{report}/headline.svg"), &bars::svg(&runs));
        is_right(&format!("{report}/index.html"), &page::page(&runs));
        for document in documents::DOCUMENTS {
            let path = format!("{root}/{document}");
            is_right(&path, &documents::renewed(&found(&path), &runs));
        }
        for run in &runs {
            assert_eq!(run.folder, folder(run.name()), "a run lies in its processor's folder");
            let path = format!("{report}/{}/samples.csv", run.folder);
            is_right(&path, &csv::table(&run.all));
        }
    }
}
