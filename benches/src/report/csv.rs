//! Every sample: a row for each series.

use std::fmt::Write;

use crate::measure::results::Results;

/// The table of all samples of rounds, which a space parts.
pub fn table(all: &[Results]) -> String {
    let mut table = String::from("experiment,workload,subject,threads,entries,unit,samples\n");
    for results in all {
        for series in &results.series {
            let [workload, subject, unit] =
                [&series.workload, &series.subject, &series.unit].map(|text| field(text));
            let samples: Vec<_> = series.samples.iter().map(f64::to_string).collect();
            let _ = writeln!(
                table,
                "{},{workload},{subject},{},{},{unit},{}",
                results.experiment,
                series.threads,
                series.entries,
                samples.join(" ")
            );
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
    fn a_series_is_a_row_and_a_comma_is_quoted() {
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
        assert_eq!(table.lines().nth(1), Some("e,\"connect, rate\",slots,2,100,ns,1.5 2"));
    }
}
