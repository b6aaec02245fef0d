//! Cost of the layers: the same programs, started by the launcher without a backstop, with it, and under
//! a supervisor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use super::programs::{CLIENT, EMPTY, compile, compile_statically};
use super::socks_server::SocksServer;
use super::torifier::{self, SUPERVISOR, Torifier};
use crate::measure::plan::{Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;
use crate::measure::statistics::{median, ratios};

/// Sample of one subject; none where the subject does not run such a program.
type Sample<'w> = Box<dyn Fn(&Torifier) -> Option<io::Result<f64>> + 'w>;

/// A workload: its name, its unit, and how a sample of it is taken.
type Workload<'w> = (&'w str, &'w str, Sample<'w>);

/// Execs a round stands for, of which the sample is the median.
const EXECS: usize = 20;

/// Measures an exec, a system call, a socket, connects of a dynamic and of a static program, and the memory of what
/// waits beside the program.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-backstop");
    let server = SocksServer::start()?;
    let subjects = torifier::layers(server.port)?;
    let (empty, client) = (compile(EMPTY, scratch)?, compile(CLIENT, scratch)?);
    let static_client = compile_statically(CLIENT, scratch)?;
    let quick = plan.effort == Effort::Quick;
    let (batches, sockets, connects, of_each) =
        if quick { ("5", "1", "100", "1") } else { ("101", "11", "2000", "10") };
    let port = server.port.to_string();
    let alone = |subject: &Torifier, program| {
        client_says(subject, program, &port, "median", &["connect", "1", connects])
    };
    let together = |subject: &Torifier, program| {
        let rate = client_says(subject, program, &port, "rate", &["connect", "200", of_each]);
        rate.map(|rate| 1e6 / rate)
    };
    // The launcher picks a supervisor for a static program by itself.
    let supervised = |subject: &Torifier| subject.name == SUPERVISOR;
    let workloads: [Workload<'_>; 8] = [
        ("exec", "µs/exec", Box::new(|subject| Some(exec(subject, &empty)))),
        (
            "system call",
            "ns/call",
            Box::new(|subject| {
                Some(client_says(subject, &client, &port, "ns", &["plain", batches]))
            }),
        ),
        (
            "TCP socket, made and closed",
            "ns",
            Box::new(|subject| {
                Some(client_says(subject, &client, &port, "ns", &["socket", sockets]))
            }),
        ),
        ("connect", "µs", Box::new(|subject| Some(alone(subject, &client)))),
        ("connect of 200 threads", "µs each", Box::new(|subject| Some(together(subject, &client)))),
        (
            "connect, static program",
            "µs",
            Box::new(|subject| supervised(subject).then(|| alone(subject, &static_client))),
        ),
        (
            "connect of 200 threads, static program",
            "µs each",
            Box::new(|subject| supervised(subject).then(|| together(subject, &static_client))),
        ),
        (
            "memory beside the program",
            "kB",
            Box::new(|subject| supervised(subject).then(|| memory_beside(subject))),
        ),
    ];
    let mut progress = Progress::new(&results.experiment, workloads.len());
    let mut table = String::from("| what |");
    for subject in &subjects {
        let _ = write!(table, " {} |", subject.name);
    }
    table += " medians of ratios |\n";
    for (workload, unit, sample) in &workloads {
        progress.step(workload);
        let mut failure = None;
        let samples =
            interleaved(plan.programs, subjects.len(), |index| match sample(&subjects[index]) {
                Some(Ok(sample)) => sample,
                Some(Err(error)) => {
                    failure = Some(error);
                    f64::NAN
                }
                None => f64::NAN,
            });
        if let Some(error) = failure {
            return Err(error);
        }
        let measured = |samples: &[f64]| samples.iter().any(|sample| !sample.is_nan());
        let _ = write!(table, "| {workload}, {unit} |");
        for samples in &samples {
            let cell = if measured(samples) { median(samples) } else { None };
            let _ = write!(table, " {} |", cell.map_or("–".to_owned(), |it| format!("{it:.2}")));
        }
        for other in samples.iter().skip(1).filter(|other| measured(other)) {
            let ratio = median(&ratios(other, &samples[0])).filter(|ratio| !ratio.is_nan());
            let _ = write!(table, " {}", ratio.map_or("–".to_owned(), |it| format!("{it:.3}")));
        }
        table += " |\n";
        let all = subjects.iter().zip(samples).filter(|(_, samples)| measured(samples));
        results.series.extend(all.map(|(subject, samples)| Series {
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

/// Kilobytes that the processes beside the program have to themselves, while it waits.
fn memory_beside(subject: &Torifier) -> io::Result<f64> {
    let mut command = subject.launch(Path::new("cat")).ok_or(io::ErrorKind::NotFound)?;
    let mut launcher = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut to), Some(mut from)) = (launcher.stdin.take(), launcher.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    // The program is there once it has answered.
    to.write_all(b"\n")?;
    from.read_exact(&mut [0])?;
    let sum = private_memory_of_tree(launcher.id(), "cat");
    drop((to, from));
    launcher.wait()?;
    sum
}

/// Kilobytes of the process `root` and all below it, but for those that are called `except`.
fn private_memory_of_tree(root: u32, except: &str) -> io::Result<f64> {
    let mut sum = 0.0;
    let mut left = vec![root.to_string()];
    while let Some(pid) = left.pop() {
        let text = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        left.extend(text(&format!("task/{pid}/children"))?.split_whitespace().map(str::to_owned));
        if text("comm")?.trim_end() != except {
            let memory = text("smaps_rollup")?;
            let line = memory.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            sum += number.and_then(|number| number.parse::<f64>().ok()).unwrap_or(f64::NAN);
        }
    }
    Ok(sum)
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
