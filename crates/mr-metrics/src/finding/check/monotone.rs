//! A metric that falls or rises along an axis.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::condition::Conditions;
use super::super::records::Records;
use super::super::sample::{Centre, Source, levels, points, seeds};
use super::judgement::Judgement;
use crate::error::MetricError;
use crate::interval::Short;

/// `test = "monotone"`: the centre over seeds of `metric` falls or rises from each value of `along`
/// to the next. Or that of a `series` which each record holds, along its own x.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monotone {
    /// Dotted path of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Dotted path of the axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub along: Option<String>,
    /// Name of a series, in place of `metric` and `along`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Which way.
    pub direction: Direction,
    /// How far a step may go the wrong way.
    #[serde(default)]
    pub tolerance: f64,
    /// How seeds become one number.
    #[serde(default)]
    pub centre: Centre,
}

/// Which way a metric goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Never rises.
    Falls,
    /// Never falls.
    Rises,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Falls => "falls",
            Self::Rises => "rises",
        })
    }
}

impl Monotone {
    pub(super) fn validate(&self) -> Result<(), String> {
        self.source().map_err(str::to_owned)?;
        if self.tolerance >= 0.0 && self.tolerance.is_finite() {
            Ok(())
        } else {
            Err(format!(
                "tolerance is {}, must be at least 0",
                self.tolerance
            ))
        }
    }

    fn source(&self) -> Result<Source<'_>, &'static str> {
        Source::of(
            self.along.as_deref(),
            self.metric.as_deref(),
            self.series.as_deref(),
        )
        .ok_or("takes either `metric` and `along`, or `series`")
    }

    pub(super) fn judge(
        &self,
        records: &Records,
        conditions: &Conditions,
    ) -> Result<Judgement, MetricError> {
        let source = self
            .source()
            .map_err(|error| MetricError::Findings(error.into()))?;
        let levels = levels(points(&records.select(conditions)?, &source)?);
        if levels.len() < 2 {
            return Err(MetricError::NoRecord(format!(
                "{source} has {} value along its axis, a direction needs two",
                levels.len()
            )));
        }
        let curve: Vec<(f64, f64)> = levels
            .iter()
            .map(|level| (level.x, self.centre.of(&level.sample.values)))
            .collect();
        let wrong = curve.windows(2).find(|step| {
            let rise = step[1].1 - step[0].1;
            match self.direction {
                Direction::Falls => rise > self.tolerance,
                Direction::Rises => -rise > self.tolerance,
            }
        });
        let values: Vec<String> = curve
            .iter()
            .map(|(x, y)| format!("{} at {}", Short(*y), Short(*x)))
            .collect();
        let least = levels.iter().map(|level| level.sample.seeds.len()).min();
        let place = wrong.map_or(String::new(), |step| {
            format!(
                "; it goes the wrong way from {} to {}",
                Short(step[0].0),
                Short(step[1].0)
            )
        });
        Ok(Judgement {
            text: format!(
                "{source}, {} over {}, is {}{place}",
                self.centre,
                seeds(least.unwrap_or(0)),
                values.join(", ")
            ),
            other: Some((
                wrong.is_none(),
                format!("{} (tolerance {})", self.direction, Short(self.tolerance)),
            )),
            ..Judgement::default()
        })
    }
}
