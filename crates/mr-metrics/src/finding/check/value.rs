//! The centre of a metric over seeds.

use serde::{Deserialize, Serialize};

use super::super::condition::Conditions;
use super::super::demand::Demand;
use super::super::records::Records;
use super::super::sample::{Centre, Sample};
use super::judgement::{Judgement, shown};
use crate::error::MetricError;
use crate::stats::Bootstrap;

/// `test = "value"`: the mean, median, lowest or highest of a metric over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueTest {
    /// Dotted path of the metric.
    pub metric: String,
    /// How seeds become one number.
    #[serde(default)]
    pub centre: Centre,
    /// What the number must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must: Option<Demand>,
}

impl ValueTest {
    pub(super) fn judge(
        &self,
        records: &Records,
        conditions: &Conditions,
        bootstrap: Bootstrap,
    ) -> Result<Judgement, MetricError> {
        let sample = Sample::of(records, conditions, &self.metric)?;
        let observed = self.centre.interval(&sample, bootstrap)?;
        Ok(Judgement {
            text: format!(
                "the {} of {} over {} is {}",
                self.centre,
                self.metric,
                sample.size(),
                shown(&observed)
            ),
            observed: Some(observed),
            must: self.must,
            ..Judgement::default()
        })
    }
}
