//! The targets, and what was measured for each.

use super::Run;
use super::experiment;
use super::text::{Table, number, quartiles, range};
use crate::measure::plan::ENTRIES;
use crate::measure::results::Results;
use crate::measure::statistics::{Summary, interval, median, ratios, summary};
use crate::preload::connections::BARE;
use crate::preload::hooks::LIBC;
use crate::preload::torifier::{EMPTY, NOTHING, OURS};
use crate::registry::backends::BASELINE;

/// The default registry.
pub const DEFAULT: &str = "slots";
/// The registry that can't be beaten: a word a descriptor.
pub const FLOOR: &str = "array";

/// The side of a bound that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As much as this, or more.
    AtLeast,
    /// As much as this, or less.
    AtMost,
}

/// Comparison of a target with its measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both quartiles keep the bound.
    Met,
    /// One of them does: the samples don't tell.
    WithinSpread,
    /// Neither does.
    Missed,
}

impl Verdict {
    /// For a table.
    pub const fn text(self) -> &'static str {
        match self {
            Verdict::Met => "yes",
            Verdict::WithinSpread => "within the spread",
            Verdict::Missed => "no",
        }
    }
}

/// One target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Bounded quantity.
    pub what: &'static str,
    /// Side of the bound.
    pub bound: Bound,
    /// The bound.
    pub limit: f64,
    /// The unit of the bound and of what was measured.
    pub unit: &'static str,
    /// Measured values, of each round; empty if the experiment was not run.
    pub samples: Vec<f64>,
    /// The floor's value, where there is a floor: the plain array, an empty library.
    pub floor: Option<f64>,
}

impl Target {
    /// Median and quartiles; `None` if it was not measured.
    pub fn measured(&self) -> Option<Summary> {
        summary(&self.samples)
    }

    /// Verdict of the samples; `None` if it was not measured.
    pub fn verdict(&self) -> Option<Verdict> {
        let measured = self.measured()?;
        let keeps = |value: f64| match self.bound {
            Bound::AtLeast => value >= self.limit,
            Bound::AtMost => value <= self.limit,
        };
        // The median lies between the quartiles.
        Some(match (keeps(measured.lower), keeps(measured.upper)) {
            (true, true) => Verdict::Met,
            (false, false) => Verdict::Missed,
            _ => Verdict::WithinSpread,
        })
    }
}

/// Speed of `subject` as a multiple of the baseline's, round by round.
pub fn speedups(
    results: &Results,
    workload: &str,
    subject: &str,
    threads: u32,
    entries: u32,
) -> Vec<f64> {
    let samples = |subject| results.find(workload, subject, threads, entries);
    match (samples(BASELINE), samples(subject)) {
        (Some(baseline), Some(subject)) => ratios(&baseline.samples, &subject.samples),
        _ => Vec::new(),
    }
}

/// The differences of two subjects' samples, round by round.
pub fn differences(results: &Results, workload: &str, subject: &str, base: &str) -> Vec<f64> {
    let samples =
        |subject| results.series.iter().find(|s| s.workload == workload && s.subject == subject);
    match (samples(subject), samples(base)) {
        (Some(subject), Some(base)) => {
            subject.samples.iter().zip(&base.samples).map(|(a, b)| a - b).collect()
        }
        _ => Vec::new(),
    }
}

fn quotients(results: &Results, workload: &str, subject: &str, base: &str) -> Vec<f64> {
    let samples =
        |subject| results.series.iter().find(|s| s.workload == workload && s.subject == subject);
    match (samples(subject), samples(base)) {
        (Some(subject), Some(base)) => ratios(&subject.samples, &base.samples),
        _ => Vec::new(),
    }
}

/// Every target, with what `all` says about it.
pub fn targets(all: &[Results]) -> Vec<Target> {
    let mut targets = registry_targets(all);
    targets.extend(preload_targets(all));
    targets
}

fn target(
    what: &'static str,
    (bound, limit, unit): (Bound, f64, &'static str),
    samples: Vec<f64>,
    floor: Vec<f64>,
) -> Target {
    Target { what, bound, limit, unit, samples, floor: median(&floor) }
}

fn registry_targets(all: &[Results]) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let throughput = |what, limit, workload: &str, subject, threads| {
        let of = |subject| {
            experiment(all, "registry-throughput")
                .map(|results| speedups(results, workload, subject, threads, ENTRIES))
                .unwrap_or_default()
        };
        target(what, (AtLeast, limit, "× mutex"), of(subject), of(FLOOR))
    };
    let worst = |subject| percentile(all, 8, subject, 0.9999).map(|it| it / 1e3);
    let unreclaimed = experiment(all, "registry-garbage").map_or(Vec::new(), |results| {
        let is_it = |it: &&crate::measure::results::Labelled<_>| {
            it.workload == "no-reader" && it.subject == DEFAULT
        };
        let timeline = results.timelines.iter().find(is_it);
        let points = timeline.iter().flat_map(|timeline| &timeline.value.points);
        points.filter_map(|point| point.1.map(|count| count as f64)).collect()
    });
    let most = unreclaimed.iter().copied().reduce(f64::max);
    let garbage = (AtMost, 100.0, "records");
    vec![
        throughput("hit by borrow", 2.5, "borrow-distinct", DEFAULT, 1),
        throughput("hit by counted handle", 1.25, "counted-distinct", DEFAULT, 1),
        throughput("miss", 10.0, "miss", DEFAULT, 1),
        throughput("insert + remove", 2.0, "insert-remove", DEFAULT, 1),
        throughput("insert + remove, process id checked", 1.0, "insert-remove", CHECKED, 1),
        throughput("lookups, 2 threads", 4.0, "borrow-distinct", DEFAULT, 2),
        throughput("half reads, 2 threads", 4.0, "reads-50", DEFAULT, 2),
        target(
            "lookup p99.99, 8 threads",
            (AtMost, 0.5, "µs"),
            worst(DEFAULT).into_iter().collect(),
            worst(FLOOR).into_iter().collect(),
        ),
        target("unreclaimed, 4 churners, median", garbage, unreclaimed, Vec::new()),
        target(
            "unreclaimed, 4 churners, most seen",
            garbage,
            most.into_iter().collect(),
            Vec::new(),
        ),
    ]
}

/// The default registry with the check of the process id.
pub const CHECKED: &str = "slots, checked";

/// Nanoseconds of a lookup under churn that so large a part of them does not exceed.
pub fn percentile(all: &[Results], threads: u32, subject: &str, rank: f64) -> Option<f64> {
    let workload = format!("lookup-under-churn-{threads}");
    let all = &experiment(all, "registry-latency")?.distributions;
    let found = all.iter().find(|it| it.workload == workload && it.subject == subject)?;
    found.value.points.iter().find(|point| point.0 == rank).map(|point| point.1)
}

fn preload_targets(all: &[Results]) -> Vec<Target> {
    use Bound::AtMost;
    let of = |name: &str, measure: &dyn Fn(&Results) -> Vec<f64>| {
        experiment(all, name).map(measure).unwrap_or_default()
    };
    let over_libc = |call: &str| of("preload-hooks", &|r| differences(r, call, OURS, LIBC));
    let [close, socket, dup] =
        ["close_vacant", "socket_inet_and_close", "dup_tracked_and_close"].map(over_libc);
    let peer = of("preload-hooks", &|r| {
        let found =
            r.series.iter().find(|s| s.workload == "getpeername_tracked" && s.subject == OURS);
        found.map(|series| series.samples.clone()).unwrap_or_default()
    });
    // Microseconds of processor time that our library adds.
    let added = |times: &str, library| {
        let workload = format!("library, {times}");
        let added = of("preload-startup", &|r| differences(r, &workload, library, NOTHING));
        added.iter().map(|microseconds| microseconds / 1e3).collect::<Vec<_>>()
    };
    let library = added("processor time", OURS);
    let [undisturbed, empty] =
        [OURS, EMPTY].map(|library| added("least processor time of 20", library));
    let launcher = of("preload-startup", &|r| quotients(r, "launcher", OURS, "proxychains4"));
    let connect = of("preload-connections", &|r| quotients(r, "connect, median time", OURS, BARE));
    let rate = of("preload-connections", &|r| quotients(r, "connect, rate", BARE, OURS));
    let tor_connect =
        of("preload-tor-connections", &|r| quotients(r, "connect, median time", OURS, BARE));
    let tor_rate = of("preload-tor-connections", &|r| quotients(r, "connect, rate", BARE, OURS));
    let stream = of("preload-connections", &|r| quotients(r, "stream", NOTHING, OURS));
    let target =
        |what, limit, unit, samples| target(what, (AtMost, limit, unit), samples, Vec::new());
    vec![
        target("close of an untracked descriptor", 2.0, "ns over libc", close),
        target("getpeername of a connection", 8.0, "ns", peer),
        target("socket + close, TCP", 500.0, "ns over libc", socket),
        target("dup + close of a connection", 250.0, "ns over libc", dup),
        target("library, each exec", 0.05, "ms", library),
        Target {
            floor: median(&empty),
            ..target("library, each exec, undisturbed", 0.05, "ms", undisturbed)
        },
        target("launcher", 1.0, "× proxychains4", launcher),
        target("connect, 1 thread", 1.0, "× bare SOCKS", connect),
        target("connect, 64 threads", 1.0, "× bare SOCKS", rate),
        target("connect through tor, 1 thread", 1.0, "× bare SOCKS", tor_connect),
        target("connect through tor, 64 threads", 1.0, "× bare SOCKS", tor_rate),
        target("stream", 1.0, "× nothing", stream),
    ]
}

/// The targets of one run, for the page.
pub fn table(all: &[Results]) -> Table {
    let heads =
        ["what", "target", "median", "quartiles", "95 % of the median", "n", "floor", "met"];
    let mut table = Table::new(&heads);
    for target in targets(all) {
        let it = target.measured();
        table.rows.push(vec![
            target.what.to_owned(),
            target.bounds(),
            it.map_or("–".to_owned(), |it| format!("{:.2}", it.median)),
            it.map_or("–".to_owned(), |it| quartiles(&it)),
            interval(&target.samples).map_or("–".to_owned(), range),
            target.samples.len().to_string(),
            target.floor.map_or("–".to_owned(), |floor| format!("{floor:.2}")),
            target.verdict().map_or("not measured", Verdict::text).to_owned(),
        ]);
    }
    table
}

/// The targets of all runs beside each other, for a document.
pub fn side_by_side(runs: &[Run]) -> Table {
    let mut table = Table::new(&["what", "target"]);
    table.heads.extend(runs.iter().map(|run| run.name().to_owned()));
    let of_run: Vec<_> = runs.iter().map(|run| targets(&run.all)).collect();
    for (index, target) in targets(&[]).iter().enumerate() {
        let cell = |targets: &Vec<Target>| {
            let target = &targets[index];
            let (Some(it), Some(verdict)) = (target.measured(), target.verdict()) else {
                return "–".to_owned();
            };
            let floor = target.floor.map_or(String::new(), |floor| {
                format!(", floor {}", number((floor * 100.0).round() / 100.0))
            });
            format!("{:.2} ({}){floor}: {}", it.median, quartiles(&it), verdict.text())
        };
        let mut row = vec![target.what.to_owned(), target.bounds()];
        row.extend(of_run.iter().map(cell));
        table.rows.push(row);
    }
    table
}

impl Target {
    fn bounds(&self) -> String {
        let sign = if self.bound == Bound::AtLeast { "≥" } else { "≤" };
        format!("{sign} {} {}", self.limit, self.unit)
    }
}

/// The median speedup over the baseline, if both were measured.
pub fn speedup(
    results: &Results,
    workload: &str,
    subject: &str,
    threads: u32,
    entries: u32,
) -> Option<f64> {
    median(&speedups(results, workload, subject, threads, entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::results::Series;

    fn results(mutex: &[f64], slots: &[f64]) -> Results {
        let series = |subject: &str, samples: &[f64]| Series {
            workload: "miss".to_owned(),
            subject: subject.to_owned(),
            threads: 1,
            entries: ENTRIES,
            unit: "ns/operation".to_owned(),
            samples: samples.to_vec(),
        };
        Results {
            experiment: "registry-throughput".to_owned(),
            series: vec![series("mutex", mutex), series("slots", slots)],
            ..Results::default()
        }
    }

    fn miss(all: &[Results]) -> Target {
        targets(all).into_iter().find(|target| target.what == "miss").expect("a target")
    }

    #[test]
    fn a_target_is_met_by_the_median_of_same_round_ratios() {
        let met = miss(&[results(&[11.0, 220.0, 55.0], &[1.0, 20.0, 5.0])]);
        assert_eq!(
            (met.measured().map(|it| it.median), met.verdict()),
            (Some(11.0), Some(Verdict::Met))
        );
        let missed = miss(&[results(&[9.0], &[1.0])]);
        assert_eq!(missed.verdict(), Some(Verdict::Missed));
    }

    #[test]
    fn a_median_beside_a_bound_between_the_quartiles_is_told_from_a_miss() {
        let undecided = miss(&[results(&[9.0, 9.5, 11.0, 12.0, 9.9], &[1.0; 5])]);
        assert_eq!(undecided.verdict(), Some(Verdict::WithinSpread));
        // On whichever side the median is.
        let lucky = miss(&[results(&[9.0, 9.5, 11.0, 12.0, 10.1], &[1.0; 5])]);
        assert_eq!(lucky.verdict(), Some(Verdict::WithinSpread));
    }

    #[test]
    fn what_was_not_run_is_neither_met_nor_missed() {
        let target = miss(&[]);
        assert_eq!(target.verdict(), None);
        let table = table(&[]);
        assert!(table.rows.iter().all(|row| row.last().is_some_and(|met| met == "not measured")));
    }
}
