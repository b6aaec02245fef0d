//! Cost of each hooked call, on an untracked descriptor and on a connection.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::programs::{self, CLIENT, compile};
use super::socks_server::SocksServer;
use super::torifier::{self, NOTHING, Torifier};
use crate::measure::plan::{Effort, Plan};
use crate::measure::progress::Progress;
use crate::measure::results::{Results, Series};

/// Each call's name, with the nanoseconds as linked and of libc's own function.
type Calls = BTreeMap<String, [f64; 2]>;

/// The subject that stands for libc's own functions, called in the process under our library.
pub const LIBC: &str = "libc";

/// Runs the client under each library, `plan.programs` times.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-hooks");
    let server = SocksServer::start()?;
    let program = compile(CLIENT, scratch)?;
    let (peers, notes) = torifier::peers(server.port, scratch)?;
    results.notes = notes;
    let mut torifiers = vec![Torifier::nothing(), torifier::epochsocks(server.port)?];
    torifiers.extend(peers);
    let batches = if plan.effort == Effort::Quick { 5 } else { 21 };
    let arguments = ["hooks".to_owned(), batches.to_string()];
    let mut progress = Progress::new(&results.experiment, plan.programs);
    let mut samples: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
    for round in 0..plan.programs {
        progress.step(&format!("round {}", round + 1));
        for torifier in &torifiers {
            let mut variables = vec![("BENCH_PORT", server.port.to_string())];
            if torifier.name == NOTHING {
                variables.push(("BENCH_DIRECT", server.sink.to_string()));
            }
            let calls: Calls = match programs::run(&program, &arguments, torifier, &variables) {
                Ok(calls) => calls,
                Err(error) => {
                    results.notes.push(error.to_string());
                    continue;
                }
            };
            for (call, [linked, libc]) in calls {
                let mut note = |subject: &str, time| {
                    samples.entry((call.clone(), subject.to_owned())).or_default().push(time);
                };
                note(&torifier.name, linked);
                if torifier.name == torifier::OURS {
                    note(LIBC, libc);
                }
            }
        }
    }
    results.notes.dedup();
    results.series.extend(samples.into_iter().map(|((workload, subject), samples)| Series {
        workload,
        subject,
        threads: 1,
        entries: 0,
        unit: "ns/call".to_owned(),
        samples,
    }));
    results.notes.push(format!(
        "each sample is the median of {batches} batches of 1,000 calls; the batches of the linked \
         and of libc's own function alternate in one process"
    ));
    Ok(results)
}
