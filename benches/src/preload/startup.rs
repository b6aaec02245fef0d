//! Cost of an exec: the library alone, and the whole launcher.

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
const EACH: usize = 40;
/// Execs of which the quickest is one sample: nearly always one of them is left alone by the rest of
/// the machine.
const LEAST_OF: usize = 20;

/// A way to start a program, under its name.
type Start<'t> = (String, Box<dyn Fn() -> Option<Command> + 't>);

/// Measures libraries, then launchers.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-startup");
    let program = compile(EMPTY, scratch)?;
    let (peers, notes) = torifier::peers(9050, scratch)?;
    results.notes = notes;
    let prefix = scratch.join("prefix");
    let mut torifiers = vec![
        Torifier::nothing(),
        Torifier::floor(scratch)?.installed(&prefix)?,
        torifier::unset()?.installed(&prefix)?,
    ];
    torifiers.extend(peers);
    let mut progress = Progress::new(&results.experiment, 2);
    for workload in ["library", "launcher"] {
        progress.step(workload);
        let starts: Vec<Start<'_>> = torifiers
            .iter()
            .filter(|torifier| workload == "library" || torifier.launch(&program).is_some())
            .map(|torifier| (torifier.name.clone(), start(workload, torifier, &program)))
            .collect();
        let mut busy = vec![Vec::new(); starts.len()];
        let walls = interleaved(plan.programs * EACH, starts.len(), |index| {
            let (wall, processor) = exec(&starts[index]);
            busy[index].push(processor);
            wall
        });
        let least = busy.iter().map(|times| least(times, LEAST_OF)).collect();
        for (workload, samples) in [
            (workload.to_owned(), walls),
            (format!("{workload}, processor time"), busy),
            (format!("{workload}, least processor time of {LEAST_OF}"), least),
        ] {
            results.series.extend(starts.iter().zip(samples).map(|((name, _), samples)| Series {
                workload: workload.clone(),
                subject: name.clone(),
                threads: 1,
                entries: 0,
                unit: "µs/exec".to_owned(),
                samples,
            }));
        }
    }
    results.notes.push(format!(
        "from posix_spawn to the end of a program that does nothing, ours and the empty library from \
             an installed prefix; and the processor time of that program, which other programs \
             disturb less, most of all the least of {LEAST_OF} execs in a row, between which the \
             other subjects have theirs"
    ));
    Ok(results)
}

fn start<'t>(
    workload: &str,
    torifier: &'t Torifier,
    program: &'t Path,
) -> Box<dyn Fn() -> Option<Command> + 't> {
    match workload {
        "library" => Box::new(move || {
            let mut command = Command::new(program);
            torifier.apply(&mut command);
            Some(command)
        }),
        _ => Box::new(move || torifier.launch(program)),
    }
}

/// The least of each `count` samples.
fn least(samples: &[f64], count: usize) -> Vec<f64> {
    samples.chunks(count).map(|group| group.iter().copied().fold(f64::INFINITY, f64::min)).collect()
}

/// Microseconds of one exec: by the wall, and of the processor.
#[expect(clippy::zombie_processes, reason = "wait4 tells the processor time, too")]
fn exec((name, start): &Start<'_>) -> (f64, f64) {
    let mut command = start().expect("checked before");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().expect("an exec");
    let mut status = 0;
    // SAFETY: zeroed numbers; the child is ours and has not been waited for.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage);
        usage
    };
    let wall = start.elapsed();
    assert_eq!(status, 0, "{name}");
    let microseconds = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    (wall.as_nanos() as f64 / 1e3, microseconds(usage.ru_utime) + microseconds(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_least() {
        assert_eq!(least(&[3.0, 1.0, 2.0, 9.0, 8.0, 7.0, 5.0], 3), [1.0, 7.0, 5.0]);
        assert_eq!(least(&[], 3), [0.0; 0]);
    }
}
