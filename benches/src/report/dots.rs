//! Rows of dots as SVG: one row for each thing that was measured, one dot for each subject.

use std::fmt::Write;

use super::plot::{Axis, Scale, escape, number};
use crate::measure::statistics::Summary;

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the measured quantity.
    pub name: String,
    /// The subjects' values, each with its subject's colour.
    pub dots: Vec<(usize, Summary)>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 8.0;
const ROW: f64 = 20.0;
const BOTTOM: f64 = 36.0;

/// The rows on one logarithmic axis, as an SVG element.
pub fn svg(title: &str, label: &str, rows: &[Row]) -> String {
    let bottom = TOP + ROW * rows.len() as f64;
    let values = rows.iter().flat_map(|row| &row.dots).flat_map(|(_, it)| [it.lower, it.upper]);
    let axis = Axis::new(Scale::Log, values, (LEFT, WIDTH - RIGHT));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{1}\"><title>{1}</title>",
        bottom + BOTTOM,
        escape(title)
    );
    for (value, text) in axis.marks() {
        let x = axis.place(value);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\
             <text class=\"mark\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            bottom + 13.0
        );
    }
    for (index, row) in rows.iter().enumerate() {
        draw(&mut svg, row, TOP + ROW * (index as f64 + 0.5), &axis);
    }
    let _ = write!(
        svg,
        "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></svg>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        bottom + BOTTOM - 6.0,
        escape(label)
    );
    svg
}

fn draw(svg: &mut String, row: &Row, y: f64, axis: &Axis) {
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
        LEFT - 8.0,
        y + 3.5,
        escape(&row.name),
        WIDTH - RIGHT
    );
    for (colour, it) in row.dots.iter().filter(|(_, it)| it.median.is_finite()) {
        let [x, low, high] = [it.median, it.lower, it.upper].map(|value| axis.place(value));
        let _ = write!(
            svg,
            "<line class=\"spread c{colour}\" x1=\"{low:.1}\" y1=\"{y:.1}\" x2=\"{high:.1}\" y2=\"{y:.1}\"/>\
             <circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
            number(it.median)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, medians: &[f64]) -> Row {
        let dot = |(colour, &median): (usize, &f64)| {
            (colour, Summary { median, lower: median, upper: median, count: 1 })
        };
        Row { name: name.to_owned(), dots: medians.iter().enumerate().map(dot).collect() }
    }

    #[test]
    fn equal_ratios_are_equal_distances() {
        let svg = svg("t", "ns", &[row("a", &[10.0, 100.0, 1_000.0])]);
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        for x in [LEFT, middle, WIDTH - RIGHT] {
            assert!(svg.contains(&format!("cx=\"{x:.1}\"")), "{x}: {svg}");
        }
    }

    #[test]
    fn each_row_has_its_name_and_a_line_of_its_own() {
        let svg = svg("t", "ns", &[row("a<b", &[1.0]), row("second", &[2.0])]);
        assert!(svg.contains("a&lt;b") && svg.contains("second"), "{svg}");
        for index in [0.5, 1.5] {
            assert!(svg.contains(&format!("cy=\"{:.1}\"", TOP + ROW * index)), "{svg}");
        }
    }

    #[test]
    fn nothing_that_is_measured_breaks_the_page() {
        for values in [&[][..], &[0.0], &[f64::NAN], &[-5.0]] {
            let svg = svg("t", "ns", &[row("a", values)]);
            assert!(!svg.contains("inf") && !svg.contains("NaN"), "{svg}");
        }
    }
}
