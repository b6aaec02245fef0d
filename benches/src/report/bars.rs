//! The figure of the README: the headline figures as bars, one SVG file for light and dark.

use std::fmt::Write;

use super::targets::{DEFAULT, differences, speedup, speedups};
use super::text::{escape, number};
use super::{Run, experiment};
use crate::measure::plan::ENTRIES;
use crate::measure::results::Results;
use crate::measure::statistics::{Summary, summary};
use crate::preload::connections::BARE;
use crate::preload::torifier::{EMPTY, NOTHING, OURS};

/// Some bars on one scale, which begins at 0.
#[derive(Clone, Debug, PartialEq)]
struct Panel {
    title: &'static str,
    /// The unit, after each value.
    unit: &'static str,
    bars: Vec<Bar>,
}

#[derive(Clone, Debug, PartialEq)]
struct Bar {
    name: &'static str,
    /// The bar is drawn in the colour of epochsocks.
    is_ours: bool,
    value: Summary,
}

const WIDTH: f64 = 860.0;
const COLUMN: f64 = 430.0;
const NAME: f64 = 168.0;
const VALUE: f64 = 66.0;
const TITLE: f64 = 24.0;
const ROW: f64 = 20.0;
const GAP: f64 = 14.0;

const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #1b1b1a; } .title { font-weight: 600; } \
.quiet { fill: #65645f; font-size: 11px; } .ours { fill: #0b57c2; } .other { fill: #b5b3ab; } \
.spread { stroke: #1b1b1a; stroke-width: 1.2; } .axis { stroke: #8a8984; stroke-width: 1; } \
@media (prefers-color-scheme: dark) { text { fill: #ecebe6; } .quiet { fill: #a3a19a; } \
.ours { fill: #6aa8ff; } .other { fill: #5c5a55; } .spread { stroke: #ecebe6; } }";

/// The run of the machine on which the registry gains least.
pub fn worst(runs: &[Run]) -> &[Results] {
    let gain = |run: &&Run| {
        let results = experiment(&run.all, "registry-throughput");
        results
            .and_then(|it| speedup(it, "insert-remove", DEFAULT, 1, ENTRIES))
            .unwrap_or(f64::INFINITY)
    };
    runs.iter().min_by(|a, b| gain(a).total_cmp(&gain(b))).map_or(&[], |run| &run.all)
}

/// The figure of the worst machine as an SVG file; panels whose experiment was not run are left out.
pub fn svg(runs: &[Run]) -> String {
    let all = worst(runs);
    let [left, right] = [vec![registry(all)], vec![connect(all), exec(all)]];
    let [left, right] = [left, right].map(|panels| {
        panels.into_iter().filter(|panel| !panel.bars.is_empty()).collect::<Vec<_>>()
    });
    let mut body = String::new();
    let ends = [draw_column(&mut body, &left, 0.0), draw_column(&mut body, &right, COLUMN)];
    let height = ends[0].max(ends[1]) + 18.0;
    let title = "epochsocks: headline figures";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\"><title>{title}</title><style>{STYLE}</style>\n{body}\
         <text class=\"quiet\" x=\"0\" y=\"{:.1}\">{}</text>\n</svg>\n",
        height - 5.0,
        escape(&caption(all)),
    )
}

fn caption(all: &[Results]) -> String {
    let machine = all.first().map(|results| results.machine.clone()).unwrap_or_default();
    format!(
        "Medians, with the quartiles as lines. {}, {} processors.",
        machine.processor, machine.processors
    )
}

/// The default registry's speed as a multiple of the mutex's.
fn registry(all: &[Results]) -> Panel {
    let speedup = |name, workload, threads| {
        let results = experiment(all, "registry-throughput")?;
        bar(name, true, &speedups(results, workload, DEFAULT, threads, ENTRIES))
    };
    let mutex = experiment(all, "registry-throughput").and_then(|_| bar("mutex", false, &[1.0]));
    let bars = [
        mutex,
        speedup("borrow a record", "borrow-distinct", 1),
        speedup("look up, counted", "counted-distinct", 1),
        speedup("find no record", "miss", 1),
        speedup("insert and remove", "insert-remove", 1),
        speedup("look up, 2 threads", "borrow-distinct", 2),
        speedup("half writes, 2 threads", "reads-50", 2),
    ];
    let title = "Registry: times as fast as a mutex and a hash table";
    Panel { title, unit: "×", bars: bars.into_iter().flatten().collect() }
}

/// Time of a connect through a local SOCKS server.
fn connect(all: &[Results]) -> Panel {
    let bar_of = |name: &'static str| {
        let results = experiment(all, "preload-connections")?;
        let is_it =
            |workload: &str, subject: &str| workload == "connect, median time" && subject == name;
        let series = results.series.iter().find(|it| is_it(&it.workload, &it.subject))?;
        bar(name, name == OURS, &series.samples)
    };
    let bars = [BARE, OURS, "torsocks", "proxychains4"].map(bar_of);
    let title = "Connect through a local SOCKS server";
    Panel { title, unit: " µs", bars: bars.into_iter().flatten().collect() }
}

/// Processor time that a library adds to an exec.
fn exec(all: &[Results]) -> Panel {
    let bar_of = |name: &'static str| {
        let results = experiment(all, "preload-startup")?;
        let workload = "library, least processor time of 20";
        bar(name, name == OURS, &differences(results, workload, name, NOTHING))
    };
    let bars = [EMPTY, OURS, "torsocks", "proxychains4"].map(bar_of);
    let title = "Processor time that the library adds to an exec";
    Panel { title, unit: " µs", bars: bars.into_iter().flatten().collect() }
}

fn bar(name: &'static str, is_ours: bool, samples: &[f64]) -> Option<Bar> {
    let value = summary(samples).filter(|value| value.median.is_finite())?;
    Some(Bar { name, is_ours, value })
}

/// Draws the panels below each other and returns where they end.
fn draw_column(body: &mut String, panels: &[Panel], left: f64) -> f64 {
    let mut top = 0.0;
    for panel in panels {
        top = draw(body, panel, left, top) + GAP;
    }
    top
}

fn draw(body: &mut String, panel: &Panel, left: f64, top: f64) -> f64 {
    let _ = writeln!(
        body,
        "<text class=\"title\" x=\"{left}\" y=\"{:.1}\">{}</text>",
        top + 14.0,
        escape(panel.title)
    );
    let most = panel.bars.iter().map(|bar| bar.value.upper).fold(f64::MIN_POSITIVE, f64::max);
    let zero = left + NAME;
    let width = |value: f64| value.max(0.0) / most * (COLUMN - NAME - VALUE);
    let top = top + TITLE;
    for (index, Bar { name, is_ours, value }) in panel.bars.iter().enumerate() {
        let y = top + ROW * index as f64;
        let middle = y + ROW / 2.0;
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{}\" x=\"{zero}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\"/>\
             <line class=\"spread\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}{}</text>",
            zero - 8.0,
            middle + 4.0,
            escape(name),
            if *is_ours { "ours" } else { "other" },
            y + 3.0,
            width(value.median),
            ROW - 6.0,
            zero + width(value.lower),
            zero + width(value.upper),
            zero + width(value.upper.max(value.median)) + 6.0,
            middle + 4.0,
            number(value.median),
            panel.unit,
        );
    }
    let end = top + ROW * panel.bars.len() as f64;
    let _ = writeln!(
        body,
        "<line class=\"axis\" x1=\"{zero}\" y1=\"{top}\" x2=\"{zero}\" y2=\"{end:.1}\"/>"
    );
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::results::Series;

    #[test]
    fn a_bar_has_the_length_of_its_median() {
        let series = |subject: &str, sample: f64| Series {
            workload: "connect, median time".to_owned(),
            subject: subject.to_owned(),
            threads: 1,
            entries: 0,
            unit: "µs/connect".to_owned(),
            samples: vec![sample],
        };
        let results = Results {
            experiment: "preload-connections".to_owned(),
            series: vec![series(BARE, 50.0), series(OURS, 100.0)],
            ..Results::default()
        };
        let svg = svg(&[Run { folder: String::new(), all: vec![results] }]);
        let longest = COLUMN - NAME - VALUE;
        for (class, width) in [("other", longest / 2.0), ("ours", longest)] {
            let bar = format!("class=\"{class}\" x=\"{}\"", COLUMN + NAME);
            let (_, rest) = svg.split_once(&bar).expect("a bar");
            assert!(rest.contains(&format!("width=\"{width:.1}\"")), "{class}: {svg}");
        }
        assert!(svg.contains(">100 µs<"), "{svg}");
    }

    #[test]
    fn experiments_that_were_not_run_leave_no_bar() {
        let svg = svg(&[]);
        assert!(!svg.contains("<rect") && !svg.contains("NaN"), "{svg}");
    }
}
