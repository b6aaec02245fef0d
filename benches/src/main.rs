//! `epochsocks-benches [--quick|--full] [--output DIRECTORY] [--only NAME,...] EXPERIMENT...`

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use epochsocks_benches::measure::plan::{Effort, Plan};
use epochsocks_benches::measure::results::Results;
use epochsocks_benches::preload::{backstop, connections, hooks, loops, startup, threads};
use epochsocks_benches::registry::backends::{self, Backend};
use epochsocks_benches::registry::{fork, garbage, latency, signals, throughput};
use epochsocks_benches::report;

const USAGE: &str = "\
usage: epochsocks-benches [--quick | --full] [--output DIRECTORY] [--only NAME,...] EXPERIMENT...
       epochsocks-benches take RESULTS REPORT
       epochsocks-benches render REPORT [DOCUMENT...]

Experiments: never-threaded, signals, throughput, local-work, latency, garbage, fork;
`registry` stands for all of these.
startup, hooks, connections, tor-connections, threads, backstop; `preload` stands for all of these.
loops, which takes ten minutes.
Results are written to DIRECTORY (target/benches) as EXPERIMENT.json.";

// The first one must not have had threads.
const REGISTRY: [&str; 7] =
    ["never-threaded", "signals", "throughput", "local-work", "latency", "garbage", "fork"];
const PRELOAD: [&str; 6] =
    ["startup", "hooks", "connections", "tor-connections", "threads", "backstop"];

struct Command {
    plan: Plan,
    output: PathBuf,
    chosen: Vec<&'static Backend>,
    experiments: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((first, rest)) if first == garbage::CHILD => garbage::child(rest),
        Some((first, rest)) if first == fork::CHILD => fork::child(rest),
        Some((first, [input, output])) if first == "take" => {
            report::take(input.as_ref(), output.as_ref())
        }
        Some((first, [report, documents @ ..])) if first == "render" => {
            report::render(report.as_ref(), documents)
        }
        _ => parse(lexopt::Parser::from_env()).map_err(io::Error::other).and_then(|command| {
            command.experiments.iter().try_for_each(|experiment| run(&command, experiment))
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("epochsocks-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut effort = Effort::Normal;
    let mut command = Command {
        plan: Plan::new(effort),
        output: PathBuf::from("target/benches"),
        chosen: backends::ALL.iter().collect(),
        experiments: Vec::new(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("quick") => effort = Effort::Quick,
            lexopt::Arg::Long("full") => effort = Effort::Full,
            lexopt::Arg::Long("output") => command.output = parser.value()?.into(),
            lexopt::Arg::Long("only") => command.chosen = choose(parser.value()?)?,
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            lexopt::Arg::Value(name) if name == "registry" => {
                command.experiments.extend(REGISTRY.map(str::to_owned));
            }
            lexopt::Arg::Value(name) if name == "preload" => {
                command.experiments.extend(PRELOAD.map(str::to_owned));
            }
            lexopt::Arg::Value(name) => {
                command.experiments.push(name.to_string_lossy().into_owned());
            }
            other => return Err(other.unexpected()),
        }
    }
    command.plan = Plan::new(effort);
    if command.experiments.is_empty() { Err(USAGE.into()) } else { Ok(command) }
}

fn choose(names: OsString) -> Result<Vec<&'static Backend>, lexopt::Error> {
    let names = names.to_string_lossy().into_owned();
    names
        .split(',')
        .map(|name| backends::find(name).ok_or_else(|| format!("no registry is {name:?}").into()))
        .collect()
}

fn run(Command { plan, output, chosen, .. }: &Command, experiment: &str) -> io::Result<()> {
    let scratch = output.join("programs");
    let results: Results = match experiment {
        "never-threaded" => {
            let ours = |backend: &&&Backend| !backend.role.starts_with("external");
            throughput::run_never_threaded(
                plan,
                &chosen.iter().filter(ours).copied().collect::<Vec<_>>(),
            )
        }
        "throughput" => throughput::run(plan, chosen),
        "signals" => signals::run(plan, chosen),
        "latency" => latency::run(plan, chosen),
        "garbage" => garbage::run(plan, chosen)?,
        "local-work" => throughput::run_local_work(plan, chosen),
        "fork" => fork::run(plan, chosen)?,
        "startup" => startup::run(plan, &scratch)?,
        "hooks" => hooks::run(plan, &scratch)?,
        "connections" => connections::run(plan, &scratch)?,
        "tor-connections" => connections::run_through_tor(plan, &scratch)?,
        "threads" => threads::run(plan, &scratch)?,
        "loops" => loops::run(plan, &scratch)?,
        "backstop" => backstop::run(plan, &scratch)?,
        _ => return Err(io::Error::other(format!("no experiment is called {experiment:?}"))),
    };
    results.write(output)
}
