//! A table of numbers as colours: red above 0, blue below.

use std::fmt::Write;

use mr_metrics::Short;

use super::canvas::{Anchor, Canvas, Ink};
use super::label::{fitted, width};

/// Numbers in named rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heat {
    /// What is shown.
    pub(crate) title: String,
    /// What the numbers are.
    pub(crate) about: String,
    /// What stands left of each row.
    pub(crate) rows: Vec<String>,
    /// What stands below each column.
    pub(crate) columns: Vec<String>,
    /// The numbers, row by row; what is not finite is left empty.
    pub(crate) values: Vec<Vec<f32>>,
    /// What stands in each cell instead of its number; nothing for the numbers.
    pub(crate) labels: Vec<Vec<String>>,
}

const WIDE: f64 = 720.0;
const TOP: f64 = 44.0;
const SIZE: f64 = 13.0;
/// Height of a row, and what a cell is wide at most.
const ROW: f64 = 24.0;
const COLUMN: f64 = 64.0;
/// Height of the legend.
const LEGEND: f64 = 10.0;

/// The table as an SVG file.
pub(crate) fn heat(heat: &Heat) -> String {
    let names = heat.rows.iter().map(|name| width(name, SIZE));
    let left = names.fold(40.0, f64::max).min(0.4 * WIDE) + 16.0;
    let count = heat.columns.len().max(1) as f64;
    let cell = ((WIDE - 24.0 - left) / count).min(COLUMN);
    let (right, bottom) = (left + cell * count, TOP + ROW * heat.rows.len() as f64);
    let size = (WIDE, bottom + 76.0);
    let finite = || {
        heat.values
            .iter()
            .flatten()
            .filter(|value| value.is_finite())
    };
    let most = finite().fold(0.0_f32, |most, value| most.max(value.abs()));
    let mut cells = String::new();
    let mut paint = |(x, y): (f64, f64), (wide, high): (f64, f64), share: f32| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            cells,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{}\"/>",
            colour(share)
        );
    };
    let place = |row: usize, column: usize| (left + cell * column as f64, TOP + ROW * row as f64);
    for (row, values) in heat.values.iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            if value.is_finite() {
                let share = if most > 0.0 { value / most } else { 0.0 };
                // Wide cells stand apart; narrow ones would be all gap.
                let gap = if cell > 8.0 { 1.0 } else { 0.0 };
                paint(place(row, column), (cell - gap, ROW - 1.0), share);
            }
        }
    }
    // Where nothing is below 0 by more than rounding, neither is the legend.
    let low = if finite().any(|&value| value < -1e-4 * most) {
        -1.0
    } else {
        0.0
    };
    let steps = 40;
    let about = width(&heat.about, SIZE) + 24.0;
    let legend = (right - 164.0).max(left).max(about).min(WIDE - 188.0);
    for step in 0..steps {
        let x = legend + 4.0 * f64::from(step);
        let share = low + (1.0 - low) * step as f32 / (steps - 1) as f32;
        paint((x, bottom + 36.0), (4.2, LEGEND), share);
    }
    let inner = Canvas::draw(size, |canvas| {
        let title = fitted(&heat.title, SIZE, WIDE - 8.0);
        canvas.text(&title, (4.0, 16.0), Anchor::Start, SIZE, Ink::Text);
        for (row, name) in heat.rows.iter().enumerate() {
            let (_, y) = place(row, 0);
            let name = fitted(name, SIZE, left - 16.0);
            let at = (left - 8.0, y + ROW / 2.0);
            canvas.text(&name, at, Anchor::End, SIZE, Ink::Text);
        }
        let widest = heat
            .columns
            .iter()
            .map(|name| width(name, SIZE))
            .fold(8.0, f64::max);
        let every = ((widest + 8.0) / cell).ceil().max(1.0) as usize;
        for (column, name) in heat.columns.iter().enumerate().step_by(every) {
            let (x, _) = place(0, column);
            let at = (x + cell / 2.0, bottom + 14.0);
            canvas.text(name, at, Anchor::Middle, SIZE, Ink::Muted);
        }
        for (row, values) in heat.values.iter().enumerate() {
            for (column, &value) in values.iter().enumerate() {
                let label = heat.labels.get(row).and_then(|labels| labels.get(column));
                let number = Short(f64::from(value)).to_string();
                let text = match label {
                    Some(label) => fitted(label, 11.0, cell - 4.0),
                    None if width(&number, 11.0) < cell - 4.0 => number,
                    // Many digits of little are better rounded than left out.
                    None => format!("{value:.2}"),
                };
                if value.is_finite() && width(&text, 11.0) < cell - 4.0 {
                    let (x, y) = place(row, column);
                    let at = (x + cell / 2.0, y + ROW / 2.0);
                    canvas.text(&text, at, Anchor::Middle, 11.0, Ink::Text);
                }
            }
        }
        for (value, x) in [(low * most, legend), (most, legend + 160.0)] {
            let text = Short(f64::from(value)).to_string();
            canvas.text(&text, (x, bottom + 56.0), Anchor::Middle, 11.0, Ink::Muted);
        }
        let about = fitted(&heat.about, SIZE, legend - 16.0);
        canvas.text(&about, (4.0, bottom + 42.0), Anchor::Start, SIZE, Ink::Text);
    });
    Canvas::file(size, &format!("{}{inner}", Canvas::enlarged(&cells)))
}

/// From blue at -1 over white at 0 to red at 1, light enough for black text.
fn colour(share: f32) -> String {
    let full = if share < 0.0 {
        [0x5B, 0x9B, 0xD5]
    } else {
        [0xE8, 0x6C, 0x5D]
    };
    let share = share.abs().min(1.0);
    let [r, g, b] = full.map(|part| (255.0 - share * (255.0 - part as f32)).round() as u8);
    format!("#{r:02X}{g:02X}{b:02X}")
}

#[cfg(test)]
mod tests {
    use super::{Heat, colour, heat};

    #[test]
    fn every_number_has_its_cell_and_what_is_none_has_not() {
        let drawn = heat(&Heat {
            title: "heads".into(),
            about: "share restored".into(),
            rows: vec!["layer 0".into(), "a<b".into()],
            columns: vec!["head 0".into(), "head 1".into()],
            values: vec![vec![0.5, -1.0], vec![0.25, f32::NAN]],
            labels: Vec::new(),
        });
        assert!(drawn.starts_with("<svg xmlns") && drawn.ends_with("</svg>\n"));
        // Cells are as large as the drawing's units.
        assert!(drawn.contains("<g transform=\"scale(10)\"><rect"));
        // The page, three cells, the legend.
        assert_eq!(drawn.matches("<rect").count(), 1 + 3 + 40);
        assert!(drawn.contains(">a&lt;b</text>") && drawn.contains(">head 1</text>"));
        assert!(
            drawn.contains(">-1</text>") || drawn.contains(">-1.0</text>"),
            "{drawn}"
        );
        assert_eq!([colour(0.0), colour(1.0)], ["#FFFFFF", "#E86C5D"]);
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let none = Heat {
            title: String::new(),
            about: String::new(),
            rows: Vec::new(),
            columns: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
        };
        assert!(heat(&none).contains("<svg"));
    }
}
