//! Lines as SVG, each with its name at its end. Colours are the page's, by class, so that they follow
//! light, dark and print.

use std::fmt::Write;

use super::text::{escape, number};

/// Mapping of values to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By its logarithm; values of 0 and less are drawn at the lower end.
    Log,
}

/// One subject's line.
#[derive(Clone, Debug)]
pub struct Line {
    /// The text at its end; a line without one belongs to another.
    pub name: String,
    /// Number of the page's colour; every fourth has the same dashes.
    pub colour: usize,
    /// Drawn thicker than others.
    pub is_strong: bool,
    /// Points without a line between them.
    pub is_dots: bool,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below the horizontal axis, and above the vertical one.
    pub labels: [&'static str; 2],
    /// The horizontal and the vertical scale.
    pub scales: [Scale; 2],
    /// Marks of the horizontal axis; chosen if empty.
    pub marks: Vec<(f64, String)>,
    /// Lines that are drawn.
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 104.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 38.0;
/// Between two names.
const GAP: f64 = 11.0;

/// An axis: values in, places out.
struct Axis {
    scale: Scale,
    range: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    /// An axis on which all `values` lie between the two `places`; with `is_tight` those of a logarithmic
    /// one begin and end there.
    fn new(scale: Scale, values: &[f64], places: (f64, f64), is_tight: bool) -> Axis {
        let usable =
            values.iter().filter(|it| it.is_finite() && (scale == Scale::Linear || **it > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (value.min(low), value.max(high))
        });
        let range = match scale {
            _ if low > high => (0.1, 1.0),
            Scale::Log if is_tight && low < high => (low, high),
            Scale::Linear => (low.min(0.0), if high > low.min(0.0) { high } else { low + 1.0 }),
            Scale::Log => {
                let first = low.log10().floor();
                (10f64.powf(first), 10f64.powf(high.log10().ceil().max(first + 1.0)))
            }
        };
        Axis { scale, range, places }
    }

    fn place(&self, value: f64) -> f64 {
        let ((low, high), (first, last)) = (self.range, self.places);
        let part = match self.scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value.max(low) / low).log10() / (high / low).log10(),
        };
        first + (last - first) * part.clamp(0.0, 1.0)
    }

    fn marks(&self) -> Vec<(f64, String)> {
        let (low, high) = self.range;
        let values: Vec<f64> = match self.scale {
            Scale::Linear => {
                (0..=4).map(|step| low + (high - low) * f64::from(step) / 4.0).collect()
            }
            Scale::Log => {
                let [first, last] = [low, high].map(|end| end.log10().round() as i32);
                let step = ((last - first) / 6).max(1) as usize;
                (first..=last).step_by(step).map(|power| 10f64.powi(power)).collect()
            }
        };
        values.into_iter().map(|value| (value, number(value))).collect()
    }
}

impl Plot {
    /// The plot as an SVG element.
    pub fn svg(&self) -> String {
        let of = |part: fn(&(f64, f64)) -> f64| -> Vec<f64> {
            self.lines.iter().flat_map(|line| line.points.iter().map(part)).collect()
        };
        let x_axis = Axis::new(self.scales[0], &of(|it| it.0), (LEFT, WIDTH - RIGHT), true);
        let y_axis = Axis::new(self.scales[1], &of(|it| it.1), (HEIGHT - BOTTOM, TOP), false);
        let title = escape(&self.title);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
             <text class=\"title\" x=\"0\" y=\"12\">{title}</text>"
        );
        self.axes(&mut svg, &x_axis, &y_axis);
        for line in &self.lines {
            draw(&mut svg, line, &x_axis, &y_axis);
        }
        self.names(&mut svg, &x_axis, &y_axis);
        svg + "</svg>"
    }

    fn axes(&self, svg: &mut String, x_axis: &Axis, y_axis: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in y_axis.marks() {
            let y = y_axis.place(value);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>\
                 <text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 5.0,
                y + 3.5
            );
        }
        let marks = if self.marks.is_empty() { x_axis.marks() } else { self.marks.clone() };
        for (value, text) in
            marks.iter().filter(|it| (x_axis.range.0..=x_axis.range.1).contains(&it.0))
        {
            let x = x_axis.place(*value);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>\
                 <text class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 14.0
            );
        }
        let [x_label, y_label] = self.labels.map(escape);
        let _ = write!(
            svg,
            "<text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x_label}</text>\
             <text class=\"quiet\" x=\"0\" y=\"{:.1}\">{y_label}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 6.0,
            TOP - 10.0,
        );
    }

    /// Names beside the lines' ends, moved apart where they would meet.
    fn names(&self, svg: &mut String, x_axis: &Axis, y_axis: &Axis) {
        let named = self.lines.iter().filter(|line| !line.name.is_empty());
        let mut names: Vec<_> = named
            .filter_map(|line| {
                let (x, y) = line.points.iter().rfind(|it| it.1.is_finite())?;
                Some((y_axis.place(*y), x_axis.place(*x), line))
            })
            .collect();
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut places: Vec<f64> = Vec::new();
        for (y, ..) in &names {
            places.push(places.last().map_or(*y, |last| y.max(last + GAP)));
        }
        // Labels that were pushed below the plot move up again.
        let mut floor = HEIGHT - BOTTOM + 4.0;
        for place in places.iter_mut().rev() {
            *place = place.min(floor);
            floor = *place - GAP;
        }
        let beside = WIDTH - RIGHT + 12.0;
        for ((y, x, line), place) in names.iter().zip(places) {
            let strong = if line.is_strong { " strong" } else { "" };
            let _ = write!(
                svg,
                "<path class=\"lead c{0}\" d=\"M{1:.1} {y:.1}L{2:.1} {place:.1}\"/>\
                 <text class=\"t{0}{strong}\" x=\"{beside:.1}\" y=\"{3:.1}\">{4}</text>",
                line.colour,
                x + 3.0,
                beside - 2.0,
                place + 3.5,
                escape(&line.name)
            );
        }
    }
}

fn draw(svg: &mut String, line: &Line, x_axis: &Axis, y_axis: &Axis) {
    let places: Vec<_> = line
        .points
        .iter()
        .filter(|point| point.1.is_finite())
        .map(|point| (x_axis.place(point.0), y_axis.place(point.1)))
        .collect();
    let colour = line.colour;
    if !line.is_dots && !places.is_empty() {
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let strong = if line.is_strong { " strong" } else { "" };
        let dashes = colour % 4;
        let path = path.join("L");
        let _ = write!(svg, "<path class=\"line d{dashes} c{colour}{strong}\" d=\"M{path}\"/>");
    }
    for (x, y) in places.iter().filter(|_| line.is_dots || places.len() < 4) {
        let _ = write!(svg, "<circle class=\"t{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, lines: &[&[(f64, f64)]]) -> String {
        let line = |(colour, points): (usize, &&[(f64, f64)])| Line {
            name: format!("a<{colour}"),
            colour,
            is_strong: false,
            is_dots: false,
            points: points.to_vec(),
        };
        let lines = lines.iter().enumerate().map(line).collect();
        let (labels, scales, marks) = (["x", "y"], [Scale::Linear, scale], Vec::new());
        Plot { title: "t".to_owned(), labels, scales, marks, lines }.svg()
    }

    #[test]
    fn the_largest_value_is_at_the_top_and_the_smallest_at_the_bottom() {
        let svg = plot(Scale::Linear, &[&[(0.0, 0.0), (1.0, 10.0)]]);
        let (bottom, top, right) = (HEIGHT - BOTTOM, TOP, WIDTH - RIGHT);
        let path = format!("d=\"M{LEFT:.1} {bottom:.1}L{right:.1} {top:.1}\"");
        assert!(svg.contains(&path), "{svg}");
    }

    #[test]
    fn a_logarithmic_axis_places_equal_ratios_at_equal_distances() {
        let svg = plot(Scale::Log, &[&[(0.0, 1.0), (1.0, 10.0), (2.0, 100.0)]]);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        assert!(svg.contains(&format!(" {middle:.1}L")), "{svg}");
    }

    #[test]
    fn names_of_lines_that_end_at_one_place_do_not_meet() {
        let svg = plot(Scale::Linear, &[&[(0.0, 0.0)][..]; 8]);
        let places =
            svg.split("<text class=\"t").filter(|text| text.contains("a&lt;")).map(|text| {
                let (_, y) = text.split_once("y=\"").expect("a place");
                y.split('"').next().expect("a number").parse::<f64>().expect("a number")
            });
        let places: Vec<_> = places.collect();
        assert_eq!(places.len(), 8);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= GAP - 0.1), "{places:?}");
    }

    #[test]
    fn nothing_that_is_measured_breaks_the_page() {
        for values in [&[][..], &[(0.0, 0.0)], &[(1.0, f64::NAN)], &[(1.0, -5.0)]] {
            for scale in [Scale::Linear, Scale::Log] {
                let svg = plot(scale, &[values]);
                assert!(
                    !svg.contains("inf") && !svg.contains("NaN") && !svg.contains("a<"),
                    "{svg}"
                );
            }
        }
    }
}
