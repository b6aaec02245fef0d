//! Every sample, a row each.

use std::fmt::Write;

use crate::measure::results::Results;

/// The table of all samples of rounds.
pub fn table(all: &[Results]) -> String {
    let mut table = String::from("experiment,workload,subject,threads,entries,unit,round,sample\n");
    for results in all {
        for series in &results.series {
            let [workload, subject, unit] =
                [&series.workload, &series.subject, &series.unit].map(|text| field(text));
            for (round, sample) in series.samples.iter().enumerate() {
                let (threads, entries) = (series.threads, series.entries);
                let _ = writeln!(
                    table,
                    "{},{workload},{subject},{threads},{entries},{unit},{round},{sample}",
                    results.experiment
                );
            }
        }
    }
    table
}

/// A field as RFC 4180 wants it.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::results::Series;

    #[test]
    fn a_sample_is_a_row_and_a_comma_is_quoted() {
        let series = Series {
            workload: "connect, rate".to_owned(),
            subject: "slots".to_owned(),
            threads: 2,
            entries: 100,
            unit: "ns".to_owned(),
            samples: vec![1.5, 2.0],
        };
        let results =
            Results { experiment: "e".to_owned(), series: vec![series], ..Results::default() };
        let table = table(&[results]);
        assert_eq!(table.lines().nth(2), Some("e,\"connect, rate\",slots,2,100,ns,1,2"));
    }
}
