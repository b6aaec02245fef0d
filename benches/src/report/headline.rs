//! The targets, and what was measured for each.

use std::fmt::Write;

use super::experiment;
use crate::measure::plan::ENTRIES;
use crate::measure::results::Results;
use crate::measure::statistics::{Summary, median, ratios, summary};
use crate::preload::connections::BARE;
use crate::preload::hooks::LIBC;
use crate::preload::torifier::{EMPTY, NOTHING, OURS};
use crate::registry::backends::BASELINE;

/// The default registry.
pub const DEFAULT: &str = "slots";

/// Which side of a bound is good.
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
    /// Measured value; `None` if the experiment was not run.
    pub measured: Option<Summary>,
}

impl Target {
    /// Verdict of the samples; `None` if it was not measured.
    pub fn verdict(&self) -> Option<Verdict> {
        let measured = self.measured?;
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
    bound: Bound,
    limit: f64,
    unit: &'static str,
    samples: &[f64],
) -> Target {
    Target { what, bound, limit, unit, measured: summary(samples) }
}

fn registry_targets(all: &[Results]) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let throughput = |workload: &str, threads| {
        experiment(all, "registry-throughput")
            .map(|results| speedups(results, workload, DEFAULT, threads, ENTRIES))
            .unwrap_or_default()
    };
    let worst = experiment(all, "registry-latency").and_then(|results| {
        let lookups = "lookup-under-churn-8";
        let found =
            results.distributions.iter().find(|d| d.workload == lookups && d.subject == DEFAULT)?;
        found.value.points.iter().find(|point| point.0 == 0.9999).map(|point| point.1 / 1e3)
    });
    let unreclaimed: Vec<f64> = experiment(all, "registry-garbage")
        .and_then(|results| {
            let found = |t: &&_| {
                let t: &crate::measure::results::Labelled<_> = t;
                t.workload == "no-reader" && t.subject == DEFAULT
            };
            results.timelines.iter().find(found)
        })
        .map(|timeline| {
            timeline.value.points.iter().filter_map(|p| p.1.map(|n| n as f64)).collect()
        })
        .unwrap_or_default();
    let most = unreclaimed.iter().copied().fold(f64::NAN, f64::max);
    vec![
        target("hit by borrow", AtLeast, 2.5, "× mutex", &throughput("borrow-distinct", 1)),
        target(
            "hit by counted handle",
            AtLeast,
            1.25,
            "× mutex",
            &throughput("counted-distinct", 1),
        ),
        target("miss", AtLeast, 10.0, "× mutex", &throughput("miss", 1)),
        target("insert + remove", AtLeast, 2.0, "× mutex", &throughput("insert-remove", 1)),
        target("lookups, 2 threads", AtLeast, 4.0, "× mutex", &throughput("borrow-distinct", 2)),
        target("half reads, 2 threads", AtLeast, 4.0, "× mutex", &throughput("reads-50", 2)),
        target(
            "lookup p99.99, 8 threads",
            AtMost,
            0.5,
            "µs",
            &worst.into_iter().collect::<Vec<_>>(),
        ),
        target("unreclaimed, 4 churners, median", AtMost, 100.0, "records", &unreclaimed),
        target(
            "unreclaimed, 4 churners, most seen",
            AtMost,
            100.0,
            "records",
            &Some(most).filter(|most| !most.is_nan()).into_iter().collect::<Vec<_>>(),
        ),
    ]
}

fn preload_targets(all: &[Results]) -> Vec<Target> {
    use Bound::AtMost;
    let of = |name: &str, measure: &dyn Fn(&Results) -> Vec<f64>| {
        experiment(all, name).map(measure).unwrap_or_default()
    };
    let close = of("preload-hooks", &|r| differences(r, "close_vacant", OURS, LIBC));
    let peer = of("preload-hooks", &|r| {
        let found =
            r.series.iter().find(|s| s.workload == "getpeername_tracked" && s.subject == OURS);
        found.map(|series| series.samples.clone()).unwrap_or_default()
    });
    // Microseconds of processor time that our library adds.
    let added = |times: &str, base| {
        let workload = format!("library, {times}");
        let added = of("preload-startup", &|r| differences(r, &workload, OURS, base));
        added.iter().map(|microseconds| microseconds / 1e3).collect::<Vec<_>>()
    };
    let library = added("processor time", NOTHING);
    let undisturbed = added("least processor time of 20", NOTHING);
    let floor = added("least processor time of 20", EMPTY);
    let launcher = of("preload-startup", &|r| quotients(r, "launcher", OURS, "proxychains4"));
    let connect = of("preload-connections", &|r| quotients(r, "connect, median time", OURS, BARE));
    let rate = of("preload-connections", &|r| quotients(r, "connect, rate", BARE, OURS));
    let tor_connect =
        of("preload-tor-connections", &|r| quotients(r, "connect, median time", OURS, BARE));
    let tor_rate = of("preload-tor-connections", &|r| quotients(r, "connect, rate", BARE, OURS));
    let stream = of("preload-connections", &|r| quotients(r, "stream", NOTHING, OURS));
    vec![
        target("close of an untracked descriptor", AtMost, 2.0, "ns over libc", &close),
        target("getpeername of a connection", AtMost, 8.0, "ns", &peer),
        target("library, each exec", AtMost, 0.05, "ms", &library),
        target("library, each exec, undisturbed", AtMost, 0.05, "ms", &undisturbed),
        target("library, beyond an empty one, undisturbed", AtMost, 0.05, "ms", &floor),
        target("launcher", AtMost, 1.0, "× proxychains4", &launcher),
        target("connect, 1 thread", AtMost, 1.0, "× bare SOCKS", &connect),
        target("connect, 64 threads", AtMost, 1.0, "× bare SOCKS", &rate),
        target("connect through tor, 1 thread", AtMost, 1.0, "× bare SOCKS", &tor_connect),
        target("connect through tor, 64 threads", AtMost, 1.0, "× bare SOCKS", &tor_rate),
        target("stream", AtMost, 1.0, "× nothing", &stream),
    ]
}

/// The quartiles for a table. A single value has none.
pub fn quartiles(it: &Summary) -> String {
    if it.lower < it.upper {
        format!("{:.2}–{:.2}", it.lower, it.upper)
    } else {
        "–".to_owned()
    }
}

/// The targets as a table for a Markdown document.
pub fn markdown(targets: &[Target]) -> String {
    let mut text = String::from(
        "| what | target | median | quartiles | met |\n| --- | --- | ---: | ---: | --- |\n",
    );
    for target in targets {
        let sign = if target.bound == Bound::AtLeast { "≥" } else { "≤" };
        let (limit, unit) = (target.limit, target.unit);
        let (measured, met) = match (target.measured, target.verdict()) {
            (Some(it), Some(verdict)) => {
                (format!("{:.2} | {}", it.median, quartiles(&it)), verdict.text())
            }
            _ => ("– | –".to_owned(), "not run"),
        };
        let _ = writeln!(text, "| {} | {sign} {limit} {unit} | {measured} | {met} |", target.what);
    }
    text
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
            (met.measured.map(|it| it.median), met.verdict()),
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
        assert!(markdown(&[target]).contains("not run"));
    }
}
