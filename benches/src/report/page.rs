//! The page around the sections: self-contained, light and dark.

use super::sections;
use crate::measure::machine::Machine;
use crate::measure::results::Results;
use crate::report::plot::escape;

const STYLE: &str = "
:root { color-scheme: light dark; --page: #fcfcfb; --ink: #1b1b1a; --quiet: #65645f; --rule: #dddcd6;
  --good: #11734b; --bad: #b3361e;
  --c0: #8a8984; --c1: #0b57c2; --c2: #2a9d8f; --c3: #7b4fc9; --c4: #c9731a; --c5: #4a4a48;
  --c6: #b5338a; --c7: #a33a2b; --c8: #6b8e23; --c9: #008b8b; --c10: #5f9ea0; --c11: #8b5a2b;
  --c12: #d1495b; --c13: #6d6875; --c14: #3d5a80; --c15: #9c9a10; }
@media (prefers-color-scheme: dark) { :root { --page: #161615; --ink: #ecebe6; --quiet: #a3a19a;
  --rule: #393835; --good: #59c794; --bad: #f08a74;
  --c0: #a8a69f; --c1: #6aa8ff; --c2: #5fd0c0; --c3: #b79bf5; --c4: #f0a860; --c5: #d0cfca;
  --c6: #ee82c8; --c7: #f08a7c; --c8: #b0cf6a; --c9: #4fd0d0; --c10: #9fcfd1; --c11: #d2a679;
  --c12: #ff8d9c; --c13: #b9b2c6; --c14: #8fb0dd; --c15: #d8d560; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 2.4rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.86rem; }
th, td { padding: 0.18rem 0.6rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--quiet); font-weight: 600; }
.scroll { overflow-x: auto; } .yes { color: var(--good); } .no { color: var(--bad); }
.quiet, caption { color: var(--quiet); } caption { text-align: left; padding-bottom: 0.4rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
svg text { fill: var(--ink); font: 10px system-ui, sans-serif; } svg .plot-title { font-size: 12px; font-weight: 600; }
svg .mark, svg .label { fill: var(--quiet); } .grid { stroke: var(--rule); stroke-width: 0.6; }
.line { fill: none; stroke-width: 1.3; } .line.strong { stroke-width: 2.6; } .spread { stroke-width: 1; opacity: 0.7; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 0.85rem; } .key svg { margin-right: 0.35rem; }
";

/// The whole page.
pub fn page(all: &[Results]) -> String {
    let colours: String = (0..16)
        .map(|n| {
            format!(".line.c{n},.spread.c{n}{{stroke:var(--c{n})}}.dot.c{n}{{fill:var(--c{n})}}")
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>epochsocks: benchmarks</title><style>{STYLE}{colours}</style></head><body>\
         <h1>epochsocks: benchmarks</h1>{}{}</body></html>\n",
        about(all),
        sections::all(all)
    )
}

fn about(all: &[Results]) -> String {
    let machine = all.first().map_or_else(Machine::default, |results| results.machine.clone());
    let loads: Vec<_> = all
        .iter()
        .map(|results| format!("{} {}", results.experiment, results.machine.load))
        .collect();
    format!(
        "<p>{}, {} processors, Linux {}, {}, {}; commit {}.</p>\
         <p class=\"quiet\">Load averages at the start of each experiment: {}.</p>\
         <p>Samples are taken in rounds: one of each subject a round, in an order that rotates. Shown \
         are medians, with quartiles as vertical bars; a ratio is the median of the ratios within each \
         round. One thread's time is its processor time; several threads' is the time from the first \
         start to the last end by the operations of all. Raw samples: samples.csv and the JSON files \
         beside this page.</p>",
        escape(&machine.processor),
        machine.processors,
        escape(&machine.kernel),
        escape(&machine.libc),
        escape(&machine.rustc),
        escape(&machine.commit),
        escape(&loads.join("; "))
    )
}
