//! The README of the registry's crate: its guarantees are those of the sources, its figures those of the
//! committed report.

use std::fs;
use std::path::{Path, PathBuf};

use epochsocks::registry::VARIANTS;
use serde::Deserialize;

use crate::root;

const README: &str = "src/registry/README.md";
const RENEW: &str = "EPOCHSOCKS_BLESS=1 cargo test --test documents crate";

#[derive(Deserialize)]
struct Results {
    machine: Machine,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Machine {
    processor: String,
    processors: u32,
}

#[derive(Deserialize)]
struct Series {
    workload: String,
    subject: String,
    threads: u32,
    entries: u32,
    samples: Vec<f64>,
}

/// The columns: a title, a workload, and its number of threads.
const COLUMNS: [(&str, &str, u32); 6] = [
    ("borrow", "borrow-distinct", 1),
    ("counted", "counted-distinct", 1),
    ("miss", "miss", 1),
    ("insert + remove", "insert-remove", 1),
    ("borrow, 2 threads", "borrow-distinct", 2),
    ("insert + remove, 2 threads", "insert-remove", 2),
];

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Nanoseconds with two digits that say something.
fn figure(nanoseconds: f64) -> String {
    if nanoseconds < 9.95 { format!("{nanoseconds:.1}") } else { format!("{nanoseconds:.0}") }
}

/// The folders of the report's runs, one a machine.
fn runs() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("design/report")).expect("the report is there");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let mut folders: Vec<_> = folders.collect();
    folders.sort();
    folders
}

fn peers() -> String {
    let mut text = "Nanoseconds an operation, medians with 100 entries; with 2 threads the time of both by the \
         operations of both. *Lacks* has the guarantees that a backend of this project does not give; the \
         others promise nothing of the kind, and `array` is a floor that leads to no records. `benches/run \
         throughput` measures them, and the project's report has all settings and the spread.\n"
        .to_owned();
    for run in runs() {
        text += &peers_of(&run);
    }
    text
}

fn peers_of(run: &Path) -> String {
    let report = fs::read_to_string(run.join("registry-throughput.json")).expect("the run has it");
    let Results { machine, series } = serde_json::from_str(&report).expect("results");
    let mut subjects: Vec<&str> = Vec::new();
    for one in &series {
        if !subjects.contains(&one.subject.as_str()) {
            subjects.push(&one.subject);
        }
    }
    let mut text = format!(
        "\n*{}*, {} processors:\n\n| | {} | lacks |\n| --- |{} --- |\n",
        machine.processor,
        machine.processors,
        COLUMNS.map(|(title, ..)| title).join(" | "),
        " ---: |".repeat(COLUMNS.len()),
    );
    for subject in subjects {
        let cells = COLUMNS.map(|(_, workload, threads)| {
            let is_it = |one: &&Series| {
                (one.workload.as_str(), one.subject.as_str()) == (workload, subject)
                    && (one.threads, one.entries) == (threads, 100)
            };
            series.iter().find(is_it).map_or("–".to_owned(), |one| figure(median(&one.samples)))
        });
        let variant = VARIANTS.iter().find(|variant| variant.name == subject);
        let lacks = variant.map_or("–".to_owned(), |variant| {
            let letters =
                variant.guarantees.missing.iter().map(|(letter, _)| format!("{letter:?}"));
            let letters = letters.collect::<Vec<_>>().join(", ");
            if letters.is_empty() { "nothing".to_owned() } else { letters }
        });
        text += &format!("| {subject} | {} | {lacks} |\n", cells.join(" | "));
    }
    text
}

/// The list in the head of the crate.
fn guarantees() -> String {
    let head = fs::read_to_string(root().join("src/registry/src/lib.rs")).expect("the sources");
    let lines = head.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let list = lines.skip_while(|line| !line.starts_with("- **A**"));
    let list: Vec<_> = list.take_while(|line| !line.is_empty()).collect();
    list.join("\n") + "\n"
}

/// `text` with another block between `<!-- NAME -->` and the end of it.
fn with_block(text: &str, name: &str, block: &str) -> String {
    let start = format!("<!-- {name} -->\n");
    let (before, rest) = text.split_once(&start).expect("the block's start");
    let (_, after) = rest.split_once("<!-- end -->").expect("the block's end");
    format!("{before}{start}{block}<!-- end -->{after}")
}

#[test]
fn the_crate_says_what_its_sources_and_the_report_say() {
    let file = root().join(README);
    let found = fs::read_to_string(&file).expect("the crate has a README");
    let text = with_block(&found, "guarantees", &guarantees());
    let text = with_block(&text, "peers", &peers());
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        fs::write(file, text).expect("the checkout can be written");
        return;
    }
    assert!(found == text, "{README} is stale; `{RENEW}` renews it");
}
