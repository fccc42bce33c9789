//! A number with what is known of its uncertainty.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An estimate with a two-sided confidence interval.
///
/// A single run has a value and no interval: `low` and `high` are then `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Confidence level, such as 0.95.
    pub level: f64,
    /// Independent units behind the estimate: examples, or seeds.
    pub n: usize,
}

impl Interval {
    /// An estimate without an interval.
    pub fn point(value: f64, level: f64, n: usize) -> Self {
        Self {
            value,
            low: None,
            high: None,
            level,
            n,
        }
    }

    /// Both ends, where there are any.
    pub fn ends(&self) -> Option<[f64; 2]> {
        Some([self.low?, self.high?])
    }
}

impl fmt::Display for Interval {
    /// `0.498 [0.481, 0.513]`, or the bare value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Short(self.value))?;
        match self.ends() {
            Some([low, high]) => write!(f, " [{}, {}]", Short(low), Short(high)),
            None => Ok(()),
        }
    }
}

/// A number in four significant digits, without trailing zeros.
#[derive(Debug, Clone, Copy)]
pub struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value == 0.0 || !value.is_finite() {
            return write!(f, "{value}");
        }
        let exponent = value.abs().log10().floor();
        if !(-4.0..15.0).contains(&exponent) {
            return write!(f, "{value:.3e}");
        }
        let decimals = (3.0 - exponent).max(0.0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
        } else {
            f.write_str(&text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interval, Short};

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (1.23456, "1.235"),
            (-12.0, "-12"),
            (98765.4, "98765"),
            (0.000012, "1.200e-5"),
            (0.99996, "1"),
        ] {
            assert_eq!(Short(value).to_string(), text);
        }
    }

    #[test]
    fn an_interval_prints_its_ends_only_if_it_has_them() {
        let mut interval = Interval::point(0.5, 0.95, 1);
        assert_eq!(interval.to_string(), "0.5");
        (interval.low, interval.high) = (Some(0.4), Some(0.61));
        assert_eq!(interval.to_string(), "0.5 [0.4, 0.61]");
    }
}
