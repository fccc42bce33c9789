//! Results for a person: a title and aligned lines below it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

use mr_attacks::Counts;
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

    /// A line of the passes through the model.
    pub(crate) fn passes(&mut self, counts: Counts) -> &mut Self {
        let passes = format!("{} forward, {} backward", counts.forwards, counts.backwards);
        self.line("passes", passes)
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

/// 1 thing, 2 things, 3 classes.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    let ending = match count {
        1 => "",
        _ if thing.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {thing}{ending}")
}

/// Names of their own for things of which several may have the same: the second `pgd` is `pgd-2`.
pub(crate) fn numbered<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let one = |name: &'a str| {
        let count = seen.entry(name).or_default();
        *count += 1;
        match count {
            1 => name.to_string(),
            count => format!("{name}-{count}"),
        }
    };
    names.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted() {
        assert_eq!(plural(1, "class"), "1 class");
        assert_eq!(plural(10, "class"), "10 classes");
        assert_eq!(plural(0, "example"), "0 examples");
    }

    #[test]
    fn the_second_of_a_name_has_a_number() {
        let names = numbered(["pgd", "fgsm", "pgd", "pgd"]);
        assert_eq!(names, ["pgd", "fgsm", "pgd-2", "pgd-3"]);
    }

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
