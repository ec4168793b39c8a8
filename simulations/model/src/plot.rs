//! Pictures as SVG: lines over an axis, bars, and points with lines between them. As much as reports need, and no more: a plotting
//! library would bring fonts and rasters to draw what is a few lines of text.

use std::fmt::Write;

/// The inner width of a picture.
const WIDTH: f64 = 640.0;

/// The inner height of a picture.
const HEIGHT: f64 = 240.0;

/// Room for the numbers on the left, for the title on top, and for the numbers below.
const LEFT: f64 = 64.0;
const TOP: f64 = 30.0;
const BELOW: f64 = 44.0;

/// Room for the legend on the right.
const RIGHT: f64 = 170.0;

/// Colours that are told apart with most kinds of sight (Okabe and Ito).
pub const COLOURS: [&str; 9] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#8c6d31", "#000000",
];

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Lines over an axis.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What stands above.
    pub title: String,
    /// What the axis below counts.
    pub across: String,
    /// What the axis on the left counts.
    pub up: String,
    /// Whether the axes are logarithmic: the one below, the one on the left.
    pub log: (bool, bool),
    /// The lines.
    pub series: Vec<Series>,
}

/// One axis: what it spans, and how.
#[derive(Clone, Copy, Debug)]
struct Axis {
    least: f64,
    most: f64,
    log: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let fits = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (least, most) = fits.fold((f64::MAX, f64::MIN), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        if least > most {
            return Self {
                least: if log { 1.0 } else { 0.0 },
                most: if log { 10.0 } else { 1.0 },
                log,
            };
        }
        if log {
            let (least, most) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
            return Self {
                least,
                most: if most > least { most } else { least * 10.0 },
                log,
            };
        }
        Self {
            least: least.min(0.0),
            most: if most > 0.0 { most * 1.05 } else { 1.0 },
            log,
        }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        if self.log {
            (value.max(self.least).log10() - self.least.log10()) / (self.most.log10() - self.least.log10())
        } else {
            (value - self.least) / (self.most - self.least)
        }
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let mut ticks = vec![self.least];
            while let Some(last) = ticks.last().copied()
                && last < self.most * 0.99
            {
                ticks.push(last * 10.0);
            }
            return ticks;
        }
        let rough = (self.most - self.least) / 4.0;
        let unit = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|times| times * unit)
            .find(|step| *step >= rough);
        let step = step.unwrap_or(unit);
        let mut ticks = Vec::new();
        let mut tick = (self.least / step).ceil() * step;
        while tick <= self.most && ticks.len() < 12 {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }
}

impl Chart {
    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let across = Axis::of(points().map(|point| point.0), self.log.0);
        let up = Axis::of(points().map(|point| point.1), self.log.1);
        let x = |value: f64| LEFT + across.place(value) * WIDTH;
        let y = |value: f64| TOP + HEIGHT - up.place(value) * HEIGHT;
        let mut svg = open(&self.title);
        for tick in up.ticks() {
            let at = y(tick);
            let _ = write!(
                svg,
                "<path class='grid' d='M{LEFT} {at:.1}H{:.1}'/><text x='{:.1}' y='{:.1}' class='left'>{}</text>",
                LEFT + WIDTH,
                LEFT - 6.0,
                at + 4.0,
                number(tick)
            );
        }
        for tick in across.ticks() {
            let at = x(tick);
            let _ = write!(
                svg,
                "<path class='grid' d='M{at:.1} {TOP}V{:.1}'/><text x='{at:.1}' y='{:.1}' class='middle'>{}</text>",
                TOP + HEIGHT,
                TOP + HEIGHT + 16.0,
                number(tick)
            );
        }
        let _ = write!(
            svg,
            "<text x='{:.1}' y='{:.1}' class='middle'>{}</text><text x='0' y='{:.1}'>{}</text>",
            LEFT + WIDTH / 2.0,
            TOP + HEIGHT + 36.0,
            escaped(&self.across),
            TOP - 8.0,
            escaped(&self.up)
        );
        for (number, series) in self.series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let drawn = series
                .points
                .iter()
                .filter(|point| point.1.is_finite() && (!self.log.1 || point.1 > 0.0));
            let mut path = String::new();
            for (place, (across, up)) in drawn.clone().enumerate() {
                let letter = if place == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{letter}{:.1} {:.1}", x(*across), y(*up));
            }
            let _ = write!(
                svg,
                "<path d='{path}' fill='none' stroke='{colour}' stroke-width='1.8'/>"
            );
            if series.points.len() <= 12 {
                for (across, up) in drawn {
                    let _ = write!(
                        svg,
                        "<circle cx='{:.1}' cy='{:.1}' r='3' fill='{colour}'/>",
                        x(*across),
                        y(*up)
                    );
                }
            }
            legend(&mut svg, number, &series.name);
        }
        svg.push_str("</svg>");
        svg
    }
}

/// Bars with their names on the left, each made of parts.
#[must_use]
pub fn bars(title: &str, unit: &str, parts: &[&str], rows: &[(String, Vec<f64>)]) -> String {
    let most = rows
        .iter()
        .map(|(_, values)| values.iter().sum::<f64>())
        .fold(0.0, f64::max);
    let axis = Axis::of([most].into_iter(), false);
    let left = 130.0;
    let mut svg = open(title);
    for tick in axis.ticks() {
        let at = left + axis.place(tick) * (WIDTH + LEFT - left);
        let _ = write!(
            svg,
            "<path class='grid' d='M{at:.1} {TOP}V{:.1}'/><text x='{at:.1}' y='{:.1}' class='middle'>{}</text>",
            TOP + HEIGHT,
            TOP + HEIGHT + 16.0,
            number(tick)
        );
    }
    let _ = write!(
        svg,
        "<text x='{:.1}' y='{:.1}' class='middle'>{}</text>",
        LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 36.0,
        escaped(unit)
    );
    let height = HEIGHT / f64::from(u32::try_from(rows.len().max(1)).unwrap_or(1));
    let mut top = TOP;
    for (name, values) in rows {
        let _ = write!(
            svg,
            "<text x='{:.1}' y='{:.1}' class='left'>{}</text>",
            left - 6.0,
            top + height / 2.0 + 4.0,
            escaped(name)
        );
        let mut from = left;
        for (number, value) in values.iter().enumerate() {
            let width = axis.place(*value) * (WIDTH + LEFT - left);
            let colour = COLOURS[number % COLOURS.len()];
            let _ = write!(
                svg,
                "<rect x='{from:.1}' y='{:.1}' width='{width:.1}' height='{:.1}' fill='{colour}'/>",
                top + height * 0.15,
                height * 0.7
            );
            from += width;
        }
        top += height;
    }
    for (number, name) in parts.iter().enumerate() {
        legend(&mut svg, number, name);
    }
    svg.push_str("</svg>");
    svg
}

/// Points on a circle with lines between them; the first `inner` of them on a circle of their own inside.
#[must_use]
pub fn map(title: &str, nodes: u32, inner: u32, lines: &[(u32, u32)]) -> String {
    let middle = (LEFT + WIDTH / 2.0, TOP + HEIGHT);
    let place = |node: u32| {
        let (at, of, radius) = if node < inner {
            (node, inner, HEIGHT * 0.35)
        } else {
            (node - inner, nodes - inner, HEIGHT * 0.95)
        };
        let angle = f64::from(at) / f64::from(of.max(1)) * std::f64::consts::TAU;
        (middle.0 + radius * angle.cos(), middle.1 + radius * angle.sin())
    };
    let mut svg = open_high(title, 2.0 * HEIGHT + TOP + BELOW);
    for (one, other) in lines {
        let (from, to) = (place(*one), place(*other));
        let colour = if *one < inner && *other < inner {
            COLOURS[1]
        } else if *one < inner || *other < inner {
            COLOURS[6]
        } else {
            COLOURS[0]
        };
        let _ = write!(
            svg,
            "<path d='M{:.1} {:.1}L{:.1} {:.1}' stroke='{colour}' stroke-width='0.6' opacity='0.5'/>",
            from.0, from.1, to.0, to.1
        );
    }
    for node in 0..nodes.min(2_000) {
        let (x, y) = place(node);
        let (radius, colour) = if node < inner {
            (6.0, COLOURS[1])
        } else {
            (2.5, COLOURS[0])
        };
        let _ = write!(svg, "<circle cx='{x:.1}' cy='{y:.1}' r='{radius}' fill='{colour}'/>");
    }
    svg.push_str("</svg>");
    svg
}

fn open(title: &str) -> String {
    open_high(title, TOP + HEIGHT + BELOW)
}

fn open_high(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {:.0} {height:.0}' role='img'><title>{}</title>\
         <style>text{{font:12px sans-serif;fill:#333}}.left{{text-anchor:end}}.middle{{text-anchor:middle}}\
         .grid{{stroke:#ddd;fill:none}}</style>",
        LEFT + WIDTH + RIGHT,
        escaped(title)
    )
}

fn legend(svg: &mut String, number: usize, name: &str) {
    let at = TOP + 10.0 + 18.0 * f64::from(u32::try_from(number).unwrap_or(0));
    let colour = COLOURS[number % COLOURS.len()];
    let _ = write!(
        svg,
        "<rect x='{:.1}' y='{:.1}' width='12' height='12' fill='{colour}'/><text x='{:.1}' y='{at:.1}'>{}</text>",
        LEFT + WIDTH + 16.0,
        at - 10.0,
        LEFT + WIDTH + 34.0,
        escaped(name)
    );
}

/// A number as people write it on an axis.
fn number(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    for (unit, name) in units {
        if value.abs() >= unit {
            return format!("{}{name}", trimmed(value / unit));
        }
    }
    trimmed(value)
}

fn trimmed(value: f64) -> String {
    let text = if value != 0.0 && value.abs() < 0.1 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text as it may stand in a document.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes_are_short() {
        let texts: Vec<String> = [0.0, 0.005, 1.5, 250.0, 12_000.0, 3_000_000.0]
            .into_iter()
            .map(number)
            .collect();
        assert_eq!(texts, ["0", "0.005", "1.5", "250", "12k", "3M"]);
    }

    #[test]
    fn a_chart_has_its_lines_and_no_reference_to_elsewhere() {
        let chart = Chart {
            title: "a < b".to_owned(),
            across: "s".to_owned(),
            up: "ms".to_owned(),
            log: (true, true),
            series: vec![Series {
                name: "p50".to_owned(),
                points: vec![(1.0, 2.0), (10.0, 20.0), (100.0, 0.0)],
            }],
        };
        let svg = chart.svg();
        assert!(
            svg.contains("a &lt; b") && svg.contains("M64.0 ") && svg.contains("p50"),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("href"));
    }
}
