//! Cost of the backstop: the same program, started by the launcher without it and with it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use super::programs::{CLIENT, EMPTY, compile};
use super::socks_server::SocksServer;
use super::torifier::{self, Torifier};
use crate::measure::plan::{Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;
use crate::measure::statistics::{median, ratios};

/// A workload: its name, its unit, and how a sample of it is taken.
type Workload<'w> = (&'w str, &'w str, Box<dyn Fn(&Torifier) -> io::Result<f64> + 'w>);

/// Execs a round stands for, of which the sample is the median.
const EXECS: usize = 20;

/// Measures an exec, a system call and a connect.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-backstop");
    let server = SocksServer::start()?;
    let subjects = torifier::with_and_without_backstop(server.port)?;
    let (empty, client) = (compile(EMPTY, scratch)?, compile(CLIENT, scratch)?);
    let quick = plan.effort == Effort::Quick;
    let (batches, connects) = if quick { ("5", "100") } else { ("101", "2000") };
    let port = server.port.to_string();
    let workloads: [Workload<'_>; 3] = [
        ("exec", "µs/exec", Box::new(|subject| exec(subject, &empty))),
        (
            "system call",
            "ns/call",
            Box::new(|subject| client_says(subject, &client, &port, "ns", &["plain", batches])),
        ),
        (
            "connect, median time",
            "µs/connect",
            Box::new(|subject| {
                client_says(subject, &client, &port, "median", &["connect", "1", connects])
            }),
        ),
    ];
    let mut progress = Progress::new(&results.experiment, workloads.len());
    let mut table = String::from("| what | no backstop | backstop | median of ratios |\n");
    for (workload, unit, sample) in &workloads {
        progress.step(workload);
        let mut failure = None;
        let samples = interleaved(plan.programs, subjects.len(), |index| {
            sample(&subjects[index]).unwrap_or_else(|error| {
                failure = Some(error);
                f64::NAN
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let of = |samples: &[f64]| median(samples).unwrap_or(f64::NAN);
        let (without, with) = (of(&samples[0]), of(&samples[1]));
        let ratio = of(&ratios(&samples[1], &samples[0]));
        let _ = writeln!(table, "| {workload}, {unit} | {without:.2} | {with:.2} | {ratio:.3} |");
        results.series.extend(subjects.iter().zip(samples).map(|(subject, samples)| Series {
            workload: (*workload).to_owned(),
            subject: subject.name.clone(),
            threads: 1,
            entries: 0,
            unit: (*unit).to_owned(),
            samples,
        }));
    }
    drop(progress);
    println!("{table}");
    Ok(results)
}

/// Microseconds from the start of the launcher to the end of a program that does nothing.
fn exec(subject: &Torifier, program: &Path) -> io::Result<f64> {
    let once = |_| {
        let mut command = subject.launch(program).ok_or(io::ErrorKind::NotFound)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed();
        match status.success() {
            true => Ok(time.as_nanos() as f64 / 1e3),
            false => Err(io::Error::other(format!("{}: {status}", subject.name))),
        }
    };
    let times: Vec<f64> = (0..EXECS).map(once).collect::<io::Result<_>>()?;
    Ok(median(&times).unwrap_or(f64::NAN))
}

/// Runs the client and reads its value of `key`.
fn client_says(
    subject: &Torifier,
    client: &Path,
    port: &str,
    key: &str,
    words: &[&str],
) -> io::Result<f64> {
    let mut command = subject.launch(client).ok_or(io::ErrorKind::NotFound)?;
    let output = command.args(words).env("BENCH_PORT", port).output()?;
    let found: BTreeMap<String, f64> = serde_json::from_slice(&output.stdout).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{} {words:?}: {}: {errors}", subject.name, output.status))
    })?;
    found.get(key).copied().ok_or_else(|| io::Error::other(format!("no {key}")))
}
