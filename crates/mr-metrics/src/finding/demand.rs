//! What an observed number must be.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::interval::{Interval, Short};

/// A demand on an observed number: `{ min = 4 }`, `{ max = 1.2 }`, both, or `{ near = 0.5,
/// tolerance = 0.05 }`; all ends inclusive. With `whole_interval = true` the whole interval over
/// seeds must satisfy it too, so `{ min = 0, whole_interval = true }` asks for an interval that
/// excludes what is below 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Ends", into = "Ends")]
pub struct Demand {
    min: Option<f64>,
    max: Option<f64>,
    near: Option<[f64; 2]>,
    whole_interval: bool,
}

/// A demand as it is written.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ends {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    near: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    whole_interval: bool,
}

impl TryFrom<Ends> for Demand {
    type Error = String;

    fn try_from(ends: Ends) -> Result<Self, String> {
        let near = match (ends.near, ends.tolerance) {
            (None, None) => None,
            (Some(near), Some(tolerance)) => Some([near, tolerance]),
            _ => return Err("`near` and `tolerance` of a demand come together".into()),
        };
        let (min, max, whole_interval) = (ends.min, ends.max, ends.whole_interval);
        let numbers = [min, max, near.map(|n| n[0]), near.map(|n| n[1])];
        if numbers.iter().flatten().any(|number| !number.is_finite()) {
            return Err("a demand holds a number that is not finite".into());
        }
        match (min, max, near) {
            (None, None, None) => {
                Err("an empty demand; valid keys: min, max, near with tolerance".into())
            }
            (None, None, Some([_, tolerance])) if tolerance < 0.0 => Err(format!(
                "the tolerance of a demand is {tolerance}, must be at least 0"
            )),
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err("a demand has either min and max, or near and tolerance".into())
            }
            (Some(min), Some(max), None) if min > max => {
                Err(format!("a demand with min {min} above max {max}"))
            }
            _ => Ok(Self {
                min,
                max,
                near,
                whole_interval,
            }),
        }
    }
}

impl From<Demand> for Ends {
    fn from(demand: Demand) -> Self {
        Self {
            min: demand.min,
            max: demand.max,
            near: demand.near.map(|near| near[0]),
            tolerance: demand.near.map(|near| near[1]),
            whole_interval: demand.whole_interval,
        }
    }
}

impl Demand {
    /// Within `tolerance` of `value`.
    pub(super) fn near(value: f64, tolerance: f64) -> Self {
        Self {
            min: None,
            max: None,
            near: Some([value, tolerance]),
            whole_interval: false,
        }
    }

    /// Whether an observation satisfies the demand. One that has no interval cannot satisfy a
    /// demand on the whole of it.
    pub fn admits(&self, observed: &Interval) -> bool {
        if !self.admits_value(observed.value) {
            return false;
        }
        !self.whole_interval
            || observed
                .ends()
                .is_some_and(|ends| ends.iter().all(|&end| self.admits_value(end)))
    }

    fn admits_value(&self, value: f64) -> bool {
        // Rounding of the difference must not refuse 0.55 for 0.5 +- 0.05.
        let near = self.near.is_none_or(|[near, tolerance]| {
            (value - near).abs() <= tolerance + 1e-12 * near.abs().max(1.0)
        });
        near && self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl fmt::Display for Demand {
    /// `at least 4`, `within 0.05 of 0.5, the whole interval too`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.near, self.min, self.max) {
            (Some([near, tolerance]), _, _) => {
                write!(f, "within {} of {}", Short(tolerance), Short(near))?;
            }
            (None, Some(min), Some(max)) => {
                write!(f, "between {} and {}", Short(min), Short(max))?;
            }
            (None, Some(min), None) => write!(f, "at least {}", Short(min))?,
            (None, None, Some(max)) => write!(f, "at most {}", Short(max))?,
            (None, None, None) => f.write_str("anything")?,
        }
        if self.whole_interval {
            f.write_str(", the whole interval too")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Demand;
    use crate::interval::Interval;

    fn demand(text: &str) -> Result<Demand, toml::de::Error> {
        toml::from_str(text)
    }

    fn interval(low: f64, value: f64, high: f64) -> Interval {
        Interval {
            value,
            low: Some(low),
            high: Some(high),
            level: 0.95,
            n: 5,
        }
    }

    #[test]
    fn ends_are_inclusive() {
        let near = demand("near = 0.5\ntolerance = 0.05").unwrap();
        assert!(near.admits(&interval(0.4, 0.55, 0.6)));
        assert!(!near.admits(&interval(0.4, 0.5501, 0.6)));
        let least = demand("min = 4").unwrap();
        assert!(least.admits(&Interval::point(4.0, 0.95, 1)));
        assert_eq!(least.to_string(), "at least 4");
        assert_eq!(near.to_string(), "within 0.05 of 0.5");
    }

    #[test]
    fn the_whole_interval_can_be_demanded() {
        let whole = demand("min = 0\nwhole_interval = true").unwrap();
        assert!(whole.admits(&interval(0.1, 1.0, 2.0)));
        assert!(!whole.admits(&interval(-0.1, 1.0, 2.0)));
        assert!(!whole.admits(&Interval::point(1.0, 0.95, 1)));
    }

    #[test]
    fn contradictions_are_refused() {
        for bad in [
            "",
            "near = 1",
            "min = 2\nmax = 1",
            "min = 1\nnear = 1\ntolerance = 1",
            "near = 1\ntolerance = -1",
            "least = 1",
            "min = nan",
        ] {
            assert!(demand(bad).is_err(), "{bad}");
        }
    }
}
