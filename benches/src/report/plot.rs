//! Lines as SVG. Colours are the page's, by class, so that they follow light and dark.

use std::fmt::Write;

/// Mapping of values to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By its logarithm; values of 0 and less are drawn at the lower end.
    Log,
}

/// A point of a line, with its spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Horizontal.
    pub x: f64,
    /// Vertical.
    pub y: f64,
    /// The ends of the spread, if there is one.
    pub spread: Option<(f64, f64)>,
}

/// One subject's line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The legend's text.
    pub name: String,
    /// Which of the page's colours.
    pub colour: usize,
    /// Drawn thicker than others.
    pub strong: bool,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: &'static str,
    /// Beside the vertical axis.
    pub y_label: &'static str,
    /// The horizontal scale.
    pub x_scale: Scale,
    /// The vertical scale.
    pub y_scale: Scale,
    /// Marks of the horizontal axis; chosen if empty.
    pub x_marks: Vec<(f64, String)>,
    /// Lines that are drawn.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 40.0;

/// An axis: values in, places out.
pub struct Axis {
    scale: Scale,
    range: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    /// An axis on which all `values` lie between the two `places`.
    pub fn new(scale: Scale, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Axis {
        let usable = |value: &f64| value.is_finite() && (scale == Scale::Linear || *value > 0.0);
        let (low, high) =
            values.filter(usable).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (value.min(low), value.max(high))
            });
        let range = match scale {
            _ if low > high => (0.1, 1.0),
            Scale::Linear => (low.min(0.0), if high > low.min(0.0) { high } else { low + 1.0 }),
            Scale::Log => (
                10f64.powf(low.log10().floor()),
                10f64.powf(high.log10().ceil().max(low.log10().floor() + 1.0)),
            ),
        };
        Axis { scale, range, places }
    }

    fn tight(mut self, values: impl Iterator<Item = f64> + Clone) -> Axis {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if low < high {
            self.range = (low, high);
        }
        self
    }

    fn part(&self, value: f64) -> f64 {
        let (low, high) = self.range;
        let part = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value.max(low) / low).log10() / (high / low).log10(),
        };
        part.clamp(0.0, 1.0)
    }

    /// Where `value` lies.
    pub fn place(&self, value: f64) -> f64 {
        let (first, last) = self.places;
        first + (last - first) * self.part(value)
    }

    /// Values to mark, with their texts.
    pub fn marks(&self) -> Vec<(f64, String)> {
        let (low, high) = self.range;
        match self.scale {
            Scale::Linear => (0..=4)
                .map(|step| low + (high - low) * f64::from(step) / 4.0)
                .map(|value| (value, number(value)))
                .collect(),
            Scale::Log => {
                let first = low.log10().round() as i32;
                let last = high.log10().round() as i32;
                let step = ((last - first) / 5).max(1) as usize;
                (first..=last)
                    .step_by(step)
                    .map(|power| 10f64.powi(power))
                    .map(|value| (value, number(value)))
                    .collect()
            }
        }
    }
}

/// A number for an axis or a table.
pub fn number(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 || scaled == scaled.round() => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{suffix}")
}

/// `text` for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Plot {
    /// The plot as an SVG element.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let ys = points()
            .flat_map(|p| [Some(p.y), p.spread.map(|s| s.0), p.spread.map(|s| s.1)])
            .flatten();
        let xs = points().map(|point| point.x).collect::<Vec<_>>();
        let x_axis = Axis::new(self.x_scale, xs.iter().copied(), (LEFT, WIDTH - RIGHT))
            .tight(xs.iter().copied());
        let y_axis = Axis::new(self.y_scale, ys, (HEIGHT - BOTTOM, TOP));
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\
             <text class=\"plot-title\" x=\"{LEFT}\" y=\"16\">{0}</text>",
            escape(&self.title)
        );
        self.axes(&mut svg, &x_axis, &y_axis);
        for line in &self.lines {
            draw(&mut svg, line, &x_axis, &y_axis);
        }
        svg.push_str("</svg>");
        svg
    }

    fn axes(&self, svg: &mut String, x_axis: &Axis, y_axis: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in y_axis.marks() {
            let y = y_axis.place(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 5.0,
                y + 3.5
            );
        }
        let marks = if self.x_marks.is_empty() { x_axis.marks() } else { self.x_marks.clone() };
        for (value, text) in marks {
            let x = x_axis.place(value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"mark\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 14.0
            );
        }
        let middle = (TOP + bottom) / 2.0;
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" transform=\"rotate(-90)\" x=\"{:.1}\" y=\"12\" \
             text-anchor=\"middle\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 6.0,
            escape(self.x_label),
            -middle,
            escape(self.y_label)
        );
    }

    /// The legend of plots with these lines.
    pub fn legend(lines: &[Line]) -> String {
        let entries = lines.iter().map(|line| {
            let strong = if line.strong { " strong" } else { "" };
            format!(
                "<span class=\"key\"><svg viewBox=\"0 0 24 8\" width=\"24\" height=\"8\"><line \
                 class=\"line c{}{strong}\" x1=\"0\" y1=\"4\" x2=\"24\" y2=\"4\"/></svg>{}</span>",
                line.colour,
                escape(&line.name)
            )
        });
        format!("<p class=\"legend\">{}</p>", entries.collect::<String>())
    }
}

fn draw(svg: &mut String, line: &Line, x_axis: &Axis, y_axis: &Axis) {
    let strong = if line.strong { " strong" } else { "" };
    let colour = line.colour;
    let path: Vec<_> = line
        .points
        .iter()
        .map(|point| format!("{:.1},{:.1}", x_axis.place(point.x), y_axis.place(point.y)))
        .collect();
    let _ = write!(
        svg,
        "<g><title>{}</title><polyline class=\"line c{colour}{strong}\" points=\"{}\"/>",
        escape(&line.name),
        path.join(" ")
    );
    for point in line.points.iter().filter(|_| line.points.len() < 20) {
        let (x, y) = (x_axis.place(point.x), y_axis.place(point.y));
        let _ =
            write!(svg, "<circle class=\"dot c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\"/>");
        if let Some((low, high)) = point.spread {
            let (low, high) = (y_axis.place(low), y_axis.place(high));
            let _ = write!(
                svg,
                "<line class=\"spread c{colour}\" x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\"/>"
            );
        }
    }
    svg.push_str("</g>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, values: &[(f64, f64)]) -> String {
        let points = values.iter().map(|(x, y)| Point { x: *x, y: *y, spread: None }).collect();
        let line = Line { name: "a<b".to_owned(), colour: 0, strong: false, points };
        let (x_scale, title) = (Scale::Linear, "t".to_owned());
        Plot {
            title,
            x_label: "x",
            y_label: "y",
            x_scale,
            y_scale: scale,
            x_marks: Vec::new(),
            lines: vec![line],
        }
        .svg()
    }

    #[test]
    fn the_largest_value_is_at_the_top_and_the_smallest_at_the_bottom() {
        let svg = plot(Scale::Linear, &[(0.0, 0.0), (1.0, 10.0)]);
        let (bottom, top) = (HEIGHT - BOTTOM, TOP);
        assert!(
            svg.contains(&format!(
                "points=\"{LEFT:.1},{bottom:.1} {:.1},{top:.1}\"",
                WIDTH - RIGHT
            )),
            "{svg}"
        );
    }

    #[test]
    fn a_logarithmic_axis_places_equal_ratios_at_equal_distances() {
        let svg = plot(Scale::Log, &[(0.0, 1.0), (1.0, 10.0), (2.0, 100.0)]);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        assert!(svg.contains(&format!(",{middle:.1} ")), "{svg}");
    }

    #[test]
    fn nothing_that_is_measured_breaks_the_page() {
        for values in [&[][..], &[(0.0, 0.0)], &[(1.0, f64::NAN)], &[(1.0, -5.0)]] {
            for scale in [Scale::Linear, Scale::Log] {
                let svg = plot(scale, values);
                assert!(!svg.contains("inf") && !svg.contains("a<b"), "{svg}");
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        let written = [0.5, 3.0, 12.34, 250.4, 12_345.0, 3.2e6].map(number);
        assert_eq!(written, ["0.50", "3", "12.3", "250", "12.3k", "3.20M"]);
    }
}
