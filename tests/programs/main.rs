//! Real programs, each against a service of the private network: what works through Tor, what is refused
//! and why, beside torsocks and proxychains4.
//!
//! - `programs.tsv`: the programs, a line each
//! - [`table`]: reads it
//! - [`wrapper`]: the torifiers that a program is run through
//! - [`trial`]: one run of a program
//! - [`verdict`]: the verdict on a run
//! - [`results`]: the verdicts so far, kept between runs
//! - [`document`]: the page that is generated, design/programs.md
//!
//! `cargo test --test programs` runs the programs that the table marks for it; `tests/programs/run` installs
//! and runs all of them, and writes the page.

#[path = "../support/mod.rs"]
mod support;

mod document;
mod results;
mod table;
mod trial;
mod verdict;
mod wrapper;

use std::collections::BTreeSet;

use results::Results;
use support::{Network, skip};
use table::{Must, programs};
use trial::Trial;
use verdict::Verdict;
use wrapper::Wrapper;

/// Tells all of a run through epochsocks with which something is wrong.
fn complaint(trial: &Trial) -> Option<String> {
    let good = match &trial.row.must {
        Must::Work(_) => trial.verdict == Verdict::Works,
        Must::Refuse(reason) => trial.verdict == Verdict::Refused && trial.reason.contains(reason),
    };
    (!good).then(|| trial.account())
}

#[test]
fn the_most_used_programs_work_or_are_refused_with_a_reason() {
    let Some(network) = Network::get() else { return };
    let mut complaints = Vec::new();
    for row in programs().iter().filter(|row| !row.in_ci.is_empty()) {
        match row.lacks(network) {
            Some(why) => skip::skip(&format!("{}: {why}", row.name)),
            None => {
                let run = |host: &_| Trial::run(network, row, *host, Wrapper::Epochsocks);
                complaints.extend(row.in_ci.iter().map(run).filter_map(|trial| complaint(&trial)));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// `EPOCHSOCKS_PROGRAMS` names the rows to run by a part of their names, and `EPOCHSOCKS_WRAPPERS` the
/// wrappers, each by words between spaces; without them all are. `EPOCHSOCKS_NEW` leaves out what has a verdict.
#[test]
#[ignore = "needs hundreds of packages and an hour: tests/programs/run"]
fn every_program_works_or_is_refused_with_a_reason() {
    let network = Network::get().expect("namespaces are permitted");
    let chosen = |variable: &str, name: &str| {
        std::env::var(variable).is_ok_and(|words| {
            !words.is_empty() && !words.split_whitespace().any(|word| name.contains(word))
        })
    };
    let only_new = std::env::var_os("EPOCHSOCKS_NEW").is_some();
    let mut results = Results::load();
    let mut complaints = Vec::new();
    for row in programs().iter().filter(|row| !chosen("EPOCHSOCKS_PROGRAMS", &row.name)) {
        if let Some(why) = row.lacks(network) {
            skip::note(&format!("{}: {why}", row.name));
            continue;
        }
        for wrapper in Wrapper::ALL {
            let has_verdicts =
                || row.hosts.iter().all(|host| results.of(row, wrapper, *host).is_some());
            if chosen("EPOCHSOCKS_WRAPPERS", wrapper.name()) || only_new && has_verdicts() {
                continue;
            }
            let run = |host: &_| Trial::run(network, row, *host, wrapper);
            let trials: Vec<_> = row.hosts.iter().map(run).collect();
            trials.iter().for_each(|trial| println!("{}", trial.line()));
            results.record(row, wrapper, &trials);
            if wrapper == Wrapper::Epochsocks {
                complaints.extend(trials.iter().filter_map(complaint));
            }
        }
    }
    document::write(&results);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_table_has_a_row_for_each_of_150_programs() {
    let names: BTreeSet<_> = programs().iter().map(|row| &row.name).collect();
    assert_eq!(names.len(), programs().len(), "two rows have one name");
    assert!(names.len() >= 150);
}

#[test]
fn the_page_has_a_line_for_each_program() {
    document::assert_complete();
}
