//! How a quantity is spread over examples.

use anyhow::Result;
use mr_metrics::stats::{mean, quantile};
use mr_metrics::{ExperimentRecord, Short};
use serde::Serialize;

/// Mean and quartiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Spread {
    /// What stands above the columns of [`cells`](Self::cells).
    pub(crate) const NAMES: [&str; 4] = ["mean", "q1", "median", "q3"];

    /// The spread of values that are finite and at least one.
    pub(crate) fn of(values: impl IntoIterator<Item = f32>) -> Result<Self> {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        Ok(Self {
            mean: mean(&values)?,
            q1: quantile(&values, 0.25)?,
            median: quantile(&values, 0.5)?,
            q3: quantile(&values, 0.75)?,
        })
    }

    fn each(&self) -> [f64; 4] {
        [self.mean, self.q1, self.median, self.q3]
    }

    /// Its numbers for a person.
    pub(crate) fn cells(&self) -> [String; 4] {
        self.each().map(|value| Short(value).to_string())
    }

    /// Its numbers for a table.
    pub(crate) fn values(&self) -> [serde_json::Value; 4] {
        self.each().map(Into::into)
    }

    /// Puts its numbers into a record, as `name.mean` and so on.
    pub(crate) fn record(&self, record: &mut ExperimentRecord, name: &str) {
        for (what, value) in Self::NAMES.iter().zip(self.each()) {
            record.number(&format!("{name}.{what}"), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn quartiles_lie_between_order_statistics() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0, 10.0]).unwrap();
        let expected = Spread {
            mean: 4.0,
            q1: 2.0,
            median: 3.0,
            q3: 4.0,
        };
        assert_eq!(spread, expected);
        assert!(Spread::of([]).is_err());
    }
}
