//! Results in, CSV and one HTML page out.
//!
//! - [`headline`]: the targets, and what was measured for each
//! - [`sections`]: the page's tables and plots
//! - [`plot`]: lines as SVG
//! - [`dots`]: rows of dots as SVG
//! - [`page`]: the page around them, light and dark
//! - [`csv`]: every sample, a row each
//! - [`figure`]: the README's figure

pub mod csv;
pub mod dots;
pub mod figure;
pub mod headline;
pub mod page;
pub mod plot;
pub mod sections;

use std::fs;
use std::io;
use std::path::Path;

use crate::measure::results::Results;

/// Makes `output/index.html` and `output/samples.csv` of the results in `input`, and copies these.
pub fn make(input: &Path, output: &Path) -> io::Result<()> {
    let all = Results::read_all(input)?;
    if all.is_empty() {
        let message = format!("{} holds no results: run benches/run", input.display());
        return Err(io::Error::other(message));
    }
    fs::create_dir_all(output)?;
    for results in &all {
        results.write(output)?;
    }
    fs::write(output.join("samples.csv"), csv::table(&all))?;
    fs::write(output.join("index.html"), page::page(&all))?;
    fs::write(output.join("headline.md"), headline::markdown(&headline::targets(&all)))?;
    fs::write(output.join("headline.svg"), figure::svg(&all))
}

/// Makes `directory/headline.svg` of the results in `directory`.
pub fn make_figure(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("headline.svg"), figure::svg(&Results::read_all(directory)?))
}

/// The results of an experiment.
pub fn experiment<'r>(all: &'r [Results], name: &str) -> Option<&'r Results> {
    all.iter().find(|results| results.experiment == name)
}
