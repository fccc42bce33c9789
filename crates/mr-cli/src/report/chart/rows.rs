//! Rows of names with what was measured at each: a median in its quartiles.

use mr_metrics::finding::Scale;

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Ink};
use super::label::{fitted, width};

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What stands left of it.
    pub(crate) name: String,
    /// Lower quartile.
    pub(crate) low: f64,
    /// Median.
    pub(crate) middle: f64,
    /// Upper quartile.
    pub(crate) high: f64,
    /// The number of the colour that it is drawn in.
    pub(crate) series: usize,
}

const WIDE: f64 = 720.0;
/// Height of a row.
const ROW: f64 = 22.0;
const TOP: f64 = 44.0;
const SIZE: f64 = 13.0;

/// The rows as an SVG file, on a logarithmic axis where nothing is 0 or below.
pub(crate) fn rows(title: &str, about: &str, rows: &[Row]) -> String {
    let drawn = finite(rows);
    let values = || drawn.iter().flat_map(|row| [row.low, row.middle, row.high]);
    let scale = if values().all(|value| value > 0.0) {
        Scale::Log
    } else {
        Scale::Linear
    };
    let suffix = match scale {
        Scale::Log => " (log scale)",
        Scale::Linear => "",
    };
    let axis = Axis::over(values(), scale, 6);
    file(title, &format!("{about}{suffix}"), &drawn, &axis, None)
}

/// Rows of shares from 0 to 1, with a line across them at one.
pub(crate) fn shares(title: &str, about: &str, rows: &[Row], line: f64) -> String {
    file(title, about, &finite(rows), &Axis::unit(), Some(line))
}

fn finite(rows: &[Row]) -> Vec<&Row> {
    let finite = |row: &&Row| {
        [row.low, row.middle, row.high]
            .iter()
            .all(|v| v.is_finite())
    };
    rows.iter().filter(finite).collect()
}

fn file(title: &str, about: &str, drawn: &[&Row], axis: &Axis, line: Option<f64>) -> String {
    let names = drawn.iter().map(|row| width(&row.name, SIZE));
    let left = names.fold(40.0, f64::max).min(0.5 * WIDE) + 16.0;
    let right = WIDE - 24.0;
    let bottom = TOP + ROW * drawn.len() as f64;
    let size = (WIDE, bottom + 56.0);
    let x = |value: f64| left + (right - left) * axis.place(value);
    let inner = Canvas::draw(size, |canvas| {
        let title = fitted(title, SIZE, WIDE - 8.0);
        canvas.text(&title, (4.0, 16.0), Anchor::Start, SIZE, Ink::Text);
        for tick in &axis.ticks {
            let Some(label) = &tick.label else { continue };
            let at = x(tick.value);
            canvas.line((at, TOP), (at, bottom), Ink::Grid, 1.0);
            canvas.text(label, (at, bottom + 14.0), Anchor::Middle, SIZE, Ink::Muted);
        }
        canvas.line((left, bottom), (right, bottom), Ink::Axis, 1.0);
        for (number, row) in drawn.iter().enumerate() {
            let y = TOP + ROW * (number as f64 + 0.5);
            let name = fitted(&row.name, SIZE, left - 16.0);
            canvas.text(&name, (left - 8.0, y), Anchor::End, SIZE, Ink::Text);
            let (low, high) = (x(row.low), x(row.high));
            let bar = [
                (low, y - 5.0),
                (high, y - 5.0),
                (high, y + 5.0),
                (low, y + 5.0),
            ];
            canvas.polygon(&bar, Ink::Series(row.series), 0.35);
            canvas.disc((x(row.middle), y), 4.0, Ink::Series(row.series), 1.0);
        }
        if let Some(at) = line.map(x) {
            canvas.line((at, TOP), (at, bottom), Ink::Muted, 1.5);
        }
        let about = fitted(about, SIZE, WIDE - 8.0);
        canvas.text(&about, (right, bottom + 40.0), Anchor::End, SIZE, Ink::Text);
    });
    Canvas::file(size, &inner)
}

#[cfg(test)]
mod tests {
    use super::{Row, rows};

    fn row(name: &str, middle: f64) -> Row {
        Row {
            name: name.into(),
            low: middle / 2.0,
            middle,
            high: middle * 2.0,
            series: 0,
        }
    }

    #[test]
    fn every_row_has_its_name_its_bar_and_its_point() {
        let drawn = rows("gain", "per unit", &[row("input", 1.0), row("a<b", 20.0)]);
        assert!(drawn.starts_with("<svg xmlns") && drawn.ends_with("</svg>\n"));
        assert!(
            drawn.contains(">input</text>") && drawn.contains(">a&lt;b</text>"),
            "{drawn}"
        );
        assert_eq!(drawn.matches("<polygon").count(), 2);
        assert_eq!(drawn.matches("<circle").count(), 2);
        assert!(drawn.contains("per unit (log scale)"));
    }

    #[test]
    fn zeros_are_drawn_on_a_linear_axis_and_what_is_not_finite_is_not_drawn() {
        let drawn = rows(
            "gain",
            "per unit",
            &[row("dead", 0.0), row("lost", f64::NAN)],
        );
        assert!(!drawn.contains("log scale") && !drawn.contains("lost"));
        assert!(rows("gain", "per unit", &[]).contains("<svg"));
    }
}
