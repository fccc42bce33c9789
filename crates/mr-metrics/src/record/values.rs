//! What a record holds: numbers, series and tables.

use serde::{Deserialize, Serialize};

use crate::error::{MetricError, same_length};
use crate::interval::Interval;

/// One named number of a record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The value; `null` where it is not finite, and then a note of the record says what it was.
    pub value: Option<f64>,
    /// Lower end of an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Examples behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// Unit, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

impl Number {
    /// The same number with a unit.
    pub fn with_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self {
            value: Some(value),
            ..Self::default()
        }
    }
}

impl From<Interval> for Number {
    fn from(interval: Interval) -> Self {
        Self {
            value: Some(interval.value),
            low: interval.low,
            high: interval.high,
            n: Some(interval.n),
            unit: None,
        }
    }
}

/// A curve of a record: y over x, such as robust accuracy over epsilon.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Where the curve was measured.
    pub x: Vec<f64>,
    /// What x is, with its unit.
    pub x_label: String,
    /// The curve; `null` where it has no finite value.
    pub y: Vec<Option<f64>>,
    /// Lower ends of intervals, as many as y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<Vec<Option<f64>>>,
    /// Upper ends of intervals, as many as y.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<Vec<Option<f64>>>,
}

impl Series {
    /// A curve without intervals.
    pub fn new(x_label: impl Into<String>, x: Vec<f64>, y: Vec<f64>) -> Self {
        Self {
            x,
            x_label: x_label.into(),
            y: y.into_iter().map(Some).collect(),
            low: None,
            high: None,
        }
    }

    /// A curve of estimates with their intervals.
    pub fn of_intervals(x_label: impl Into<String>, points: &[(f64, Interval)]) -> Self {
        Self {
            x: points.iter().map(|(x, _)| *x).collect(),
            x_label: x_label.into(),
            y: points.iter().map(|(_, y)| Some(y.value)).collect(),
            low: Some(points.iter().map(|(_, y)| y.low).collect()),
            high: Some(points.iter().map(|(_, y)| y.high).collect()),
        }
    }

    /// Nothing, if all of its columns are as long as x.
    pub(super) fn validate(&self, name: &str) -> Result<(), MetricError> {
        let what = |column: &str| format!("x and {column} of series `{name}`");
        same_length(&what("y"), self.x.len(), self.y.len())?;
        for (column, ends) in [("low", &self.low), ("high", &self.high)] {
            if let Some(ends) = ends {
                same_length(&what(column), self.x.len(), ends.len())?;
            }
        }
        Ok(())
    }
}

/// A table of a record: named columns of cells.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows, each with a cell (text, number or `null`) per column.
    pub rows: Vec<Vec<serde_json::Value>>,
}

impl Table {
    /// Nothing, if every row has a cell per column.
    pub(super) fn validate(&self, name: &str) -> Result<(), MetricError> {
        for (index, row) in self.rows.iter().enumerate() {
            let what = format!("the columns and row {index} of table `{name}`");
            same_length(&what, self.columns.len(), row.len())?;
        }
        Ok(())
    }
}
