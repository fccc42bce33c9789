//! Lines, points and intervals.

use mr_metrics::finding::{PlotGroup, PlotKind};

use super::canvas::{Anchor, Canvas, Ink, Point, SERIES};
use super::frame::{Frame, LINE_GAP, NAME};
use super::label::apart;
use super::plan::{Chart, Mark};

/// Length of the piece of a line before its name.
const KEY: f64 = 16.0;
/// Room right of a chart for all but the names themselves.
pub(super) const BEFORE_NAMES: f64 = 14.0 + KEY + 4.0 + 8.0;
/// Half the height of a marker.
const RADIUS: f64 = 4.0;

/// Draws the data of a chart: intervals below lines below points.
pub(super) fn draw(canvas: &mut Canvas<'_>, chart: &Chart, frame: &Frame, marks: &[Vec<Mark>]) {
    if let Some([low, high]) = chart.between {
        between(canvas, frame, &marks[low], &marks[high]);
    }
    let dense = chart.is_dense();
    for (group, marks) in marks.iter().enumerate() {
        let number = chart.ink(group);
        if dense && marks.len() > 1 {
            band(canvas, frame, marks, number);
        } else {
            bars(canvas, frame, marks, number);
        }
    }
    for (group, marks) in marks.iter().enumerate() {
        let number = chart.ink(group);
        let points: Vec<Point> = marks.iter().map(|m| frame.point(m.x, m.y)).collect();
        let ink = Ink::Series(number);
        let line = chart.data.kind == PlotKind::Line;
        if line && points.len() > 1 {
            canvas.path(&points, ink, if dense { 1.6 } else { 2.0 });
        }
        if !dense || points.len() == 1 {
            for &point in &points {
                marker(canvas, point, number, if line { 1.0 } else { 0.75 });
            }
        }
    }
    if frame.direct {
        names(canvas, frame, &chart.data.groups, marks);
    }
}

/// What lies between two lines.
fn between(canvas: &mut Canvas<'_>, frame: &Frame, low: &[Mark], high: &[Mark]) {
    let outline = low.iter().chain(high.iter().rev());
    let outline: Vec<Point> = outline.map(|mark| frame.point(mark.x, mark.y)).collect();
    canvas.polygon(&outline, Ink::Muted, 0.2);
}

/// A band between the ends of intervals, in one piece per run of points that have one.
fn band(canvas: &mut Canvas<'_>, frame: &Frame, marks: &[Mark], number: usize) {
    for run in marks.split(|mark| mark.ends.is_none()) {
        let end = |mark: &Mark, upper: bool| {
            let (low, high) = mark.ends.unwrap_or((mark.y, mark.y));
            frame.point(mark.x, if upper { high } else { low })
        };
        let outline: Vec<Point> = run
            .iter()
            .map(|mark| end(mark, true))
            .chain(run.iter().rev().map(|mark| end(mark, false)))
            .collect();
        if run.len() > 1 {
            canvas.polygon(&outline, Ink::Series(number), 0.18);
        }
    }
}

/// A bar with caps from end to end of each interval.
fn bars(canvas: &mut Canvas<'_>, frame: &Frame, marks: &[Mark], number: usize) {
    let ink = Ink::Series(number);
    for mark in marks {
        let Some((low, high)) = mark.ends else {
            continue;
        };
        let (x, low) = frame.point(mark.x, low);
        let (_, high) = frame.point(mark.x, high);
        canvas.line((x, low), (x, high), ink, 1.2);
        for end in [low, high] {
            canvas.line((x - 4.0, end), (x + 4.0, end), ink, 1.2);
        }
    }
}

/// The marker of a series: neighbours in the palette differ in shape too.
fn marker(canvas: &mut Canvas<'_>, (x, y): Point, number: usize, opacity: f64) {
    let ink = Ink::Series(number);
    let r = RADIUS;
    let outline: &[(f64, f64)] = match (number + number / SERIES.len()) % 5 {
        0 => {
            canvas.disc((x, y), r, ink, opacity);
            return;
        }
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
        3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        _ => &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
    };
    let points: Vec<Point> = outline
        .iter()
        .map(|(dx, dy)| (x + r * dx, y + r * dy))
        .collect();
    canvas.polygon(&points, ink, opacity);
}

/// Writes the name of each line where it ends, behind a piece of the line, and leads the eye there if
/// it had to move.
fn names(canvas: &mut Canvas<'_>, frame: &Frame, groups: &[PlotGroup], marks: &[Vec<Mark>]) {
    let ends: Vec<Point> = marks
        .iter()
        .filter_map(|marks| marks.last())
        .map(|mark| frame.point(mark.x, mark.y))
        .collect();
    let wanted: Vec<f64> = ends.iter().map(|end| end.1).collect();
    let heights = apart(&wanted, LINE_GAP, frame.top, frame.bottom);
    for (number, ((group, end), y)) in groups.iter().zip(&ends).zip(heights).enumerate() {
        let ink = Ink::Series(number);
        let x = frame.right + 14.0;
        canvas.line((end.0 + 5.0, end.1), (x, y), ink, 0.8);
        canvas.path(&[(x, y), (x + KEY, y)], ink, 2.0);
        let at = (x + KEY + 4.0, y);
        canvas.text(&group.name, at, Anchor::Start, NAME, Ink::Text);
    }
}

/// The piece of a line that a legend shows.
pub(super) fn swatch(kind: PlotKind, number: usize, dense: bool) -> (String, (f64, f64)) {
    let size = (28.0, 12.0);
    let drawn = Canvas::draw(size, |canvas| {
        if kind == PlotKind::Line {
            canvas.path(&[(1.0, 6.0), (27.0, 6.0)], Ink::Series(number), 2.0);
        }
        if !dense {
            marker(canvas, (14.0, 6.0), number, 1.0);
        }
    });
    (drawn, size)
}
