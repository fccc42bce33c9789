//! A chart as an SVG file of its own.

use mr_metrics::finding::PlotData;

use super::canvas::{Anchor, Canvas, Ink};
use super::frame::Frame;
use super::label::{fitted, width};
use super::mark::{draw, swatch};
use super::plan::{Chart, Intervals, Size};

const SIZE: f64 = 13.0;
/// Height of a line of the legend.
const LINE: f64 = 20.0;
/// Height of the title.
const TITLE: f64 = 28.0;

/// Lines with their names.
pub(crate) fn lines(data: PlotData) -> String {
    file(&Chart::new(data, Intervals::Own, Size::Wide), "")
}

/// A lower line, an upper line over the same x, and what lies between them, with a sentence about it.
pub(crate) fn band(data: PlotData, about: &str) -> String {
    let chart = Chart {
        between: Some([0, 1]),
        ..Chart::new(data, Intervals::Own, Size::Wide)
    };
    file(&chart, about)
}

/// The file: title, picture and, where lines are not named in it, a legend; below them a sentence, if
/// there is one.
fn file(chart: &Chart, about: &str) -> String {
    let marks = chart.all_marks();
    let frame = Frame::of(chart, &marks);
    let (wide, high) = chart.size.units();
    let picture = Canvas::draw((wide, high), |canvas| {
        frame.draw(canvas, chart);
        draw(canvas, chart, &frame, &marks);
    });
    let legend = if frame.direct {
        Vec::new()
    } else {
        places(chart, wide)
    };
    let below = legend.last().map_or(0.0, |(_, _, y)| y + LINE);
    let sentence = if about.is_empty() { 0.0 } else { LINE };
    let size = (wide, TITLE + high + below + sentence);
    let title = Canvas::draw(size, |canvas| {
        let title = fitted(&chart.data.title, SIZE, wide - 8.0);
        canvas.text(&title, (4.0, 14.0), Anchor::Start, SIZE, Ink::Text);
        let at = (8.0, size.1 - LINE / 2.0);
        canvas.text(about, at, Anchor::Start, SIZE, Ink::Muted);
        for (number, x, y) in &legend {
            let at = (x + 34.0, TITLE + high + y + 6.0);
            let name = &chart.data.groups[*number].name;
            canvas.text(name, at, Anchor::Start, SIZE, Ink::Text);
        }
    });
    let mut drawings = vec![title, Canvas::moved(&picture, (0.0, TITLE))];
    for (number, x, y) in legend {
        let (drawn, _) = swatch(chart.data.kind, number, chart.is_dense());
        let y = TITLE + high + y;
        drawings.push(Canvas::moved(&drawn, (x, y)));
    }
    Canvas::file(size, &drawings.join("\n"))
}

/// Where each name of the legend stands, in lines as wide as the picture.
fn places(chart: &Chart, wide: f64) -> Vec<(usize, f64, f64)> {
    let (mut x, mut y) = (8.0, 0.0);
    let mut places = Vec::new();
    for (number, group) in chart.data.groups.iter().enumerate() {
        let room = 34.0 + width(&group.name, SIZE) + 18.0;
        if x + room > wide && x > 8.0 {
            (x, y) = (8.0, y + LINE);
        }
        places.push((number, x, y));
        x += room;
    }
    places
}

#[cfg(test)]
mod tests {
    use mr_metrics::finding::{PlotGroup, PlotKind, Scale};

    use super::*;

    fn data(names: &[String]) -> PlotData {
        let groups = names.iter().map(|name| PlotGroup {
            name: name.clone(),
            x: vec![0.0, 1.0],
            y: vec![1.0, 0.5],
            ..PlotGroup::default()
        });
        PlotData {
            title: "robust < accurate".into(),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: "epsilon".into(),
            y_label: "robust accuracy".into(),
            groups: groups.collect(),
        }
    }

    /// Thirteen attacks have eight colours: the others are told by their dashes, and all by their names
    /// at the lines, without a legend.
    #[test]
    fn no_two_lines_look_alike() {
        let names: Vec<String> = (0..13).map(|i| format!("attack-{i}")).collect();
        let drawn = lines(data(&names));
        let looks: Vec<String> = drawn
            .split("<polyline")
            .skip(1)
            .map(|path| path.split(" points").next().unwrap_or_default().into())
            .collect();
        // Each line, and then a piece of each before its name.
        assert_eq!(looks.len(), 26, "{drawn}");
        for (i, look) in looks[..13].iter().enumerate() {
            assert!(!looks[..i].contains(look), "{look}");
            assert_eq!(look.contains("dasharray"), i >= 8, "{look}");
        }
    }

    #[test]
    fn a_band_lies_between_its_lines_and_is_told() {
        let names = ["certified".to_string(), "attacked".to_string()];
        let drawn = band(data(&names), "in between");
        assert!(drawn.contains(">in between</text>"));
        let plain = lines(data(&names));
        assert_eq!(
            drawn.matches("<polygon").count(),
            plain.matches("<polygon").count() + 1
        );
    }

    #[test]
    fn every_line_has_its_name() {
        let names: Vec<String> = (0..30).map(|i| format!("attack-{i}")).collect();
        let drawn = lines(data(&names));
        assert!(drawn.starts_with("<svg xmlns") && drawn.ends_with("</svg>\n"));
        assert!(drawn.contains("robust &lt; accurate"), "{drawn}");
        for name in names {
            assert!(
                drawn.contains(&format!(">{name}</text>")),
                "{name}: {drawn}"
            );
        }
    }
}
