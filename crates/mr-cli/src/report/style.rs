//! The style sheet, which stands in the page itself.

use std::fmt::Write as _;

use super::chart::{INKS, SERIES};

/// Everything but the colours of charts.
const SHEET: &str = include_str!("style.css");

/// The style sheet. Charts hold the colours of a light page; on a dark one they are replaced.
pub(crate) fn style() -> String {
    let mut sheet = String::from(SHEET);
    sheet.push_str("@media screen and (prefers-color-scheme: dark) {\n");
    for (light, dark) in INKS.iter().chain(&SERIES) {
        for property in ["fill", "stroke"] {
            writeln!(
                sheet,
                "  .chart [{property}=\"#{light:06X}\"] {{ {property}: #{dark:06x}; }}"
            )
            .expect("a string takes everything that is written to it");
        }
    }
    sheet.push_str("}\n");
    sheet
}
