//! What an exec costs: the library alone, and the whole launcher.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::programs::{EMPTY, compile};
use super::torifier::{self, Torifier};
use crate::measure::plan::Plan;
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};
use crate::measure::rounds::interleaved;

/// Execs a round stands for.
const EACH: usize = 20;

/// A way to start a program, under its name.
type Start<'t> = (String, Box<dyn Fn() -> Option<Command> + 't>);

/// Measures libraries, then launchers.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-startup");
    let program = compile(EMPTY, scratch)?;
    let (peers, notes) = torifier::peers(9050, scratch)?;
    results.notes = notes;
    let mut torifiers = vec![Torifier::nothing(), torifier::epochsocks(9050)?];
    torifiers.extend(peers);
    let mut progress = Progress::new(&results.experiment, 2);
    let library = |torifier: &Torifier| -> Option<Command> {
        let mut command = Command::new(&program);
        torifier.apply(&mut command);
        Some(command)
    };
    for workload in ["library", "launcher"] {
        progress.step(workload);
        let starts: Vec<Start<'_>> = torifiers
            .iter()
            .filter(|torifier| workload == "library" || torifier.launch(&program).is_some())
            .map(|torifier| {
                let start: Box<dyn Fn() -> Option<Command>> = match workload {
                    "library" => Box::new(move || library(torifier)),
                    _ => Box::new(|| torifier.launch(&program)),
                };
                (torifier.name.clone(), start)
            })
            .collect();
        let samples = measure(plan.rounds * EACH, &starts);
        results.series.extend(starts.iter().zip(samples).map(|((name, _), samples)| Series {
            workload: workload.to_owned(),
            subject: name.clone(),
            threads: 1,
            entries: 0,
            unit: "µs/exec".to_owned(),
            samples,
        }));
    }
    results.notes.push("from posix_spawn to the end of a program that does nothing".to_owned());
    Ok(results)
}

fn measure(rounds: usize, starts: &[Start<'_>]) -> Vec<Vec<f64>> {
    interleaved(rounds, starts.len(), |index| {
        let (name, start) = &starts[index];
        let mut command = start().expect("checked before");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status().expect("an exec");
        let time = start.elapsed();
        assert!(status.success(), "{name}: {status}");
        time.as_nanos() as f64 / 1e3
    })
}
