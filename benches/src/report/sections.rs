//! The page's tables and plots.

use std::fmt::Write;

use super::dots::{self, Row};
use super::experiment;
use super::headline::{self, Bound, DEFAULT, Verdict};
use super::plot::{Line, Plot, Point, Scale, escape, number};
use crate::measure::plan::ENTRIES;
use crate::measure::results::{Results, Series};
use crate::measure::statistics::summary;
use crate::preload::hooks::LIBC;
use crate::preload::torifier::OURS;
use crate::registry::backends::{self, BASELINE};
use crate::registry::workloads;

/// Everything below the page's head.
pub fn all(all: &[Results]) -> String {
    let mut html = targets(all);
    let mut add = |name: &str, section: fn(&Results) -> String| {
        if let Some(results) = experiment(all, name) {
            html.push_str(&section(results));
            html.push_str(&notes(results));
        }
    };
    add("registry-throughput", registry_table);
    add("registry-throughput", by_threads);
    add("registry-throughput", by_entries);
    add("registry-never-threaded", never_threaded);
    add("registry-latency", latency);
    add("registry-garbage", garbage);
    add("registry-fork", |results| {
        plain_table("Fork", "fork, the child's first lookup and its end", results)
    });
    add("preload-startup", |results| {
        plain_table("Start-up", "an exec under each library, and each launcher", results)
    });
    add("preload-hooks", hooks);
    add("preload-connections", |results| {
        plain_table("Connections", "through a local SOCKS server", results)
    });
    add("preload-tor-connections", |results| {
        plain_table("Connections through Tor", "through a private network of tor daemons", results)
    });
    add("preload-threads", preload_threads);
    html
}

fn notes(results: &Results) -> String {
    let notes: String = results.notes.iter().map(|note| format!("{}. ", escape(note))).collect();
    if notes.is_empty() { notes } else { format!("<p class=\"quiet\">{notes}</p>") }
}

fn targets(all: &[Results]) -> String {
    let mut html = String::from(
        "<h2>Targets</h2><table><tr><th>what</th><th>target</th><th>median</th><th>quartiles</th>\
         <th>met</th></tr>",
    );
    for target in headline::targets(all) {
        let sign = if target.bound == Bound::AtLeast { "≥" } else { "≤" };
        let (median, spread) = target.measured.map_or(("–".to_owned(), "–".to_owned()), |it| {
            (format!("{:.2}", it.median), headline::quartiles(&it))
        });
        let met = target.verdict().map_or("<td>not run</td>".to_owned(), |verdict| {
            let class = match verdict {
                Verdict::Met => "yes",
                Verdict::WithinSpread => "quiet",
                Verdict::Missed => "no",
            };
            format!("<td class=\"{class}\">{}</td>", verdict.text())
        });
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{sign} {} {}</td><td>{median}</td><td>{spread}</td>{met}</tr>",
            escape(target.what),
            target.limit,
            escape(target.unit)
        );
    }
    html + "</table>"
}

fn registry_table(results: &Results) -> String {
    let mut html = String::from("<h2>Registries side by side</h2>");
    for threads in [1, 2] {
        html.push_str(&workload_table(results, threads));
    }
    html
}

/// Nanoseconds and ratio of every registry in every workload.
fn workload_table(results: &Results, threads: u32) -> String {
    let heads: String =
        workloads::ALL.iter().map(|w| format!("<th>{}</th>", escape(w.name))).collect();
    let mut html = format!(
        "<div class=\"scroll\"><table><caption>{threads} thread{}, {ENTRIES} entries: ns/operation \
         (ratio to {BASELINE})</caption><tr><th>registry</th>{heads}<th>records from</th></tr>",
        if threads == 1 { "" } else { "s" }
    );
    for backend in backends::ALL {
        let _ = write!(html, "<tr><td title=\"{}\">{}</td>", escape(backend.role), backend.name);
        for workload in workloads::ALL {
            let series = results.find(workload.name, backend.name, threads, ENTRIES);
            let ratio = headline::speedup(results, workload.name, backend.name, threads, ENTRIES);
            let _ = match (series.and_then(|series| summary(&series.samples)), ratio) {
                (Some(it), Some(ratio)) => {
                    write!(html, "<td>{} ({ratio:.2})</td>", number(it.median))
                }
                _ => write!(html, "<td>–</td>"),
            };
        }
        let _ = write!(html, "<td>{}</td></tr>", backend.allocator);
    }
    html + "</table></div>"
}

/// A line for each registry that `chosen` takes; `y` makes a value of a sample.
fn lines(
    results: &Results,
    chosen: impl Fn(&str) -> bool,
    x: impl Fn(&Series) -> f64,
    wanted: impl Fn(&Series) -> bool,
    y: impl Fn(&Series, f64) -> f64,
) -> Vec<Line> {
    let position = |name: &str| backends::ALL.iter().position(|backend| backend.name == name);
    let subjects = backends::ALL.iter().map(|backend| backend.name).filter(|name| chosen(name));
    subjects
        .map(|name| {
            let mut points: Vec<_> = results
                .series
                .iter()
                .filter(|series| series.subject == name && wanted(series))
                .filter_map(|series| {
                    let it = summary(&series.samples)?;
                    let (low, high) = (y(series, it.lower), y(series, it.upper));
                    Some(Point { x: x(series), y: y(series, it.median), spread: Some((low, high)) })
                })
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            let strong = [BASELINE, DEFAULT].contains(&name);
            Line { name: name.to_owned(), colour: position(name).unwrap_or(0), strong, points }
        })
        .filter(|line| !line.points.is_empty())
        .collect()
}

fn is_external(name: &str) -> bool {
    backends::find(name)
        .is_some_and(|it| it.role.starts_with("external") || it.role.starts_with("floor"))
}

fn is_ours(name: &str) -> bool {
    !is_external(name)
}

fn is_peer(name: &str) -> bool {
    is_external(name) || [BASELINE, DEFAULT].contains(&name)
}

fn grid(plots: Vec<Plot>) -> String {
    let legend =
        plots.iter().max_by_key(|plot| plot.lines.len()).map(|plot| Plot::legend(&plot.lines));
    let svgs: String = plots.iter().map(Plot::svg).collect();
    format!("{}<div class=\"plots\">{svgs}</div>", legend.unwrap_or_default())
}

fn by_threads(results: &Results) -> String {
    let plots = |chosen: fn(&str) -> bool| {
        let plot = |workload: &workloads::Description| {
            let wanted =
                |series: &Series| series.workload == workload.name && series.entries == ENTRIES;
            // Nanoseconds to millions of operations a second.
            let rate = |_: &Series, sample: f64| 1e3 / sample;
            Plot {
                title: workload.title.to_owned(),
                x_label: "threads",
                y_label: "million operations/s",
                x_scale: Scale::Log,
                y_scale: Scale::Log,
                x_marks: [1, 2, 4, 8, 16].map(|n| (f64::from(n), n.to_string())).to_vec(),
                lines: lines(results, chosen, |s| f64::from(s.threads), wanted, rate),
            }
        };
        grid(workloads::ALL.iter().map(plot).collect())
    };
    format!(
        "<h2>Throughput by threads</h2><p>{ENTRIES} entries; all threads together.</p>\
         <h3>This project's registries</h3>{}<h3>Beside their external peers</h3>{}",
        plots(is_ours),
        plots(is_peer)
    )
}

fn by_entries(results: &Results) -> String {
    let names = ["borrow-distinct", "counted-distinct", "miss", "insert-remove"];
    let plot = |workload: &workloads::Description| Plot {
        title: workload.title.to_owned(),
        x_label: "entries",
        y_label: "ns/operation",
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        x_marks: Vec::new(),
        lines: lines(
            results,
            |_| true,
            |series| f64::from(series.entries),
            |series| series.workload == workload.name && series.threads == 1,
            |_, sample| sample,
        ),
    };
    let chosen = workloads::ALL.iter().filter(|workload| names.contains(&workload.name));
    format!("<h2>Time by entries</h2><p>One thread.</p>{}", grid(chosen.map(plot).collect()))
}

fn never_threaded(results: &Results) -> String {
    format!(
        "<h2>A process that never had a second thread</h2><p>glibc's mutex is quicker there.</p>{}",
        workload_table(results, 1)
    )
}

fn latency(results: &Results) -> String {
    let mut workloads: Vec<_> = results.distributions.iter().map(|d| d.workload.as_str()).collect();
    workloads.dedup();
    let threads = |workload: &str| workload.rsplit('-').next().unwrap_or("").to_owned();
    let plot = |workload: &str| {
        let of = results.distributions.iter().filter(|it| it.workload == workload);
        let lines = of.map(|it| {
            let position = backends::ALL.iter().position(|b| b.name == it.subject).unwrap_or(0);
            // The odds of a worse one: 2 at the median, 10,000 at p99.99.
            let points = it.value.points.iter().filter(|point| point.0 < 1.0 && point.0 > 0.0);
            let points = points.map(|p| Point { x: 1.0 / (1.0 - p.0), y: p.1, spread: None });
            let strong = [BASELINE, DEFAULT].contains(&it.subject.as_str());
            Line { name: it.subject.clone(), colour: position, strong, points: points.collect() }
        });
        Plot {
            title: format!("{} threads", threads(workload)),
            x_label: "percentile",
            y_label: "ns",
            x_scale: Scale::Log,
            y_scale: Scale::Log,
            x_marks: [
                (2.0, "50"),
                (10.0, "90"),
                (100.0, "99"),
                (1e3, "99.9"),
                (1e4, "99.99"),
                (1e5, "99.999"),
                (1e6, "99.9999"),
            ]
            .map(|(x, text)| (x, text.to_owned()))
            .to_vec(),
            lines: lines.collect(),
        }
    };
    let mut html = format!(
        "<h2>Latency of single lookups by counted handle, under churn</h2>{}",
        grid(workloads.iter().map(|workload| plot(workload)).collect())
    );
    if let Some(workload) =
        workloads.iter().find(|workload| workload.ends_with("-8")).or(workloads.last())
    {
        html.push_str(&percentiles(results, workload, &threads(workload)));
    }
    html
}

fn percentiles(results: &Results, workload: &str, threads: &str) -> String {
    let ranks = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1.0];
    let mut html = format!(
        "<table><caption>{threads} threads, ns</caption><tr><th>registry</th><th>p50</th><th>p90</th>\
         <th>p99</th><th>p99.9</th><th>p99.99</th><th>p99.999</th><th>longest</th><th>lookups</th></tr>"
    );
    for it in results.distributions.iter().filter(|it| it.workload == workload) {
        let _ = write!(html, "<tr><td>{}</td>", it.subject);
        for rank in ranks {
            let found = it.value.points.iter().find(|point| point.0 == rank);
            let _ =
                write!(html, "<td>{}</td>", found.map_or("–".to_owned(), |point| number(point.1)));
        }
        let _ = write!(html, "<td>{}</td></tr>", number(it.value.count as f64));
    }
    html + "</table>"
}

fn garbage(results: &Results) -> String {
    let mut plots = Vec::new();
    for (workload, title) in
        [("no-reader", "no reader stopped"), ("stopped-reader", "a reader stopped in its guard")]
    {
        for (memory, what) in
            [(false, "unreclaimed records"), (true, "resident memory above the start, KiB")]
        {
            let of = results.timelines.iter().filter(|it| it.workload == workload);
            let lines = of.map(|it| {
                let position = backends::ALL.iter().position(|b| b.name == it.subject).unwrap_or(0);
                let points = it.value.points.iter().filter_map(|(seconds, records, kib)| {
                    // A logarithm has no place for none.
                    let y = if memory { kib.max(1.0) } else { (*records)? as f64 + 1.0 };
                    Some(Point { x: *seconds, y, spread: None })
                });
                let strong = [BASELINE, DEFAULT].contains(&it.subject.as_str());
                Line {
                    name: it.subject.clone(),
                    colour: position,
                    strong,
                    points: points.collect(),
                }
            });
            plots.push(Plot {
                title: format!("{what}, {title}"),
                x_label: "seconds",
                y_label: if memory { "KiB" } else { "records + 1" },
                x_scale: Scale::Linear,
                y_scale: Scale::Log,
                x_marks: Vec::new(),
                lines: lines.filter(|line| !line.points.is_empty()).collect(),
            });
        }
    }
    format!(
        "<h2>Garbage over time</h2><p>Four threads insert and remove without pause.</p>{}",
        grid(plots)
    )
}

/// A row for each workload, a column for each subject: medians with quartiles.
fn plain_table(title: &str, caption: &str, results: &Results) -> String {
    let mut subjects: Vec<&str> = Vec::new();
    let mut rows: Vec<(&str, u32, u32, &str)> = Vec::new();
    for series in &results.series {
        if !subjects.contains(&series.subject.as_str()) {
            subjects.push(&series.subject);
        }
        let row = (series.workload.as_str(), series.threads, series.entries, series.unit.as_str());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let heads: String = subjects.iter().map(|name| format!("<th>{}</th>", escape(name))).collect();
    let mut html = format!(
        "<h2>{title}</h2><div class=\"scroll\"><table><caption>{caption}; medians and quartiles</caption>\
         <tr><th></th>{heads}</tr>"
    );
    for (workload, threads, entries, unit) in rows {
        let setting = if entries > 0 { format!(", {entries} entries") } else { String::new() };
        let many = if threads > 1 { format!(", {threads} threads") } else { String::new() };
        let _ = write!(
            html,
            "<tr><td>{}{many}{setting} <span class=\"quiet\">{}</span></td>",
            escape(workload),
            escape(unit)
        );
        for subject in &subjects {
            let series = results.find(workload, subject, threads, entries);
            let cell =
                series.and_then(|series| summary(&series.samples)).map_or("–".to_owned(), |it| {
                    format!(
                        "{} <span class=\"quiet\">{}–{}</span>",
                        number(it.median),
                        number(it.lower),
                        number(it.upper)
                    )
                });
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html + "</table></div>"
}

fn hooks(results: &Results) -> String {
    const SUBJECTS: [&str; 4] = [LIBC, OURS, "torsocks", "proxychains4"];
    let mut calls: Vec<&str> = Vec::new();
    for series in &results.series {
        if !calls.contains(&series.workload.as_str()) {
            calls.push(&series.workload);
        }
    }
    let rows: Vec<_> = calls
        .iter()
        .map(|call| {
            let of = |subject: &&str| {
                let find = |s: &&Series| s.workload == *call && s.subject == *subject;
                results.series.iter().find(find).and_then(|series| summary(&series.samples))
            };
            let dots =
                SUBJECTS.iter().enumerate().filter_map(|(c, subject)| Some((c, of(subject)?)));
            Row { name: call.replace('_', " "), dots: dots.collect() }
        })
        .collect();
    let keys: Vec<_> = SUBJECTS
        .iter()
        .enumerate()
        .map(|(colour, name)| Line {
            name: (*name).to_owned(),
            colour,
            strong: true,
            points: Vec::new(),
        })
        .collect();
    let caption = "nanoseconds as the program sees them; libc is libc's own function, called in the \
                   same process";
    format!(
        "{}{}{}",
        plain_table("Cost of each call", caption, results),
        Plot::legend(&keys),
        dots::svg("Cost of each call", "ns", &rows)
    )
}

fn preload_threads(results: &Results) -> String {
    let mut names: Vec<&str> = Vec::new();
    results.series.iter().for_each(|s| {
        if !names.contains(&s.subject.as_str()) {
            names.push(&s.subject)
        }
    });
    let lines = names.iter().enumerate().map(|(index, name)| {
        let of = results.series.iter().filter(|series| series.subject == *name);
        let points = of.filter_map(|series| {
            let it = summary(&series.samples)?;
            let spread = Some((1e3 / it.lower, 1e3 / it.upper));
            Some(Point { x: f64::from(series.threads), y: 1e3 / it.median, spread })
        });
        let strong = ["epochsocks", "torsocks"].contains(name);
        Line {
            name: (*name).to_owned(),
            colour: (index + 15) % 16,
            strong,
            points: points.collect(),
        }
    });
    let plot = Plot {
        title: "getpeername, dup and close by all threads".to_owned(),
        x_label: "threads",
        y_label: "million calls/s",
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        x_marks: [1, 2, 4, 8, 16].map(|n| (f64::from(n), n.to_string())).to_vec(),
        lines: lines.collect(),
    };
    let table = plain_table("One multithreaded program", "ns/call, all threads together", results);
    format!("{table}{}", grid(vec![plot]))
}
