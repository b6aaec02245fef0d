//! The tables at the page's end: every subject, workload and experiment.

use super::experiment;
use super::page::notes;
use super::targets::{self, speedup};
use super::text::{Table, number, time};
use crate::measure::plan::ENTRIES;
use crate::measure::results::{Results, Series};
use crate::measure::statistics::{interval, median, summary};
use crate::registry::backends::{self, BASELINE};
use crate::registry::throughput::{LOCAL_WORK, WITH_LOCAL_WORK, with_local_work};
use crate::registry::workloads;

/// The subjects that have samples in `results`, in the report's order.
fn subjects(results: &Results) -> impl Iterator<Item = &'static str> + use<'_> {
    let has = |name: &str| results.series.iter().any(|series| series.subject == name);
    backends::described().into_iter().map(|it| it[0]).filter(move |name| has(name))
}

/// All of them.
pub fn details(all: &[Results]) -> String {
    let mut html = String::new();
    if let Some(results) = experiment(all, "registry-throughput") {
        let threads: Vec<_> = [1, results.machine.processors as u32].to_vec();
        html +=
            &threads.iter().map(|threads| workload_table(results, *threads)).collect::<String>();
        html += &by_entries(results);
    }
    if let Some(results) = experiment(all, "registry-never-threaded") {
        html +=
            &workload_table(results, 1).replace("<caption>", "<caption>never a second thread; ");
    }
    if let Some(results) = experiment(all, "registry-local-work") {
        html += &local_work(results);
    }
    for (name, caption) in [
        ("registry-fork", "a fork, and the child's first lookup"),
        ("preload-startup", "an exec under each library, and each launcher"),
        ("preload-hooks", "a call as the program sees it; libc is libc's own function"),
        ("preload-connections", "through a local SOCKS server"),
        ("preload-tor-connections", "through a private network of tor daemons"),
        ("preload-threads", "one multithreaded program, all threads together"),
        ("preload-loops", "eight connects at once in event loops, answered after a second"),
        (
            "preload-backstop",
            "what the launcher starts: without a backstop, with it, under a supervisor",
        ),
    ] {
        html += &plain_table(all, name, caption);
    }
    html
}

/// Nanoseconds, and the ratio to the mutex with its interval, of every registry in every workload.
fn workload_table(results: &Results, threads: u32) -> String {
    let mut table = Table::new(&[""]);
    table.heads.extend(workloads::ALL.iter().map(|it| it.name.to_owned()));
    for subject in subjects(results) {
        let cell = |workload: &workloads::Description| {
            let series = results.find(workload.name, subject, threads, ENTRIES);
            let ratios = targets::speedups(results, workload.name, subject, threads, ENTRIES);
            match (series.and_then(|it| median(&it.samples)), median(&ratios), interval(&ratios)) {
                (Some(it), Some(ratio), Some((low, high))) if subject != BASELINE => {
                    format!("{}; {} ({}–{})", number(it), number(ratio), number(low), number(high))
                }
                (Some(it), ..) => number(it),
                _ => "–".to_owned(),
            }
        };
        let row = std::iter::once(subject.to_owned()).chain(workloads::ALL.iter().map(cell));
        table.rows.push(row.collect());
    }
    let many = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    table.html(&format!(
        "{many}, {ENTRIES} entries: ns an operation; times the {BASELINE}'s speed, with the 95 % interval of the median ratio"
    ))
}

fn by_entries(results: &Results) -> String {
    let mut sizes: Vec<u32> =
        results.series.iter().map(|it| it.entries).filter(|it| *it > 0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut html = String::new();
    for workload in ["borrow-distinct", "insert-remove"] {
        let mut table = Table::new(&[""]);
        table.heads.extend(sizes.iter().map(u32::to_string));
        for subject in subjects(results) {
            let cell = |entries: &u32| {
                let series = results.find(workload, subject, 1, *entries);
                series.and_then(|it| median(&it.samples)).map_or("–".to_owned(), number)
            };
            table
                .rows
                .push(std::iter::once(subject.to_owned()).chain(sizes.iter().map(cell)).collect());
        }
        html += &table.html(&format!("{workload}, 1 thread, by entries: ns an operation"));
    }
    html
}

fn local_work(results: &Results) -> String {
    let threads = results.series.first().map_or(1, |it| it.threads);
    let mut table = Table::new(&[""]);
    for workload in WITH_LOCAL_WORK {
        table.heads.extend(LOCAL_WORK.map(|work| format!("{workload}, {}", time(f64::from(work)))));
    }
    for subject in subjects(results) {
        let mut row = vec![subject.to_owned()];
        for workload in WITH_LOCAL_WORK {
            row.extend(LOCAL_WORK.map(|work| {
                let ratio =
                    speedup(results, &with_local_work(workload, work), subject, threads, ENTRIES);
                ratio.map_or("–".to_owned(), |it| number((it * 100.0).round() / 100.0))
            }));
        }
        table.rows.push(row);
    }
    table.html(&format!(
        "{threads} threads, with local work behind each operation: times the {BASELINE}'s speed, of operation and work together"
    ))
}

/// Medians with quartiles of every workload and subject, the fewer of them as columns.
fn plain_table(all: &[Results], name: &str, caption: &str) -> String {
    let Some(results) = experiment(all, name) else { return String::new() };
    let mut subjects: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, u32, u32, &str)> = Vec::new();
    for Series { workload, subject, threads, entries, unit, .. } in &results.series {
        if !subjects.contains(&subject.as_str()) {
            subjects.push(subject);
        }
        let row = (workload.as_str(), *threads, *entries, unit.as_str());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let mut table = Table::new(&[""]);
    table.heads.extend(subjects.iter().map(|subject| (*subject).to_owned()));
    for (workload, threads, entries, unit) in rows {
        let many = if threads > 1 { format!(", {threads} threads") } else { String::new() };
        let full = if entries > threads { format!(", {entries} entries") } else { String::new() };
        let cell = |subject: &&str| {
            let series = results.find(workload, subject, threads, entries);
            series.and_then(|it| summary(&it.samples)).map_or("–".to_owned(), |it| {
                format!("{} ({}–{})", number(it.median), number(it.lower), number(it.upper))
            })
        };
        let head = format!("{}{many}{full}, {unit}", workload.replace('_', " "));
        table.rows.push(std::iter::once(head).chain(subjects.iter().map(cell)).collect());
    }
    let table = if table.heads.len() > table.rows.len() + 4 { table.turned() } else { table };
    table.html(&format!("{caption}: medians and quartiles")) + &notes(all, name)
}
