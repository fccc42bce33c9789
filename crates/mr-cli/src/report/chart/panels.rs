//! Charts side by side with one legend: what is compared has a colour, and what it is compared in its dashes.

use mr_metrics::finding::{PlotData, PlotKind, Scale};

use super::canvas::{Anchor, Canvas, Ink, SERIES};
use super::frame::Frame;
use super::label::{fitted, width};
use super::mark::{draw, swatch};
use super::plan::{Chart, Intervals, Size};

const TEXT: f64 = 13.0;
/// Height of the title, and of a line of the legend.
const LINE: f64 = 24.0;
/// Between the names of axes and the legend.
const GAP: f64 = 8.0;
/// Width of a swatch with the space around it.
const SWATCH: f64 = 34.0;

/// How a line is drawn in every panel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// What the legend calls it.
    pub(crate) name: String,
    /// Which colour.
    pub(crate) colour: usize,
    /// Which dashes; 0 for none.
    pub(crate) dashes: usize,
}

impl Line {
    fn ink(&self) -> usize {
        self.colour % SERIES.len() + SERIES.len() * self.dashes
    }
}

/// The panels as one SVG file; the groups of each are these lines, in their order.
pub(crate) fn panels(title: &str, lines: &[Line], panels: Vec<PlotData>) -> String {
    let inks: Vec<usize> = lines.iter().map(Line::ink).collect();
    let charts: Vec<Chart> = panels
        .into_iter()
        .map(|data| Chart {
            inks: inks.clone(),
            ..Chart::new(data, Intervals::Own, Size::Half)
        })
        .collect();
    let (wide, high) = Size::Half.units();
    let whole = wide * charts.len() as f64;
    let places = places(lines, whole);
    let below = places.last().map_or(0.0, |(_, y)| y + LINE);
    let legend = LINE + high + GAP;
    let size = (whole, legend + below);
    let words = Canvas::draw(size, |canvas| {
        let title = fitted(title, TEXT, whole - 8.0);
        canvas.text(&title, (4.0, 14.0), Anchor::Start, TEXT, Ink::Text);
        for (line, (x, y)) in lines.iter().zip(&places) {
            let at = (x + SWATCH, legend + y + 6.0);
            canvas.text(&line.name, at, Anchor::Start, TEXT, Ink::Text);
        }
    });
    let mut drawings = vec![words];
    for (number, chart) in charts.iter().enumerate() {
        let marks = chart.all_marks();
        let frame = Frame::of(chart, &marks);
        let drawn = Canvas::draw((wide, high), |canvas| {
            frame.draw(canvas, chart);
            draw(canvas, chart, &frame, &marks);
        });
        let at = (wide * number as f64, LINE);
        drawings.push(Canvas::moved(&drawn, at));
    }
    for (number, (line, (x, y))) in lines.iter().zip(places).enumerate() {
        // A single point has its marker among lines that have none.
        let has_line = |chart: &Chart| {
            let group = chart.data.groups.get(number);
            chart.is_dense() && group.is_some_and(|group| group.x.len() > 1)
        };
        let dense = charts.iter().any(has_line);
        let (drawn, _) = swatch(PlotKind::Line, line.ink(), dense);
        drawings.push(Canvas::moved(&drawn, (x, legend + y)));
    }
    Canvas::file(size, &drawings.join("\n"))
}

/// An empty panel.
pub(crate) fn panel(x: &str, y: &str) -> PlotData {
    PlotData {
        title: String::new(),
        kind: PlotKind::Line,
        x_scale: Scale::Linear,
        x_label: x.into(),
        y_label: y.into(),
        groups: Vec::new(),
    }
}

/// Where each name stands, in lines as wide as the picture.
fn places(lines: &[Line], wide: f64) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (8.0, 0.0);
    let mut places = Vec::new();
    for line in lines {
        let room = SWATCH + width(&line.name, TEXT) + 18.0;
        if x + room > wide && x > 8.0 {
            (x, y) = (8.0, y + LINE);
        }
        places.push((x, y));
        x += room;
    }
    places
}

#[cfg(test)]
mod tests {
    use mr_metrics::finding::PlotGroup;

    use super::*;

    #[test]
    fn a_line_looks_alike_in_every_panel_and_is_named_once() {
        let line = |name: &str, colour, dashes| Line {
            name: name.into(),
            colour,
            dashes,
        };
        let lines = [
            line("a, <attack>", 0, 0),
            line("a, noise", 0, 2),
            line("b", 1, 0),
        ];
        let group = |top: f64| PlotGroup {
            x: vec![0.0, 1.0],
            y: vec![0.0, top],
            ..PlotGroup::default()
        };
        let data = |y: &str| PlotData {
            groups: vec![group(1.0), group(0.5), PlotGroup::default()],
            ..panel("epsilon", y)
        };
        let drawn = panels("title", &lines, vec![data("change"), data("accuracy")]);
        assert!(drawn.starts_with("<svg xmlns") && drawn.ends_with("</svg>\n"));
        for name in ["a, &lt;attack&gt;", "a, noise", "b", "change", "accuracy"] {
            assert_eq!(
                drawn.matches(&format!(">{name}</text>")).count(),
                1,
                "{name}"
            );
        }
        let dotted = drawn.matches("<polyline stroke-dasharray").count();
        assert_eq!(dotted, 3, "in both panels and the legend");
        // The empty line is in the legend alone: two solid lines in the panels, and two there.
        assert_eq!(drawn.matches("<polyline").count() - dotted, 4, "{drawn}");
    }
}
