//! A drawing surface in fractions of a unit, over plotters' SVG backend, which knows whole pixels.

use std::fmt::Write;

use plotters::prelude::{Color, DrawingBackend, IntoFont, RGBColor, SVGBackend, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontFamily, FontTransform, TextStyle};

/// Whole pixels of the backend per unit of a chart.
const FINE: f64 = 10.0;
/// plotters divides the size of a font by this when it writes SVG.
const FONT_SIZE: f64 = 1.24;
/// Drawing into a string has no way to fail.
const STRING: &str = "a string takes everything that is written to it";

/// Colours of series on a light page and on a dark one: Okabe and Ito's, which the colour-blind can
/// tell apart, with yellow and black replaced by what shows on either page.
pub(in super::super) const SERIES: [(u32, u32); 8] = [
    (0x0072B2, 0x5AB4F0),
    (0xD55E00, 0xFF8A4C),
    (0x009E73, 0x3FD0A4),
    (0xAA4499, 0xE39BD8),
    (0xC98A00, 0xF2BE4A),
    (0x4C4C9D, 0xA5A5F5),
    (0x8C510A, 0xD0965A),
    (0x4D5A66, 0xB4C0CC),
];

/// How lines are dashed, in units: those of the first eight series are whole, the next eight have the
/// same colours again.
const DASHES: [&[f64]; 4] = [&[], &[7.0, 3.0], &[2.0, 2.5], &[9.0, 3.0, 2.0, 3.0]];

/// Every other colour of a chart, light and dark.
pub(in super::super) const INKS: [(u32, u32); 4] = [
    (0x1A1D21, 0xE6E8EB),
    (0x5B6570, 0xA3ADB8),
    (0x8A949E, 0x77818B),
    (0xE6E9EC, 0x2C3238),
];

/// What something is drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Names.
    Text,
    /// Numbers at the axes.
    Muted,
    /// The axes.
    Axis,
    /// Lines behind everything.
    Grid,
    /// A series, by its number.
    Series(usize),
}

impl Ink {
    fn rgb(self) -> RGBColor {
        let (light, _) = match self {
            Self::Text => INKS[0],
            Self::Muted => INKS[1],
            Self::Axis => INKS[2],
            Self::Grid => INKS[3],
            Self::Series(number) => SERIES[number % SERIES.len()],
        };
        let [_, red, green, blue] = light.to_be_bytes();
        RGBColor(red, green, blue)
    }

    fn dashes(self) -> &'static [f64] {
        match self {
            Self::Series(number) => DASHES[number / SERIES.len() % DASHES.len()],
            _ => DASHES[0],
        }
    }

    fn stroke(self, width: f64, opacity: f64) -> ShapeStyle {
        self.rgb()
            .mix(opacity)
            .stroke_width((width * FINE).round().max(1.0) as u32)
    }

    fn fill(self, opacity: f64) -> ShapeStyle {
        self.rgb().mix(opacity).filled()
    }
}

/// Which point of a text stands at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A point, in units from the upper left corner.
pub(super) type Point = (f64, f64);

/// What is drawn on.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
    /// How each path so far is dashed, which the backend does not know.
    dashes: Vec<&'static [f64]>,
}

impl Canvas<'_> {
    /// Draws, and returns the elements without the `svg` element around them.
    pub(super) fn draw(size: (f64, f64), draw: impl FnOnce(&mut Canvas<'_>)) -> String {
        let mut text = String::new();
        let whole = (fine(size.0) as u32, fine(size.1) as u32);
        let mut canvas = Canvas {
            backend: SVGBackend::with_string(&mut text, whole),
            dashes: Vec::new(),
        };
        draw(&mut canvas);
        canvas.backend.present().expect(STRING);
        let dashes = std::mem::take(&mut canvas.dashes);
        drop(canvas);
        // The page writes this element itself, with a title and without a fixed size.
        let inner = text
            .split_once('>')
            .map_or("", |(_, rest)| rest)
            .trim()
            .trim_end_matches("</svg>");
        let inner = inner.replace("\n</text>", "</text>").replace(">\n", ">");
        dashed(&inner, &dashes)
    }

    /// The `viewBox` of a drawing of this size.
    pub(super) fn view_box(size: (f64, f64)) -> String {
        format!("0 0 {} {}", fine(size.0), fine(size.1))
    }

    /// A file of this size that holds drawings, on white.
    pub(super) fn file(size: (f64, f64), drawings: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{}\" width=\"{}\" height=\"{}\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n{drawings}\n</svg>\n",
            Self::view_box(size),
            size.0,
            size.1,
        )
    }

    /// What is written in the units of its size, beside a drawing.
    pub(super) fn enlarged(raw: &str) -> String {
        format!("<g transform=\"scale({FINE})\">{raw}</g>")
    }

    /// Moves a drawing of its own to a place in another.
    pub(super) fn moved(drawing: &str, to: Point) -> String {
        let (x, y) = (fine(to.0), fine(to.1));
        format!("<g transform=\"translate({x} {y})\">{drawing}</g>")
    }

    pub(super) fn line(&mut self, from: Point, to: Point, ink: Ink, width: f64) {
        self.backend
            .draw_line(at(from), at(to), &ink.stroke(width, 1.0))
            .expect(STRING);
    }

    pub(super) fn path(&mut self, points: &[Point], ink: Ink, width: f64) {
        self.dashes.push(ink.dashes());
        self.backend
            .draw_path(points.iter().map(|&p| at(p)), &ink.stroke(width, 1.0))
            .expect(STRING);
    }

    pub(super) fn polygon(&mut self, points: &[Point], ink: Ink, opacity: f64) {
        self.backend
            .fill_polygon(points.iter().map(|&p| at(p)), &ink.fill(opacity))
            .expect(STRING);
    }

    pub(super) fn disc(&mut self, centre: Point, radius: f64, ink: Ink, opacity: f64) {
        self.backend
            .draw_circle(at(centre), fine(radius) as u32, &ink.fill(opacity), true)
            .expect(STRING);
    }

    /// A line of text, centred on the height of its position.
    pub(super) fn text(&mut self, text: &str, at_: Point, anchor: Anchor, size: f64, ink: Ink) {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let colour = ink.rgb();
        let style = TextStyle::from(
            (FontFamily::SansSerif, size * FINE * FONT_SIZE)
                .into_font()
                .transform(FontTransform::None),
        )
        .color(&colour)
        .pos(Pos::new(horizontal, VPos::Center));
        self.backend.draw_text(text, &style, at(at_)).expect(STRING);
    }
}

/// The drawing with the dashes of its paths, each of which is one element.
fn dashed(drawing: &str, dashes: &[&[f64]]) -> String {
    const PATH: &str = "<polyline";
    let mut pieces = drawing.split(PATH);
    let mut whole = String::from(pieces.next().unwrap_or_default());
    for (piece, dashes) in pieces.zip(dashes) {
        whole.push_str(PATH);
        if !dashes.is_empty() {
            let lengths: Vec<String> = dashes.iter().map(|&d| fine(d).to_string()).collect();
            let lengths = lengths.join(" ");
            // Writing to a string cannot fail.
            let _ = write!(whole, " stroke-dasharray=\"{lengths}\"");
        }
        whole.push_str(piece);
    }
    whole
}

fn fine(units: f64) -> i32 {
    (units * FINE).round() as i32
}

fn at((x, y): Point) -> (i32, i32) {
    (fine(x), fine(y))
}

#[cfg(test)]
mod tests {
    use super::{Anchor, Canvas, Ink};

    #[test]
    fn a_drawing_has_no_root_element_and_escapes_its_text() {
        let size = (20.0, 10.0);
        let drawn = Canvas::draw(size, |canvas| {
            canvas.line((0.0, 0.05), (2.0, 1.0), Ink::Series(8), 0.5);
            canvas.text("a < b & c", (1.0, 1.0), Anchor::Start, 13.0, Ink::Text);
        });
        assert_eq!(Canvas::view_box(size), "0 0 200 100");
        assert!(drawn.starts_with("<line"), "{drawn}");
        assert!(drawn.ends_with("</text>"), "{drawn}");
        assert!(drawn.contains("a &lt; b &amp; c</text>"), "{drawn}");
        // Half a unit is five fine ones, and the ninth series has the first colour again.
        assert!(
            drawn.contains("stroke=\"#0072B2\" stroke-width=\"5\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("font-family=\"sans-serif\" font-size=\"130\""),
            "{drawn}"
        );
    }
}
