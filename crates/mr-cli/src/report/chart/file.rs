//! A chart as an SVG file of its own.

use std::fmt::Write;

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

/// The file: title, picture and, where lines are not named in it, a legend.
pub(crate) fn lines(data: PlotData) -> String {
    let chart = Chart::new(data, Intervals::Own, Size::Wide);
    let marks = chart.all_marks();
    let frame = Frame::of(&chart, &marks);
    let (wide, high) = chart.size.units();
    let picture = Canvas::draw((wide, high), |canvas| {
        frame.draw(canvas, &chart);
        draw(canvas, &chart, &frame, &marks);
    });
    let mut file = String::new();
    let legend = if frame.direct {
        Vec::new()
    } else {
        places(&chart, wide)
    };
    let below = legend.last().map_or(0.0, |(_, _, y)| y + LINE);
    let size = (wide, TITLE + high + below);
    let title = Canvas::draw(size, |canvas| {
        let title = fitted(&chart.data.title, SIZE, wide - 8.0);
        canvas.text(&title, (4.0, 14.0), Anchor::Start, SIZE, Ink::Text);
        for (number, x, y) in &legend {
            let at = (x + 34.0, TITLE + high + y + 6.0);
            let name = &chart.data.groups[*number].name;
            canvas.text(name, at, Anchor::Start, SIZE, Ink::Text);
        }
    });
    // Writing to a string cannot fail.
    let _ = writeln!(
        file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{}\" width=\"{}\" height=\"{}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n{title}\n\
         {}",
        Canvas::view_box(size),
        size.0,
        size.1,
        Canvas::moved(&picture, (0.0, TITLE)),
    );
    for (number, x, y) in legend {
        let (drawn, _) = swatch(chart.data.kind, number, chart.is_dense());
        let y = TITLE + high + y;
        let _ = writeln!(file, "{}", Canvas::moved(&drawn, (x, y)));
    }
    file.push_str("</svg>\n");
    file
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

    #[test]
    fn every_line_has_its_name() {
        let names: Vec<String> = (0..9).map(|i| format!("attack-{i}")).collect();
        let groups = names.iter().map(|name| PlotGroup {
            name: name.clone(),
            x: vec![0.0, 1.0],
            y: vec![1.0, 0.5],
            ..PlotGroup::default()
        });
        let drawn = lines(PlotData {
            title: "robust < accurate".into(),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: "epsilon".into(),
            y_label: "robust accuracy".into(),
            groups: groups.collect(),
        });
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
