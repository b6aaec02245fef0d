//! Connections through a local SOCKS server: set-up, throughput, memory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::programs::{self, CLIENT, compile};
use super::socks_server::SocksServer;
use super::torifier::{self, NOTHING, Torifier};
use crate::measure::plan::{Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;

/// The subject that speaks SOCKS itself, without a library: what set-up is compared with.
pub const BARE: &str = "bare SOCKS client";

/// What is measured of a mode of the client.
struct Mode {
    workload: &'static str,
    unit: &'static str,
    key: &'static str,
    arguments: Vec<String>,
    threads: u32,
}

struct Subject {
    torifier: Torifier,
    name: String,
    /// The program speaks SOCKS itself.
    bare: bool,
}

/// Measures each mode under each library.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-connections");
    let server = SocksServer::start()?;
    let program = compile(CLIENT, scratch)?;
    let (peers, notes) = torifier::peers(server.port, scratch)?;
    results.notes = notes;
    let with = |torifier: Torifier| Subject { name: torifier.name.clone(), torifier, bare: false };
    let mut subjects = vec![
        Subject { torifier: Torifier::nothing(), name: BARE.to_owned(), bare: true },
        with(Torifier::nothing()),
        with(torifier::epochsocks(server.port)?),
    ];
    subjects.extend(peers.into_iter().map(with));
    let modes = modes(plan.effort);
    let mut progress = Progress::new(&results.experiment, modes.len());
    for mode in modes {
        progress.step(mode.workload);
        let asked: Vec<_> =
            subjects.iter().filter(|s| !s.bare || mode.arguments[0] == "connect").collect();
        let samples = interleaved(plan.rounds, asked.len(), |index| {
            sample(&program, asked[index], &mode, server).unwrap_or_else(|error| {
                results.notes.push(error.to_string());
                f64::NAN
            })
        });
        results.series.extend(asked.iter().zip(samples).map(|(subject, samples)| Series {
            workload: mode.workload.to_owned(),
            subject: subject.name.clone(),
            threads: mode.threads,
            entries: 0,
            unit: mode.unit.to_owned(),
            samples: samples.into_iter().filter(|sample| !sample.is_nan()).collect(),
        }));
    }
    results.notes.sort();
    results.notes.dedup();
    results
        .notes
        .push(format!("{NOTHING:?} connects straight to the server's sink, without SOCKS"));
    Ok(results)
}

fn modes(effort: Effort) -> Vec<Mode> {
    let quick = effort == Effort::Quick;
    let (one, many, megabytes) = if quick { (100, 5, 64) } else { (1_000, 40, 512) };
    let mode = |workload, unit, key, words: &[String], threads| Mode {
        workload,
        unit,
        key,
        arguments: words.to_vec(),
        threads,
    };
    let connect =
        |threads: u32, count: u32| ["connect".to_owned(), threads.to_string(), count.to_string()];
    vec![
        mode("connect, median time", "µs/connect", "median", &connect(1, one), 1),
        mode("connect, rate", "connects/s", "rate", &connect(64, many), 64),
        mode("stream", "MiB/s", "rate", &["stream".to_owned(), megabytes.to_string()], 1),
        mode("memory", "bytes/connection", "bytes", &["memory".to_owned(), "70".to_owned()], 1),
    ]
}

fn sample(program: &Path, subject: &Subject, mode: &Mode, server: SocksServer) -> io::Result<f64> {
    let mut arguments = mode.arguments.clone();
    let mut variables = vec![("BENCH_PORT", server.port.to_string())];
    if subject.bare {
        arguments[0] = "socks".to_owned();
    } else if subject.torifier.name == NOTHING {
        variables.push(("BENCH_DIRECT", server.sink.to_string()));
    }
    let found: BTreeMap<String, f64> =
        programs::run(program, &arguments, &subject.torifier, &variables)?;
    found.get(mode.key).copied().ok_or_else(|| io::Error::other(format!("no {}", mode.key)))
}
