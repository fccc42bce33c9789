//! One check of a finding: a test of records, its outcome and the sentence that says it.

mod comparison;
mod correlation;
mod judgement;
mod monotone;
mod value;

use serde::{Deserialize, Serialize};

pub use comparison::{Comparison, Matched};
pub use correlation::Correlation;
pub use judgement::{Outcome, OutcomeResult};
pub use monotone::{Direction, Monotone};
pub use value::ValueTest;

pub(super) use judgement::outcomes;

use self::comparison::Contrast;
use self::correlation::Kind;
use self::judgement::Judgement;
use super::condition::{Condition, Conditions};
use super::records::Records;
use crate::error::MetricError;
use crate::record::RecordKind;
use crate::stats::Bootstrap;

/// A check or a control of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What it asks, in a few words.
    pub name: String,
    /// Printed, but not part of the verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub informative: bool,
    /// Which records; short for the condition `kind = "..."`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RecordKind>,
    /// Which records, on top of the finding's own conditions.
    #[serde(
        default,
        rename = "where",
        skip_serializing_if = "Conditions::is_empty"
    )]
    pub conditions: Conditions,
    /// What is asked of them. Its keys stand beside those above, with `test` naming the kind.
    #[serde(flatten)]
    pub test: Test,
}

/// The kinds of checks. A metric is a dotted path into a record, such as `numbers.fpd`; the seed of
/// a run is the unit of statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "test", rename_all = "kebab-case")]
pub enum Test {
    /// The centre of a metric over seeds.
    Value(ValueTest),
    /// The centre of one selection divided by that of another.
    Ratio(Comparison),
    /// The centre of one selection minus that of another.
    Difference(Comparison),
    /// Two selections agree in a metric, such as clean accuracy.
    Matched(Matched),
    /// Spearman's rank correlation of two metrics over runs.
    Spearman(Correlation),
    /// Pearson's correlation of two metrics over runs.
    Pearson(Correlation),
    /// A metric falls or rises along an axis.
    Monotone(Monotone),
}

impl Check {
    /// Restricts the check to what its finding is about.
    pub(super) fn inherit(&mut self, kind: Option<RecordKind>, conditions: &Conditions) {
        inherit(&mut self.conditions, self.kind.take().or(kind), conditions);
    }

    /// Nothing, if the check can be judged at all.
    pub(super) fn validate(&self) -> Result<(), String> {
        let demanded = match &self.test {
            Test::Value(test) => test.must.is_some(),
            Test::Ratio(test) | Test::Difference(test) => {
                test.validate()?;
                test.must.is_some()
            }
            Test::Matched(test) => test.tolerance.is_some(),
            Test::Spearman(test) | Test::Pearson(test) => {
                test.must.is_some() || test.max_p.is_some()
            }
            Test::Monotone(test) => {
                test.validate()?;
                true
            }
        };
        if demanded || self.informative {
            Ok(())
        } else {
            Err("demands nothing: give it `must`, or mark it `informative = true`".into())
        }
    }

    fn judge(&self, records: &Records, bootstrap: Bootstrap) -> Result<Judgement, MetricError> {
        let conditions = &self.conditions;
        match &self.test {
            Test::Value(test) => test.judge(records, conditions, bootstrap),
            Test::Ratio(test) => test.judge(Contrast::Ratio, records, conditions, bootstrap),
            Test::Difference(test) => {
                test.judge(Contrast::Difference, records, conditions, bootstrap)
            }
            Test::Matched(test) => test.judge(records, conditions, bootstrap),
            Test::Spearman(test) => test.judge(Kind::Spearman, records, conditions, bootstrap),
            Test::Pearson(test) => test.judge(Kind::Pearson, records, conditions, bootstrap),
            Test::Monotone(test) => test.judge(records, conditions),
        }
    }
}

/// Adds the outer conditions to the inner ones, which win.
pub(super) fn inherit(inner: &mut Conditions, kind: Option<RecordKind>, outer: &Conditions) {
    if let Some(kind) = kind {
        inner
            .entry("kind".into())
            .or_insert_with(|| Condition::Is(kind.to_string().into()));
    }
    for (path, condition) in outer {
        inner
            .entry(path.clone())
            .or_insert_with(|| condition.clone());
    }
}
