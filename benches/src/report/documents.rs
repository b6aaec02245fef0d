//! The paragraphs of figures in documents, between `<!-- figures: NAME -->` and `<!-- end of figures -->`.

use super::targets::{self, Bound, CHECKED, DEFAULT, differences, percentile, speedup};
use super::text::{Table, number, time, wrapped};
use super::{Run, experiment, machine};
use crate::measure::plan::ENTRIES;
use crate::measure::results::Results;
use crate::measure::statistics::{Summary, median, summary};
use crate::preload::hooks::LIBC;
use crate::preload::torifier::{EMPTY, NOTHING, OURS};
use crate::registry::backends::{BASELINE, described};
use crate::scale;

/// Documents that have such paragraphs.
pub const DOCUMENTS: [&str; 3] = ["README.md", "design/performance.md", "design/registry.md"];

/// A paragraph's name, and how it is made.
type Block = (&'static str, fn(&[Run]) -> String);

const BLOCKS: [Block; 13] = [
    ("cost", cost),
    ("machines", machines),
    ("targets", |runs| targets::side_by_side(runs).markdown()),
    ("beside the default", |runs| each(runs, beside_the_default)),
    ("scale", |runs| each(runs, scaling)),
    ("never threaded", |runs| each(runs, never_threaded)),
    ("hooks", |runs| each(runs, hooks)),
    ("longest lookups", |runs| each(runs, longest_lookups)),
    ("connects", |runs| each(runs, connects)),
    ("execs", |runs| each(runs, execs)),
    ("layers", |runs| each(runs, layers)),
    ("barrier", |runs| each(runs, |all| by_workload(all, "slots-barrier"))),
    ("type-stable", |runs| each(runs, |all| by_workload(all, "type-stable"))),
];

const BEGIN: &str = "<!-- figures: ";
const END: &str = "<!-- end of figures -->";

/// The text with each paragraph as it follows from `runs`.
pub fn renewed(text: &str, runs: &[Run]) -> String {
    let mut parts = text.split(BEGIN);
    let mut renewed = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->").expect("the end of a mark");
        let (_, rest) = rest.split_once(END).expect("the end of a paragraph");
        let (_, make) = BLOCKS.iter().find(|block| block.0 == name).expect("a paragraph's name");
        renewed += &format!("{BEGIN}{name} -->\n{}\n{END}{rest}", make(runs).trim_end());
    }
    renewed
}

/// A part for each machine, below its name.
fn each(runs: &[Run], part: fn(&[Results]) -> Option<String>) -> String {
    let parts = runs.iter().map(|run| {
        let part = part(&run.all).unwrap_or_else(|| "Not measured on this machine.\n".to_owned());
        // Only the first paragraph is text.
        let (text, table) = part.split_once("\n\n").unwrap_or((&part, ""));
        format!("{}\n\n{table}", wrapped(&format!("*{}*: {text}", run.name())))
    });
    parts.map(|part| part.trim_end().to_owned()).collect::<Vec<_>>().join("\n\n")
}

fn machines(runs: &[Run]) -> String {
    let item = |run: &Run| format!("- [{0}](report/{0}): {1}", run.folder, machine(run));
    runs.iter().map(|run| wrapped(&item(run)).replace('\n', "\n  ") + "\n").collect()
}

/// The run of the machine that does worse by `of`, where `bound` says which side is good.
fn worst_run(runs: &[Run], bound: Bound, of: impl Fn(&[Results]) -> Option<f64>) -> Option<&Run> {
    let measured = runs.iter().filter_map(|run| Some((run, of(&run.all)?)));
    let is_worse = |a: f64, b: f64| if bound == Bound::AtLeast { a < b } else { a > b };
    let worse = measured.reduce(|best, it| if is_worse(it.1, best.1) { it } else { best });
    worse.map(|it| it.0)
}

/// The worse of what the runs say.
fn worst(runs: &[Run], bound: Bound, of: impl Fn(&[Results]) -> Option<f64>) -> Option<f64> {
    of(&worst_run(runs, bound, &of)?.all)
}

fn of_speedup(all: &[Results], workload: &str, subject: &str, threads: u32) -> Option<f64> {
    speedup(experiment(all, "registry-throughput")?, workload, subject, threads, ENTRIES)
}

fn over_libc(all: &[Results], call: &str, subject: &str) -> Option<f64> {
    median(&differences(experiment(all, "preload-hooks")?, call, subject, LIBC))
}

/// README's paragraphs: of each quantity the worse of the machines.
fn cost(runs: &[Run]) -> String {
    let times = |workload: &'static str, threads| {
        let it = worst(runs, Bound::AtLeast, |all| of_speedup(all, workload, DEFAULT, threads));
        it.map_or("–".to_owned(), number)
    };
    let cell = |value: Option<f64>| value.map_or("–".to_owned(), time);
    // Both of a pair are of the machine on which ours is worse.
    let pair = |of: &dyn Fn(&[Results], &str) -> Option<f64>, [ours, other]: [&str; 2]| {
        let worse = worst_run(runs, Bound::AtMost, |all| of(all, ours));
        [ours, other].map(|subject| cell(worse.and_then(|run| of(&run.all, subject))))
    };
    let lookups = |rank| {
        let of = move |all: &[Results], subject: &str| percentile(all, 8, subject, rank);
        pair(&of, [DEFAULT, BASELINE])
    };
    let call = |name: &'static str| {
        let of = move |all: &[Results], subject: &str| over_libc(all, name, subject);
        pair(&of, [OURS, "torsocks"])
    };
    let ([p4, p4_mutex], [p5, p5_mutex]) = (lookups(0.9999), lookups(0.99999));
    let [socket, socket_torsocks] = call("socket_inet_and_close");
    let [copy, copy_torsocks] = call("dup_tracked_and_close");
    let [exec, exec_empty] =
        pair(&|all, subject| Some(1e3 * undisturbed_exec(all, subject)?.median), [OURS, EMPTY]);
    let measured = |what: &'static str| {
        move |all: &[Results]| {
            let target = targets::targets(all).into_iter().find(|target| target.what == what)?;
            target.measured().map(|it| it.median)
        }
    };
    let target = |what| worst(runs, Bound::AtMost, measured(what)).map_or("–".to_owned(), number);
    let through_tor = "connect through tor, 1 thread";
    let names: Vec<_> = runs.iter().map(Run::name).collect();
    let of_tor: Vec<_> = runs
        .iter()
        .filter(|run| measured(through_tor)(&run.all).is_some())
        .map(Run::name)
        .collect();
    let only = if of_tor.len() < names.len() {
        format!(", measured on {} only,", of_tor.join(", "))
    } else {
        String::new()
    };
    let text = format!(
        "Each figure is of the worse of the machines that were measured ({}). In a threaded process a \
         borrowed lookup is {} times as quick as with the mutex and hash table of torsocks' 2013 \
         proposal, a counted one {}, insert and remove {}; by two threads lookups are {} times as quick. \
         With 8 threads on two processors the 99.99th percentile of a lookup is {}, with the mutex {}; \
         the 99.999th, which is the wait for a processor, {} and {}. A connect through a private \
         network of tor daemons{only} takes {} times as long as a bare SOCKS client's.\n\n\
         These cost more than without epochsocks, or than with a mutex. Opening and closing a TCP \
         socket takes {} more than libc's, and a copy of a connection {} (torsocks: {} and {}). In a \
         program that has called vfork each change asks for the process id; with that insert and remove \
         have {} of the mutex's speed. A \
         connect through a local proxy takes {} times as long as a bare SOCKS client's, because of \
         small system calls. The library adds {} of processor time to an exec, an empty library {}. In \
         a program that never has a second thread glibc's mutex skips its atomic instructions: there a \
         counted lookup has {} of the mutex's speed, insert and remove {}.\n",
        names.join(", "),
        times("borrow-distinct", 1),
        times("counted-distinct", 1),
        times("insert-remove", 1),
        times("borrow-distinct", 2),
        p4,
        p4_mutex,
        p5,
        p5_mutex,
        target(through_tor),
        socket,
        copy,
        socket_torsocks,
        copy_torsocks,
        worst(runs, Bound::AtLeast, |all| of_speedup(all, "insert-remove", CHECKED, 1))
            .map_or("–".to_owned(), number),
        target("connect, 1 thread"),
        exec,
        exec_empty,
        worst(runs, Bound::AtLeast, |all| alone(all, "counted-distinct"))
            .map_or("–".to_owned(), number),
        worst(runs, Bound::AtLeast, |all| alone(all, "insert-remove"))
            .map_or("–".to_owned(), number),
    );
    text.split("\n\n").map(wrapped).collect::<Vec<_>>().join("\n\n")
}

/// Microseconds of processor time that a library adds to an exec that nothing disturbs.
fn undisturbed_exec(all: &[Results], library: &str) -> Option<Summary> {
    let workload = "library, least processor time of 20";
    summary(&differences(experiment(all, "preload-startup")?, workload, library, NOTHING))
}

fn alone(all: &[Results], workload: &str) -> Option<f64> {
    speedup(experiment(all, "registry-never-threaded")?, workload, DEFAULT, 1, ENTRIES)
}

fn never_threaded(all: &[Results]) -> Option<String> {
    let of = |workload| alone(all, workload).map(number);
    Some(format!(
        "borrowing is {} times as quick as the mutex then, a miss {}, insert and remove {}, a counted \
         handle {}.\n",
        of("borrow-distinct")?,
        of("miss")?,
        of("insert-remove")?,
        of("counted-distinct")?
    ))
}

fn beside_the_default(all: &[Results]) -> Option<String> {
    let results = experiment(all, "registry-throughput")?;
    let garbage = experiment(all, "registry-garbage");
    let mut table = Table::new(&[
        "registry",
        "borrow",
        "counted",
        "insert, remove",
        "half reads, 2 threads",
        "p99.99, 8 threads",
        "records beside a stopped reader",
        "memory, MiB",
    ]);
    for [name, ..] in described() {
        let Some(borrow) = speedup(results, "borrow-distinct", name, 1, ENTRIES) else {
            continue;
        };
        let times = |workload, threads| {
            let it = speedup(results, workload, name, threads, ENTRIES);
            it.map_or("–".to_owned(), number)
        };
        let stopped = garbage.and_then(|results| {
            let is_it = |it: &&crate::measure::results::Labelled<_>| {
                it.workload == "stopped-reader" && it.subject == name
            };
            results.timelines.iter().find(is_it)
        });
        let points = stopped.iter().flat_map(|it| &it.value.points);
        let records = points.clone().filter_map(|point| point.1).max();
        let memory = points.map(|point| point.2).reduce(f64::max);
        table.rows.push(vec![
            name.to_owned(),
            number(borrow),
            times("counted-distinct", 1),
            times("insert-remove", 1),
            times("reads-50", 2),
            percentile(all, 8, name, 0.9999).map_or("–".to_owned(), time),
            records.map_or("–".to_owned(), |count| number(count as f64)),
            memory.map_or("–".to_owned(), |kib| number(kib / 1024.0)),
        ]);
    }
    Some(format!(
        "multiples of the mutex's speed by one thread, where nothing else is said; most records \
         unreclaimed and most memory beside a stopped reader.\n\n{}",
        table.markdown()
    ))
}

fn scaling(all: &[Results]) -> Option<String> {
    let results = experiment(all, "registry-throughput")?;
    let calibration = scale::calibration(results)?;
    let mut table = Table::new(&["operation, registry", "alone, measured"]);
    let shown = [2, 4, 16, 64, 128];
    table.heads.extend(shown.map(|threads| format!("{threads} threads")));
    let rows = scale::rows(results);
    for row in rows.iter().filter(|row| row.threads == 1) {
        let of = |threads: u32| {
            let is_it = |it: &&scale::Row| {
                (it.workload, it.backend, it.threads) == (row.workload, row.backend, threads)
            };
            rows.iter().find(is_it).map_or("–".to_owned(), |it| {
                let measured =
                    it.measured.map_or(String::new(), |it| format!(", measured {}", number(it)));
                format!("{} ({}){measured}", number(it.predicted), number(it.simulated))
            })
        };
        let mut cells = vec![format!("{}, {}", row.workload, row.backend), number(row.predicted)];
        cells.extend(shown.map(of));
        table.rows.push(cells);
    }
    Some(format!(
        "a line moves in {:.0} ns ({}). Nanoseconds an operation, of all threads together: the closed \
         form, in brackets the simulation.\n\n{}",
        calibration.transfer,
        if calibration.is_measured { "measured" } else { "from what two threads get of the mutex" },
        table.markdown()
    ))
}

/// The calls that differ most from libc's, and where their cost ends.
fn hooks(all: &[Results]) -> Option<String> {
    let results = experiment(all, "preload-hooks")?;
    let calls = results.series.iter().filter(|series| series.subject == LIBC);
    let mut rows: Vec<_> = calls
        .filter_map(|series| {
            let of = |subject| over_libc(all, &series.workload, subject);
            Some((series.workload.replace('_', " "), of(OURS)?, of("torsocks")))
        })
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (shown, rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.1 >= SMALL);
    let mut table = Table::new(&["call", "epochsocks", "torsocks"]);
    for (call, ours, torsocks) in shown {
        let torsocks = torsocks.map_or("–".to_owned(), |it| format!("{it:.0}"));
        table.rows.push(vec![call, format!("{ours:.0}"), torsocks]);
    }
    let ends = |values: Vec<f64>| {
        let values = || values.iter().copied();
        match (values().reduce(f64::min), values().reduce(f64::max)) {
            (Some(least), Some(most)) => format!("{least:.0} to {most:.0}"),
            _ => "–".to_owned(),
        }
    };
    table.rows.push(vec![
        format!("the {} others", rest.len()),
        ends(rest.iter().map(|row| row.1).collect()),
        ends(rest.iter().filter_map(|row| row.2).collect()),
    ]);
    Some(format!("nanoseconds more than libc's.\n\n{}", table.markdown()))
}

/// Medians of an experiment's workloads, or of those of `chosen`: a row for each subject.
fn medians(all: &[Results], name: &str, chosen: &[&str]) -> Option<Table> {
    let results = experiment(all, name)?;
    let wanted = |workload: &str| chosen.is_empty() || chosen.contains(&workload);
    let series: Vec<_> = results.series.iter().filter(|it| wanted(&it.workload)).collect();
    let (mut columns, mut subjects): (Vec<(&str, &str)>, Vec<&str>) = (Vec::new(), Vec::new());
    for it in &series {
        let column = (it.workload.as_str(), it.unit.as_str());
        if !columns.contains(&column) {
            columns.push(column);
        }
        if !subjects.contains(&it.subject.as_str()) {
            subjects.push(&it.subject);
        }
    }
    let mut table = Table::new(&[""]);
    table.heads.extend(columns.iter().map(|(workload, unit)| format!("{workload}, {unit}")));
    for subject in subjects {
        let cell = |(workload, _): &(&str, &str)| {
            let found = series.iter().find(|it| it.workload == *workload && it.subject == subject);
            found.and_then(|it| median(&it.samples)).map_or("–".to_owned(), number)
        };
        let row = std::iter::once(subject.to_owned()).chain(columns.iter().map(cell));
        table.rows.push(row.collect());
    }
    Some(table)
}

fn connects(all: &[Results]) -> Option<String> {
    let chosen = ["connect, median time", "connect, rate"];
    let table = medians(all, "preload-connections", &chosen)?;
    Some(format!("medians.\n\n{}", table.markdown()))
}

/// Medians of what the layers cost: a row for each workload.
fn layers(all: &[Results]) -> Option<String> {
    let table = medians(all, "preload-backstop", &[])?.turned();
    Some(format!("medians.\n\n{}", table.markdown()))
}

fn execs(all: &[Results]) -> Option<String> {
    let mut table = Table::new(&["", "median", "quartiles"]);
    for subject in [EMPTY, OURS, "torsocks", "proxychains4"] {
        let added = undisturbed_exec(all, subject)?;
        let quartiles = format!("{:.0}–{:.0}", added.lower, added.upper);
        table.rows.push(vec![subject.to_owned(), format!("{:.0}", added.median), quartiles]);
    }
    Some(format!("microseconds above no library at all.\n\n{}", table.markdown()))
}

/// `backend` beside the default and the mutex, by one thread.
fn by_workload(all: &[Results], backend: &str) -> Option<String> {
    let results = experiment(all, "registry-throughput")?;
    let subjects = [BASELINE, DEFAULT, backend];
    results.find("borrow-distinct", backend, 1, ENTRIES)?;
    let mut table = Table::new(&["ns an operation"]);
    table.heads.extend(subjects.map(|subject| format!("`{subject}`")));
    for workload in ["borrow-distinct", "counted-distinct", "reads-95", "reads-50", "insert-remove"]
    {
        let cell = |subject: &str| {
            let it = scale::measured(results, workload, subject, 1).map_or("–".to_owned(), number);
            match speedup(results, workload, subject, 1, ENTRIES) {
                Some(ratio) if subject != BASELINE => format!("{it} ({} times)", number(ratio)),
                _ => it,
            }
        };
        table.rows.push(std::iter::once(workload.to_owned()).chain(subjects.map(cell)).collect());
    }
    Some(format!("one thread, {ENTRIES} entries.\n\n{}", table.markdown()))
}

/// Nanoseconds below which a call is one of the others.
const SMALL: f64 = 4.0;

fn longest_lookups(all: &[Results]) -> Option<String> {
    let of = |subject, rank| percentile(all, 8, subject, rank).map(time);
    let stalls = |subject, limit| {
        super::page::stalls(all, 8, subject, limit).unwrap_or_else(|| "–".to_owned())
    };
    let checked = of_speedup(all, "insert-remove", CHECKED, 1)
        .map_or("not measured".to_owned(), |it| format!("{} times the mutex", number(it)));
    Some(format!(
        "with 8 threads on two processors the 99.99th percentile is {}, with the mutex {}; the 99.999th \
         {} and {}. Lookups that took longer than 10 µs, a second of run: {} and {}; than 1 ms: {} and \
         {}. Insert and remove with the process id, for which a program pays once it has called vfork: {checked}.\n",
        of(DEFAULT, 0.9999)?,
        of(BASELINE, 0.9999)?,
        of(DEFAULT, 0.99999)?,
        of(BASELINE, 0.99999)?,
        stalls(DEFAULT, 1e4),
        stalls(BASELINE, 1e4),
        stalls(DEFAULT, 1e6),
        stalls(BASELINE, 1e6),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_the_marks_is_renewed_and_nothing_else() {
        let text = format!("a\n{BEGIN}machines -->\nold\n{END}\nb\n");
        assert_eq!(renewed(&text, &[]), format!("a\n{BEGIN}machines -->\n\n{END}\nb\n"));
        assert_eq!(renewed("plain", &[]), "plain");
    }

    #[test]
    fn the_worse_machine_is_the_one_farther_from_the_good_side() {
        let run = |value: f64| {
            let machine = crate::measure::machine::Machine {
                processors: value as usize,
                ..Default::default()
            };
            Run { folder: String::new(), all: vec![Results { machine, ..Results::default() }] }
        };
        let runs = [run(3.0), run(9.0), Run::default()];
        let of = |all: &[Results]| Some(all.first()?.machine.processors as f64);
        assert_eq!(worst(&runs, Bound::AtLeast, of), Some(3.0));
        assert_eq!(worst(&runs, Bound::AtMost, of), Some(9.0));
    }

    #[test]
    fn every_paragraph_can_be_made_of_nothing() {
        BLOCKS.iter().for_each(|(_, make)| drop(make(&[Run::default()])));
    }
}
