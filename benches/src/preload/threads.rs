//! One multithreaded program under our library with each registry, and under the peers.

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

/// Thread counts. A sample takes many time slices, so that more threads than processors do meet.
const THREADS: [u32; 3] = [1, 2, 8];

/// Measures the client's `mixed` mode.
pub fn run(plan: &Plan, scratch: &Path) -> io::Result<Results> {
    let mut results = Results::new("preload-threads");
    let server = SocksServer::start()?;
    let program = compile(CLIENT, scratch)?;
    let (peers, notes) = torifier::peers(server.port, scratch)?;
    let (variants, missing) = torifier::variants(server.port);
    results.notes = notes.into_iter().chain(missing).collect();
    let mut torifiers = vec![Torifier::nothing(), torifier::epochsocks(server.port)?];
    torifiers.extend(variants);
    torifiers.extend(peers);
    let (rounds, span) =
        if plan.effort == Effort::Quick { (1, 20) } else { (plan.programs.min(5), 60) };
    let mut progress = Progress::new(&results.experiment, THREADS.len());
    for threads in THREADS {
        progress.step(&format!("{threads} threads"));
        let arguments = ["mixed".to_owned(), threads.to_string(), span.to_string()];
        let samples = interleaved(rounds, torifiers.len(), |index| {
            let torifier = &torifiers[index];
            let mut variables = vec![("BENCH_PORT", server.port.to_string())];
            if torifier.name == NOTHING {
                variables.push(("BENCH_DIRECT", server.sink.to_string()));
            }
            let found: io::Result<BTreeMap<String, f64>> =
                programs::run(&program, &arguments, torifier, &variables);
            match found {
                Ok(found) => found["ns"],
                Err(error) => {
                    results.notes.push(error.to_string());
                    f64::NAN
                }
            }
        });
        results.series.extend(torifiers.iter().zip(samples).map(|(torifier, samples)| Series {
            workload: "mixed".to_owned(),
            subject: torifier.name.clone(),
            threads,
            entries: threads,
            unit: "ns/call".to_owned(),
            samples: samples.into_iter().filter(|sample| !sample.is_nan()).collect(),
        }));
    }
    results.notes.sort();
    results.notes.dedup();
    results.notes.push(
        "each thread: eight getpeername on its connection, one dup and one close of a file; \
         nothing and proxychains4 do the getpeername in the kernel"
            .to_owned(),
    );
    Ok(results)
}
