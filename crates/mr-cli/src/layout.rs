//! Results for a person: a title and aligned lines below it.

use std::fmt::{self, Display, Write};

use mr_metrics::Interval;

/// A title with named values, or a table with headings.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Listing {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
        }
    }

    /// A line of a name and its value.
    pub(crate) fn line(&mut self, name: impl Display, value: impl Display) -> &mut Self {
        self.row([name.to_string(), value.to_string()])
    }

    /// A line of cells.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) -> &mut Self {
        self.rows.push(cells.into_iter().collect());
        self
    }
}

impl Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (cell, &width) in row.iter().zip(&widths) {
                write!(line, " {cell:width$} ")?;
            }
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A share as a percentage with its interval: `59.50 % [52.6, 66.1]`.
pub(crate) struct Percent(pub(crate) Interval);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} %", 100.0 * self.0.value)?;
        match self.0.ends() {
            Some([low, high]) => write!(f, " [{:.1}, {:.1}]", 100.0 * low, 100.0 * high),
            None => Ok(()),
        }
    }
}

/// 3 of 1 thing, 2 things.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut listing = Listing::new("Title");
        listing.line("a", 1).line("longer", "µ");
        listing.row(["x".into(), String::new(), "end".into()]);
        assert_eq!(
            listing.to_string(),
            "Title\n  a       1\n  longer  µ\n  x          end"
        );
        let interval = mr_metrics::stats::wilson(119, 200, 0.95).unwrap();
        assert_eq!(Percent(interval).to_string(), "59.50 % [52.6, 66.1]");
    }
}
