//! Axes, grid and labels: everything of a chart but its data.

use mr_metrics::finding::{PlotKind, Scale};

use super::axis::{Axis, Tick};
use super::canvas::{Anchor, Canvas, Ink, Point};
use super::label::{fitted, width};
use super::mark::BEFORE_NAMES;
use super::plan::{Chart, Mark};

/// Size of numbers at the axes.
const NUMBER: f64 = 12.5;
/// Size of the names of axes and lines.
pub(super) const NAME: f64 = 13.0;
/// Height that the label of a line takes.
pub(super) const LINE_GAP: f64 = 16.0;

/// Where things are.
pub(super) struct Frame {
    x: Axis,
    y: Axis,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// Whether lines are labelled where they end, for want of which there is a legend.
    pub(super) direct: bool,
}

impl Frame {
    pub(super) fn of(chart: &Chart, marks: &[Vec<Mark>]) -> Self {
        let (wide, high) = chart.size.units();
        let all = || marks.iter().flatten();
        let heights = all().flat_map(|mark| {
            let (low, high) = mark.ends.unwrap_or((mark.y, mark.y));
            [mark.y, low, high]
        });
        let y = if chart.y_scale == Scale::Linear && are_shares(chart, all()) {
            Axis::unit()
        } else {
            Axis::over(heights, chart.y_scale, 5)
        };
        let (top, bottom) = (34.0, high - 50.0);
        let y = y.with_ticks(|axis, ticks| {
            let place = |tick: &Tick| bottom - (bottom - top) * axis.place(tick.value);
            spaced(ticks, place, |_| NUMBER + 2.0)
        });
        let numbers = y.ticks.iter().filter_map(|tick| tick.label.as_ref());
        let left = numbers.map(|text| width(text, NUMBER)).fold(20.0, f64::max) + 12.0;
        let x = Axis::over(
            all().map(|mark| mark.x),
            chart.data.x_scale,
            ((wide - left) / 90.0) as usize,
        );
        let x = if chart.data.kind == PlotKind::Line {
            let values = || all().map(|mark| mark.x);
            x.marked_at(values()).ending_at(values())
        } else {
            x
        };
        let room = direct_room(chart, marks, &x, bottom - top);
        let right = wide - room.unwrap_or(18.0);
        let x = x.with_ticks(|axis, ticks| {
            let place = |tick: &Tick| left + (right - left) * axis.place(tick.value);
            spaced(ticks, place, |text| width(text, NUMBER) + 8.0)
        });
        Self {
            x,
            y,
            left,
            right,
            top,
            bottom,
            direct: room.is_some(),
        }
    }

    pub(super) fn point(&self, x: f64, y: f64) -> Point {
        (
            self.left + (self.right - self.left) * self.x.place(x),
            self.bottom - (self.bottom - self.top) * self.y.place(y),
        )
    }

    /// Grid, axes, numbers and names.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, chart: &Chart) {
        for tick in &self.y.ticks {
            let (_, y) = self.point(f64::NAN, tick.value);
            if let Some(label) = &tick.label {
                canvas.line((self.left, y), (self.right, y), Ink::Grid, 1.0);
                canvas.text(label, (self.left - 8.0, y), Anchor::End, NUMBER, Ink::Muted);
            }
        }
        let (left, right, bottom) = (self.left, self.right, self.bottom);
        canvas.line((left, bottom), (right, bottom), Ink::Axis, 1.0);
        for tick in &self.x.ticks {
            let (x, _) = self.point(tick.value, f64::NAN);
            let length = if tick.label.is_some() { 6.0 } else { 3.0 };
            canvas.line((x, bottom), (x, bottom + length), Ink::Axis, 1.0);
            if let Some(label) = &tick.label {
                canvas.text(
                    label,
                    (x, bottom + 16.0),
                    Anchor::Middle,
                    NUMBER,
                    Ink::Muted,
                );
            }
        }
        let (wide, high) = chart.size.units();
        let logarithmic = |label: &str, scale| match scale {
            Scale::Log => format!("{label} (log scale)"),
            Scale::Linear => label.to_owned(),
        };
        let name = logarithmic(&chart.data.x_label, chart.data.x_scale);
        // A name that is longer than its axis may begin left of it and end right of it.
        let fits = width(&name, NAME) <= right - 4.0;
        let end = if fits { right } else { wide - 4.0 };
        let name = fitted(&name, NAME, end - 4.0);
        let place = (end, high - 10.0);
        canvas.text(&name, place, Anchor::End, NAME, Ink::Text);
        let name = logarithmic(&chart.data.y_label, chart.y_scale);
        let name = fitted(&name, NAME, wide - 8.0);
        canvas.text(&name, (2.0, 12.0), Anchor::Start, NAME, Ink::Text);
    }
}

/// Accuracies and other shares get the axis from 0 to 1, so that plots can be compared.
fn are_shares<'a>(chart: &Chart, marks: impl Iterator<Item = &'a Mark>) -> bool {
    let mut marks = marks.peekable();
    chart.data.y_label.to_lowercase().contains("accuracy")
        && marks.peek().is_some()
        && marks.all(|mark| (0.0..=1.0).contains(&mark.y))
}

/// Room at the right for the names of lines, if they can all stand there.
fn direct_room(chart: &Chart, marks: &[Vec<Mark>], x: &Axis, high: f64) -> Option<f64> {
    let groups = &chart.data.groups;
    let ends_right = |marks: &Vec<Mark>| marks.last().is_some_and(|mark| x.place(mark.x) > 0.85);
    if chart.data.kind != PlotKind::Line
        || !chart.inks.is_empty()
        || groups.len() < 2
        || groups.len() as f64 * LINE_GAP > high
        || !marks.iter().all(ends_right)
    {
        return None;
    }
    let widest = groups
        .iter()
        .map(|group| width(&group.name, NAME))
        .fold(0.0, f64::max);
    let (wide, _) = chart.size.units();
    (widest > 0.0 && widest <= 0.32 * wide).then_some(widest + BEFORE_NAMES)
}

/// Takes the labels off marks that would run into the label before.
fn spaced(
    mut ticks: Vec<Tick>,
    place: impl Fn(&Tick) -> f64,
    room: impl Fn(&str) -> f64,
) -> Vec<Tick> {
    let mut last: Option<(f64, f64)> = None;
    for tick in &mut ticks {
        let at = place(tick);
        let Some(needed) = tick.label.as_deref().map(&room) else {
            continue;
        };
        match last {
            Some((before, half)) if (at - before).abs() < half + needed / 2.0 => {
                tick.label = None;
            }
            _ => last = Some((at, needed / 2.0)),
        }
    }
    ticks
}
