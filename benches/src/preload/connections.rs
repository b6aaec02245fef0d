//! Connections through a local SOCKS server, set-up, throughput and memory, and through real tor
//! daemons, set-up.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

use super::private_network::{ECHO, PrivateNetwork, SOCKS_PORT};
use super::programs::{self, CLIENT, compile};
use super::socks_server::SocksServer;
use super::torifier::{self, NOTHING, Torifier};
use crate::measure::plan::{Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;

/// The subject that speaks SOCKS itself, without a library: what set-up is compared with.
pub const BARE: &str = "bare SOCKS client";
/// The same with the system calls that the hooks make: what is more than this is the hooks' own instructions.
pub const CALLS: &str = "bare, the hooks' calls";

/// Measurement in one mode of the client.
struct Mode {
    workload: &'static str,
    unit: &'static str,
    key: &'static str,
    arguments: Vec<String>,
    threads: u32,
    /// Runs of the client in place of one. A process stays where the scheduler has put it beside the server, so that
    /// the median of one thread's connects differs from run to run: many short runs tell more than a long one.
    runs: usize,
}

struct Subject {
    torifier: Torifier,
    name: String,
    /// The client's mode in which it speaks SOCKS itself.
    bare: Option<&'static str>,
}

/// Proxy and destination of the client.
struct Way<'w> {
    port: u16,
    /// Port to which a program without a torifier connects.
    sink: Option<u16>,
    network: Option<&'w PrivateNetwork>,
}

/// Measures each mode under each library, through a local SOCKS server.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let server = SocksServer::start()?;
    let way = Way { port: server.port, sink: Some(server.sink), network: None };
    let quick = plan.effort == Effort::Quick;
    let (one, many, megabytes) = if quick { (100, 5, 64) } else { (250, 200, 512) };
    let stream = ["stream".to_owned(), megabytes.to_string()];
    let memory = ["memory".to_owned(), "70".to_owned()];
    let modes = [
        Mode {
            runs: if quick { 1 } else { 40 },
            ..mode("connect, median time", "µs/connect", "median", &connect(1, one), 1)
        },
        mode("connect, rate", "connects/s", "rate", &connect(64, many), 64),
        mode("stream", "MiB/s", "rate", &stream, 1),
        mode("memory", "bytes/connection", "bytes", &memory, 1),
    ];
    let mut results = measure("preload-connections", plan, scratch, &way, &modes)?;
    results
        .notes
        .push(format!("{NOTHING:?} connects straight to the server's sink, without SOCKS"));
    Ok(results)
}

/// Measures connects through the private network of real tor daemons; a note and no samples where
/// it can't be had.
pub fn run_through_tor(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    const NAME: &str = "preload-tor-connections";
    let network = match PrivateNetwork::start() {
        Ok(network) => network,
        Err(why) => {
            let mut results = Results::new(NAME);
            results.notes.push(format!("left out, as there is no private Tor network: {why}"));
            return Ok(results);
        }
    };
    let way = Way { port: SOCKS_PORT, sink: None, network: Some(&network) };
    let (one, many) = if plan.effort == Effort::Quick { (20, 2) } else { (200, 10) };
    let modes = [
        mode("connect, median time", "µs/connect", "median", &connect(1, one), 1),
        mode("connect, rate, 1 thread", "connects/s", "rate", &connect(1, one), 1),
        mode("connect, rate", "connects/s", "rate", &connect(64, many), 64),
    ];
    measure(NAME, plan, scratch, &way, &modes)
}

fn measure(
    experiment: &str,
    plan: &Plan,
    scratch: &Path,
    way: &Way<'_>,
    modes: &[Mode],
) -> io::Result<Results> {
    let mut results = Results::new(experiment);
    let program = compile(CLIENT, scratch)?;
    let (peers, notes) = torifier::peers(way.port, scratch)?;
    results.notes = notes;
    let with = |torifier: Torifier| Subject { name: torifier.name.clone(), torifier, bare: None };
    let bare = |name: &str, mode| Subject {
        torifier: Torifier::nothing(),
        name: name.to_owned(),
        bare: Some(mode),
    };
    let direct = way.sink.map(|_| with(Torifier::nothing()));
    // Tor does not answer at once, as this one needs it.
    let calls = way.sink.map(|_| bare(CALLS, "calls"));
    let subjects: Vec<_> = [bare(BARE, "socks")]
        .into_iter()
        .chain(calls)
        .chain(direct)
        .chain([with(torifier::epochsocks(way.port)?)])
        .chain(peers.into_iter().map(with))
        .collect();
    let mut progress = Progress::new(experiment, modes.len());
    for mode in modes {
        progress.step(mode.workload);
        let asked: Vec<_> = subjects
            .iter()
            .filter(|s| s.bare.is_none() || mode.arguments[0] == "connect")
            .collect();
        let samples = interleaved(plan.programs * mode.runs, asked.len(), |index| {
            sample(&program, asked[index], mode, way).unwrap_or_else(|error| {
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
    Ok(results)
}

fn mode(
    workload: &'static str,
    unit: &'static str,
    key: &'static str,
    words: &[String],
    threads: u32,
) -> Mode {
    Mode { workload, unit, key, arguments: words.to_vec(), threads, runs: 1 }
}

fn connect(threads: u32, count: u32) -> [String; 3] {
    ["connect".to_owned(), threads.to_string(), count.to_string()]
}

fn sample(program: &Path, subject: &Subject, mode: &Mode, way: &Way<'_>) -> io::Result<f64> {
    let mut arguments = mode.arguments.clone();
    let mut variables = vec![("BENCH_PORT", way.port.to_string())];
    if way.network.is_some() {
        variables
            .extend([("BENCH_HOST", ECHO.0.to_owned()), ("BENCH_HOST_PORT", ECHO.1.to_string())]);
    }
    if let Some(mode) = subject.bare {
        arguments[0] = mode.to_owned();
    } else if let Some(sink) = way.sink.filter(|_| subject.torifier.name == NOTHING) {
        variables.push(("BENCH_DIRECT", sink.to_string()));
    }
    let enter = |command: &mut Command| {
        if let Some(network) = way.network {
            network.enter(command);
        }
    };
    let found: BTreeMap<String, f64> =
        programs::run_in(enter, program, &arguments, &subject.torifier, &variables)?;
    found.get(mode.key).copied().ok_or_else(|| io::Error::other(format!("no {}", mode.key)))
}
