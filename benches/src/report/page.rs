//! The page: its text is page.html, its tables and plots are made here of all runs.

use super::details::details;
use super::plot::{Line, Plot, Scale};
use super::targets::{self, DEFAULT, FLOOR};
use super::text::{Table, escape, number, time};
use super::{Run, experiment, machine};
use crate::measure::plan::ENTRIES;
use crate::measure::results::{Distribution, Labelled, Results, Timeline};
use crate::measure::statistics::median;
use crate::registry::backends::{self, BASELINE};
use crate::registry::{signals, workloads};
use crate::scale;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// Subjects of the plots; the tables have all.
const SHOWN: [&str; 16] = [
    BASELINE,
    DEFAULT,
    "slots-barrier",
    "counted",
    "type-stable",
    "slots-crossbeam",
    "sharded",
    "crossbeam",
    "urcu-memb",
    "ck",
    "ck-hp",
    "haphazard",
    "papaya",
    "scc",
    "seize",
    FLOOR,
];

/// The whole page.
pub fn page(runs: &[Run]) -> String {
    let parts: [(&str, String); 9] = [
        ("style", STYLE.to_owned()),
        (
            "machines",
            runs.iter().map(|run| format!("<li>{}</li>", escape(&machine(run)))).collect(),
        ),
        ("targets", each(runs, |all| targets::table(all).html("targets, and what was measured"))),
        ("throughput", each(runs, throughput)),
        ("scale", each(runs, scaling)),
        ("latency", each(runs, latency)),
        ("garbage", each(runs, garbage)),
        ("signals", signal_safety(runs)),
        ("details", each(runs, details)),
    ];
    parts.iter().fold(TEMPLATE.to_owned(), |page, (name, part)| {
        page.replace(&format!("{{{{{name}}}}}"), part)
    })
}

fn each(runs: &[Run], part: fn(&[Results]) -> String) -> String {
    let parts = runs.iter().map(|run| (run.name(), part(&run.all))).filter(|it| !it.1.is_empty());
    parts.map(|(name, part)| format!("<h3>{}</h3>{part}", escape(name))).collect()
}

/// The number of a subject's colour, the same in all plots.
fn colour(subject: &str) -> usize {
    SHOWN.iter().position(|name| *name == subject).unwrap_or(SHOWN.len())
}

fn line(subject: &str, points: Vec<(f64, f64)>) -> Line {
    let is_strong = [BASELINE, DEFAULT].contains(&subject);
    let (name, colour) = (subject.to_owned(), colour(subject));
    Line { name, colour, is_strong, is_dots: false, points }
}

fn plots(plots: impl IntoIterator<Item = Plot>) -> String {
    let plots = plots.into_iter().filter(|plot| !plot.lines.is_empty());
    format!("<div class=\"plots\">{}</div>", plots.map(|plot| plot.svg()).collect::<String>())
}

fn marks(values: &[u32]) -> Vec<(f64, String)> {
    values.iter().map(|value| (f64::from(*value), value.to_string())).collect()
}

fn throughput(all: &[Results]) -> String {
    let Some(results) = experiment(all, "registry-throughput") else { return String::new() };
    let processors = results.machine.processors as u32;
    let plot = |workload: &workloads::Description| {
        let lines = SHOWN.iter().map(|subject| {
            let of = results.series.iter().filter(|it| {
                (it.workload.as_str(), it.subject.as_str(), it.entries)
                    == (workload.name, subject, ENTRIES)
            });
            let points = of
                .filter(|it| it.threads <= processors)
                .filter_map(|it| Some((f64::from(it.threads), 1e3 / median(&it.samples)?)));
            line(subject, points.collect())
        });
        Plot {
            title: workload.title.to_owned(),
            labels: ["threads", "million operations/s, all threads together"],
            scales: [Scale::Log; 2],
            marks: marks(&scale::THREADS),
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
        }
    };
    let wanted = ["borrow-distinct", "counted-distinct", "insert-remove", "reads-50"];
    plots(workloads::ALL.iter().filter(|it| wanted.contains(&it.name)).map(plot))
}

fn scaling(all: &[Results]) -> String {
    let Some(results) = experiment(all, "registry-throughput") else { return String::new() };
    let rows = scale::rows(results);
    let plot = |workload: &'static str| {
        let mut lines = Vec::new();
        for subject in [BASELINE, DEFAULT, "counted", FLOOR] {
            let of = || rows.iter().filter(|it| (it.workload, it.backend) == (workload, subject));
            if of().next().is_none() {
                continue;
            }
            let points = |value: fn(&scale::Row) -> Option<f64>| {
                let points =
                    of().filter_map(|row| Some((f64::from(row.threads), 1e3 / value(row)?)));
                points.collect::<Vec<_>>()
            };
            lines.push(line(subject, points(|row| Some(row.predicted))));
            let simulated = line("", points(|row| Some(row.simulated)));
            lines.push(Line { colour: colour(subject), is_strong: false, ..simulated });
            let measured = line("", points(|row| row.measured));
            lines.push(Line { colour: colour(subject), is_dots: true, ..measured });
        }
        Plot {
            title: title(workload),
            labels: [
                "threads",
                "million operations/s: predicted thick, simulated thin, measured dots",
            ],
            scales: [Scale::Log; 2],
            marks: marks(&scale::THREADS),
            // The prediction is the thick one.
            lines: lines
                .into_iter()
                .map(|it| Line { is_strong: !it.name.is_empty(), ..it })
                .collect(),
        }
    };
    plots(["borrow-distinct", "counted-same", "insert-remove", "reads-50"].map(plot))
}

fn title(workload: &str) -> String {
    let found = workloads::ALL.iter().find(|it| it.name == workload);
    found.map_or(workload, |it| it.title).to_owned()
}

/// Lookups under churn by this number of threads.
fn distributions(all: &[Results], threads: u32) -> Vec<&Labelled<Distribution>> {
    let workload = format!("lookup-under-churn-{threads}");
    let results = experiment(all, "registry-latency");
    let all = results.iter().flat_map(|results| &results.distributions);
    all.filter(|it| it.workload == workload).collect()
}

fn latency(all: &[Results]) -> String {
    let of = |points: fn(&Distribution) -> Vec<(f64, f64)>| {
        let all = distributions(all, 8);
        let shown = all.into_iter().filter(|it| SHOWN.contains(&it.subject.as_str()));
        let lines = shown.map(|it| line(&it.subject, points(&it.value)));
        lines.filter(|line| !line.points.is_empty()).collect::<Vec<_>>()
    };
    let marks =
        [(2.0, "50"), (10.0, "90"), (1e2, "99"), (1e3, "99.9"), (1e4, "99.99"), (1e5, "99.999")];
    // The odds of a longer one: 2 at the median, 10,000 at p99.99.
    let by_operation = of(|it| {
        let points = it.points.iter().filter(|point| (0.5..1.0).contains(&point.0));
        points.map(|point| (1.0 / (1.0 - point.0), point.1)).collect()
    });
    let by_time = of(|it| {
        let longer = it.longer.iter().filter(|it| it.1 > 0);
        longer.map(|(limit, count)| (*limit, *count as f64 / it.seconds)).collect()
    });
    let labels = ["percentile of the lookups", "ns"];
    let plot = |title: &str, labels, marks, lines| Plot {
        title: title.to_owned(),
        labels,
        scales: [Scale::Log; 2],
        marks,
        lines,
    };
    let marks = marks.map(|(x, text)| (x, text.to_owned())).to_vec();
    let plots = plots([
        plot("by operation: lookups under churn, 8 threads", labels, marks, by_operation),
        plot(
            "by time: how often a lookup takes longer, 8 threads",
            ["longer than, ns", "lookups a second of run"],
            Vec::new(),
            by_time,
        ),
    ]);
    plots + &percentiles(all)
}

/// The number of lookups a second of run that took longer; a range, if the results have percentiles only.
pub fn stalls(all: &[Results], threads: u32, subject: &str, limit: f64) -> Option<String> {
    let it = &distributions(all, threads).into_iter().find(|it| it.subject == subject)?.value;
    if it.seconds == 0.0 {
        return None;
    }
    let a_second = |count: f64| number((count / it.seconds).round());
    if let Some((_, count)) = it.longer.iter().find(|it| it.0 == limit) {
        return Some(a_second(*count as f64));
    }
    let beyond = |rank: f64| it.count as f64 * (1.0 - rank);
    let most = it.points.iter().rfind(|point| point.1 <= limit).map_or(0.0, |point| point.0);
    let least = it.points.iter().find(|point| point.1 > limit).map_or(1.0, |point| point.0);
    Some(format!("{} to {}", a_second(beyond(least)), a_second(beyond(most))))
}

fn percentiles(all: &[Results]) -> String {
    let ranks = [0.5, 0.99, 0.999, 0.9999, 0.99999, 1.0];
    let heads = [
        "",
        "p50",
        "p99",
        "p99.9",
        "p99.99",
        "p99.999",
        "longest",
        "> 10 µs/s",
        "> 100 µs/s",
        "> 1 ms/s",
    ];
    let mut table = Table::new(&heads);
    for it in distributions(all, 8) {
        let of = |rank: f64| {
            let found = it.value.points.iter().find(|point| point.0 == rank);
            found.map_or("–".to_owned(), |point| time(point.1))
        };
        let stalls = [1e4, 1e5, 1e6]
            .map(|limit| stalls(all, 8, &it.subject, limit).unwrap_or("–".to_owned()));
        let cells = std::iter::once(it.subject.clone()).chain(ranks.map(of)).chain(stalls);
        table.rows.push(cells.collect());
    }
    if table.rows.is_empty() {
        return String::new();
    }
    table.html("8 threads: percentiles, and lookups that took longer, a second of run")
        + &notes(all, "registry-latency")
}

fn timelines<'r>(all: &'r [Results], workload: &str) -> Vec<&'r Labelled<Timeline>> {
    let results = experiment(all, "registry-garbage");
    let all = results.iter().flat_map(|results| &results.timelines);
    all.filter(|it| it.workload == workload).collect()
}

fn garbage(all: &[Results]) -> String {
    let stopped = timelines(all, "stopped-reader");
    let plot = |title: &str, label, value: fn(Option<u64>, f64) -> Option<f64>| {
        let shown = stopped.iter().filter(|it| SHOWN.contains(&it.subject.as_str()));
        let lines = shown.map(|it| {
            let points = it
                .value
                .points
                .iter()
                .filter_map(|point| Some((point.0, value(point.1, point.2)?)));
            // A logarithm has no place for none.
            line(&it.subject, points.map(|(x, y)| (x, y.max(1.0))).collect())
        });
        Plot {
            title: title.to_owned(),
            labels: ["seconds", label],
            scales: [Scale::Linear, Scale::Log],
            marks: Vec::new(),
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
        }
    };
    let plots = plots([
        plot("unreclaimed beside a stopped reader", "records", |records, _| {
            records.map(|it| it as f64)
        }),
        plot("resident memory beside a stopped reader", "KiB above the start", |_, memory| {
            Some(memory)
        }),
    ]);
    let mut table = Table::new(&[
        "",
        "records, no reader: median",
        "most",
        "records, stopped reader: most",
        "retired beside it",
        "of those unreclaimed, %",
        "memory, MiB",
    ]);
    for it in timelines(all, "no-reader") {
        let records = |it: &Labelled<Timeline>| -> Vec<f64> {
            it.value.points.iter().filter_map(|point| point.1.map(|count| count as f64)).collect()
        };
        let most = |values: &[f64]| values.iter().copied().reduce(f64::max);
        let stopped = stopped.iter().find(|other| other.subject == it.subject);
        let (free, held) = (records(it), stopped.map_or(Vec::new(), |it| records(it)));
        let retired = stopped.and_then(|it| Some(*it.value.retired.last()? as f64));
        let part = retired.zip(most(&held)).map(|(retired, held)| 100.0 * held / retired.max(1.0));
        let memory = stopped.and_then(|it| it.value.points.iter().map(|it| it.2).reduce(f64::max));
        let cell = |value: Option<f64>| value.map_or("–".to_owned(), number);
        table.rows.push(vec![
            it.subject.clone(),
            cell(median(&free)),
            cell(most(&free)),
            cell(most(&held)),
            cell(retired),
            cell(part),
            cell(memory.map(|kib| kib / 1024.0)),
        ]);
    }
    if table.rows.is_empty() {
        return String::new();
    }
    plots
        + &table.html("four threads insert and remove without pause")
        + &notes(all, "registry-garbage")
}

/// Every registry in a handler, with what it keeps of the guarantees.
fn signal_safety(runs: &[Run]) -> String {
    let results = runs.iter().find_map(|run| experiment(&run.all, "registry-signals"));
    let mut table = Table::new(&["", "reclamation, records"]);
    table.heads.extend(signals::workloads());
    table.heads.push("beside a stopped reader".to_owned());
    for [name, role, allocator] in backends::described() {
        let mut row = vec![name.to_owned(), format!("{role}; {allocator}")];
        for workload in signals::workloads() {
            let series = results.and_then(|it| it.find(&workload, name, 1, ENTRIES));
            row.push(series.map_or("–".to_owned(), |series| verdict(&series.samples)));
        }
        let bounded = runs.iter().find_map(|run| {
            let all = timelines(&run.all, "stopped-reader");
            let points = &all.into_iter().find(|it| it.subject == name)?.value.points;
            points.iter().map(|point| point.2).reduce(f64::max)
        });
        // Some memory is mapped at first use.
        row.push(bounded.map_or("–".to_owned(), |kib| {
            let kind = if kib < 16_384.0 { "bounded" } else { "grows" };
            format!("{kind}: {} MiB in a second", number((kib / 102.4).round() / 10.0))
        }));
        table.rows.push(row);
    }
    table.html("of the boundaries between instructions that were tried: how many end in a wait for ever, a crash or a wrong answer")
}

fn verdict(samples: &[f64]) -> String {
    let [tried, waits, crashed, wrong] =
        [0, 1, 2, 3].map(|it| samples.get(it).copied().unwrap_or(0.0));
    let bad = [(waits, "wait"), (crashed, "crash"), (wrong, "are wrong")];
    let bad: Vec<_> =
        bad.iter().filter(|it| it.0 > 0.0).map(|(count, how)| format!("{count} {how}")).collect();
    let bad = if bad.is_empty() { "none".to_owned() } else { bad.join(", ") };
    format!("{bad} of {tried}")
}

/// Notes of an experiment.
pub fn notes(all: &[Results], name: &str) -> String {
    let notes = experiment(all, name).map_or(&[][..], |results| &results.notes);
    let notes: String = notes.iter().map(|note| format!("{}. ", escape(note))).collect();
    format!("<p class=\"quiet\">{notes}</p>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_lines_of_a_plot_have_one_colour_or_dashes_that_the_style_lacks() {
        let used: std::collections::BTreeSet<_> = SHOWN.iter().map(|name| colour(name)).collect();
        assert_eq!(used.len(), SHOWN.len());
        let rules = |colour: usize| STYLE.matches(&format!(".c{colour}{{stroke:")).count();
        assert!((0..SHOWN.len()).all(|colour| rules(colour) == 2), "light and dark");
        let described = backends::described();
        assert!(SHOWN.iter().all(|name| described.iter().any(|it| it[0] == *name)));
    }

    #[test]
    fn every_part_of_the_page_is_filled() {
        let page = page(&[Run::default()]);
        assert!(!page.contains("{{") && !page.contains("NaN"), "a part is left");
    }

    #[test]
    fn percentiles_alone_give_a_range_of_stalls() {
        let value = Distribution {
            count: 1_000_000,
            seconds: 2.0,
            points: vec![(0.5, 10.0), (0.999, 500.0), (0.9999, 20_000.0), (1.0, 1e6)],
            longer: Vec::new(),
        };
        let (workload, subject) = ("lookup-under-churn-8".to_owned(), "slots".to_owned());
        let experiment = "registry-latency".to_owned();
        let distributions = vec![Labelled { workload, subject, value }];
        let all = [Results { experiment, distributions, ..Results::default() }];
        assert_eq!(stalls(&all, 8, "slots", 1e4).as_deref(), Some("50 to 500"));
        assert_eq!(stalls(&all, 8, "mutex", 1e4), None);
    }
}
