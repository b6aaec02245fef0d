//! Eight connects at once in real event loops, each answered after a second: the time of all, the
//! longest time for which the loop stood still, and the longest processor time inside one call.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::slow_server::SlowServer;
use super::torifier::{self, NOTHING, Torifier};
use crate::measure::plan::{Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::statistics::median;

const CONNECTS: u32 = 8;
/// Whatever is asked of the proxy.
const FAR: [&str; 2] = ["192.0.2.1", "80"];
/// The peers take eight answers' time for each sample, so a few rounds must do.
const ROUNDS: usize = 5;

/// Measured quantity, with its unit.
const TOTAL: (&str, &str) = ("time of all", "ms");
const GAP: (&str, &str) = ("longest gap", "ms");
const CALL: (&str, &str) = ("longest call", "ms of processor time");

/// A client of tests/probes.
struct Loop {
    name: &'static str,
    /// The program, and what stands before the numbers.
    words: Vec<PathBuf>,
    variant: Option<&'static str>,
}

/// One run: time of all, longest gap, longest call.
type Sample = [f64; 3];

/// Runs every loop that can be had under every library.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-loops");
    let delay = Duration::from_millis(if plan.effort == Effort::Quick { 100 } else { 1_000 });
    let server = SlowServer::start(delay)?;
    let (peers, notes) = torifier::peers(server.socks, scratch)?;
    results.notes = notes;
    let stopwatch = torifier::shared_library("stopwatch", scratch)?;
    let mut torifiers = vec![Torifier::nothing(), torifier::epochsocks(server.socks)?];
    torifiers.extend(peers);
    let loops = loops(scratch, &mut results.notes);
    let mut progress = Progress::new(&results.experiment, loops.len());
    for event_loop in &loops {
        progress.step(event_loop.name);
        let mut failures = Vec::new();
        let mut runs = vec![Vec::new(); torifiers.len()];
        for turn in 0..plan.programs.min(ROUNDS) * torifiers.len() {
            // In an order that rotates.
            let index = (turn + turn / torifiers.len()) % torifiers.len();
            match sample(event_loop, &torifiers[index], server, &stopwatch, scratch) {
                Ok(sample) => runs[index].push(sample),
                Err(error) => failures.push(error.to_string()),
            }
        }
        for (torifier, samples) in torifiers.iter().zip(&runs) {
            for (which, (what, unit)) in [TOTAL, GAP, CALL].into_iter().enumerate() {
                results.series.push(Series {
                    workload: format!("{}, {what}", event_loop.name),
                    subject: torifier.name.clone(),
                    threads: 1,
                    entries: CONNECTS,
                    unit: unit.to_owned(),
                    samples: samples.iter().map(|sample: &Sample| sample[which]).collect(),
                });
            }
        }
        results.notes.extend(failures);
    }
    drop(progress);
    results.notes.push(format!(
        "{NOTHING:?} connects straight to a server that answers after the same time, so that its gap is \
         the loop's and the machine's own"
    ));
    println!("{}", table(&results, &loops, &torifiers));
    Ok(results)
}

fn loops(scratch: &Path, notes: &mut Vec<String>) -> Vec<Loop> {
    let probes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/probes");
    let script = |program: &str, file: &str| vec![program.into(), probes.join(file)];
    let compiled = |name: &str, flag: &str| -> io::Result<Vec<PathBuf>> {
        let program = std::path::absolute(scratch.join(name))?;
        let source = probes.join(format!("{name}.c"));
        let output = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-o"])
            .args([&program, &source])
            .arg(flag)
            .output()?;
        match output.status.success() {
            true => Ok(vec![program]),
            false => Err(io::Error::other(format!("{name} is left out: it does not compile"))),
        }
    };
    // The machine's own, for which uvloop is packaged.
    let own = "/usr/bin/python3";
    let python = if Path::new(own).exists() { own } else { "python3" };
    let libevent = || compiled("loop_libevent", "-levent");
    let candidates = [
        ("asyncio", Ok(script(python, "loop_asyncio.py")), None),
        ("uvloop", Ok(script(python, "loop_asyncio.py")), Some("uvloop")),
        ("node", Ok(script("node", "loop_node.js")), None),
        ("tokio", torifier::built("loop_tokio").map(|program| vec![program]), None),
        ("libevent, epoll", libevent(), Some("epoll")),
        ("libevent, poll", libevent(), Some("poll")),
        ("libevent, select", libevent(), Some("select")),
        ("libuv", compiled("loop_libuv", "-luv"), None),
    ];
    let usable = candidates.into_iter().filter_map(|(name, words, variant)| match words {
        Ok(words) => Some(Loop { name, words, variant }),
        Err(error) => {
            notes.push(error.to_string());
            None
        }
    });
    usable.collect()
}

fn sample(
    event_loop: &Loop,
    torifier: &Torifier,
    server: SlowServer,
    stopwatch: &Path,
    scratch: &Path,
) -> io::Result<Sample> {
    let (program, script) = event_loop.words.split_first().expect("a loop has a program");
    let record = std::path::absolute(scratch.join("stopwatch"))?;
    let mut command = Command::new(program);
    torifier.apply_behind(stopwatch, &mut command).env("STOPWATCH", &record);
    command.args(script).arg(CONNECTS.to_string());
    match torifier.name == NOTHING {
        true => command.args(["127.0.0.1", &server.web.to_string()]),
        false => command.args(FAR),
    };
    let output = command.args(event_loop.variant).output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = printed.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let failed = |why: &str| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().next().unwrap_or_default();
        io::Error::other(format!("{} under {}: {why}: {first}", event_loop.name, torifier.name))
    };
    let [answered, _, gap, total] = numbers.as_slice() else {
        return Err(failed(&output.status.to_string()));
    };
    if *answered < CONNECTS.into() {
        return Err(failed(&format!("{answered} of {CONNECTS} answered")));
    }
    let watched = std::fs::read_to_string(&record)?;
    let longest = watched.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok());
    Ok([*total, *gap, longest.ok_or_else(|| failed("the stopwatch saw nothing"))? / 1e6])
}

/// The medians next to each other, and the most of the gaps.
fn table(results: &Results, loops: &[Loop], torifiers: &[Torifier]) -> String {
    let mut text = String::from(
        "| loop | under | time of all, ms | longest gap, ms: median (most) | longest call, processor ms |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for event_loop in loops {
        for torifier in torifiers {
            let samples = |(what, _): (&str, &str)| {
                let workload = format!("{}, {what}", event_loop.name);
                let found = results.find(&workload, &torifier.name, 1, CONNECTS);
                found.map(|series| series.samples.clone()).unwrap_or_default()
            };
            let [totals, gaps, calls] = [TOTAL, GAP, CALL].map(samples);
            let (Some(total), Some(gap), Some(call)) =
                (median(&totals), median(&gaps), median(&calls))
            else {
                continue;
            };
            let _ = writeln!(
                text,
                "| {} | {} | {:.0} | {:.1} ({:.1}) | {:.3} |",
                event_loop.name,
                torifier.name,
                total,
                gap,
                gaps.iter().copied().fold(0.0, f64::max),
                call
            );
        }
    }
    text
}
