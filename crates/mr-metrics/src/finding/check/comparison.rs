//! Two selections of runs against each other.

use serde::{Deserialize, Serialize};

use super::super::condition::{Condition, Conditions};
use super::super::demand::Demand;
use super::super::records::Records;
use super::super::sample::{Centre, Sample};
use super::inherit;
use super::judgement::{Judgement, shown};
use crate::error::MetricError;
use crate::interval::{Interval, Short};
use crate::stats::{Bootstrap, bca_over, difference_p};

/// `test = "ratio"` or `test = "difference"`: a metric on the runs `of`, divided by or minus the
/// metric on the runs `against`.
///
/// Where both sides have the same seeds the seeds are resampled together (a paired bootstrap),
/// otherwise each side by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Dotted path of the metric.
    pub metric: String,
    /// The metric of the second side, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against_metric: Option<String>,
    /// Conditions on the first side only.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub of: Conditions,
    /// Conditions on the second side only.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub against: Conditions,
    /// How seeds become one number, on each side.
    #[serde(default)]
    pub centre: Centre,
    /// What the ratio or difference must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must: Option<Demand>,
}

/// `test = "matched"`: the difference of a metric between two selections is printed, and must be
/// within the tolerance if there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// Dotted path of the metric, such as a clean accuracy.
    pub metric: String,
    /// Conditions on the first side only.
    pub of: Conditions,
    /// Conditions on the second side only.
    pub against: Conditions,
    /// The largest difference of means that counts as matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contrast {
    Ratio,
    Difference,
}

impl Contrast {
    fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Ratio => a / b,
            Self::Difference => a - b,
        }
    }
}

impl Matched {
    pub(super) fn judge(
        &self,
        records: &Records,
        conditions: &Conditions,
        bootstrap: Bootstrap,
    ) -> Result<Judgement, MetricError> {
        let comparison = Comparison {
            metric: self.metric.clone(),
            against_metric: None,
            of: self.of.clone(),
            against: self.against.clone(),
            centre: Centre::Mean,
            must: self.tolerance.map(|tolerance| Demand::near(0.0, tolerance)),
        };
        comparison.judge(Contrast::Difference, records, conditions, bootstrap)
    }
}

impl Comparison {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.of == self.against && self.against_metric.is_none() {
            return Err(
                "compares a selection with itself: give `of` and `against`, or \
                        `against_metric`"
                    .into(),
            );
        }
        Ok(())
    }

    pub(super) fn judge(
        &self,
        contrast: Contrast,
        records: &Records,
        conditions: &Conditions,
        bootstrap: Bootstrap,
    ) -> Result<Judgement, MetricError> {
        let side = |own: &Conditions, metric: &str| {
            let mut all = own.clone();
            inherit(&mut all, None, conditions);
            Sample::of(records, &all, metric)
        };
        let against_metric = self.against_metric.as_ref().unwrap_or(&self.metric);
        let (a, b) = (
            side(&self.of, &self.metric)?,
            side(&self.against, against_metric)?,
        );
        let paired = a.seeds == b.seeds;
        let observed = self.interval(contrast, &a, &b, bootstrap)?;
        let how = if paired {
            format!("paired over {}", a.size())
        } else {
            format!("over {} and {}", a.size(), b.size())
        };
        let name = match contrast {
            Contrast::Ratio => "ratio",
            Contrast::Difference => "difference",
        };
        let independent = !paired && contrast == Contrast::Difference;
        let p = (independent && self.centre == Centre::Mean)
            .then(|| difference_p(&a.values, &b.values, bootstrap.resamples, bootstrap.seed))
            .transpose()?;
        Ok(Judgement {
            text: format!(
                "the {name} of the {}s of {} ({}: {}) and {} ({}: {}), {how}, is {}",
                self.centre,
                self.metric,
                described(&self.of),
                Short(self.centre.of(&a.values)),
                against_metric,
                described(&self.against),
                Short(self.centre.of(&b.values)),
                shown(&observed),
            ),
            observed: Some(observed),
            must: self.must,
            p,
            ..Judgement::default()
        })
    }

    fn interval(
        &self,
        contrast: Contrast,
        a: &Sample,
        b: &Sample,
        bootstrap: Bootstrap,
    ) -> Result<Interval, MetricError> {
        let of = |values: &[f64], drawn: &[usize]| {
            let sample: Vec<f64> = drawn.iter().map(|&index| values[index]).collect();
            self.centre.of(&sample)
        };
        let groups = if a.seeds == b.seeds {
            vec![a.values.len()]
        } else {
            vec![a.values.len(), b.values.len()]
        };
        let statistic = |drawn: &[Vec<usize>]| {
            let second = drawn.get(1).unwrap_or(&drawn[0]);
            contrast.of(of(&a.values, &drawn[0]), of(&b.values, second))
        };
        if self.centre.has_interval() {
            return bca_over(&groups, statistic, bootstrap);
        }
        let n = a.values.len().min(b.values.len());
        let value = contrast.of(self.centre.of(&a.values), self.centre.of(&b.values));
        if !value.is_finite() {
            return Err(MetricError::Undefined {
                what: "a comparison".into(),
                reason: format!("it is {value}"),
            });
        }
        Ok(Interval::point(value, bootstrap.level, n))
    }
}

fn described(conditions: &Conditions) -> String {
    if conditions.is_empty() {
        return "all".into();
    }
    let each: Vec<String> = conditions
        .iter()
        .map(|(path, condition): (&String, &Condition)| format!("{path} {condition}"))
        .collect();
    each.join(", ")
}
