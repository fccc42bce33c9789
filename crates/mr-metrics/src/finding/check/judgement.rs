//! From what a test observed to an outcome with its sentence.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::demand::Demand;
use super::super::records::Records;
use super::Check;
use crate::error::MetricError;
use crate::interval::{Interval, Short};
use crate::stats::{Bootstrap, holm};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeResult {
    /// What was demanded was observed.
    Passed,
    /// Something else was observed.
    Failed,
    /// Nothing could be observed; the sentence says why.
    Missing,
}

impl fmt::Display for OutcomeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Missing => "missing",
        })
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The check's name.
    pub name: String,
    /// Printed, but not part of the verdict.
    pub informative: bool,
    /// How it came out.
    pub result: OutcomeResult,
    /// What was observed, over what, with its interval, and what was demanded.
    pub sentence: String,
    /// The number that was judged, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Interval>,
    /// Permutation p value, after Holm's correction over the check's family if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
}

/// What a test observed and what it demands.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// `the mean of numbers.fpd over 5 seeds is 4.45 (...)`.
    pub(super) text: String,
    pub(super) observed: Option<Interval>,
    pub(super) must: Option<Demand>,
    /// A demand that is not on `observed`: whether it holds, and what it is.
    pub(super) other: Option<(bool, String)>,
    pub(super) p: Option<f64>,
    pub(super) max_p: Option<f64>,
    /// How many p values were corrected together.
    pub(super) corrected: Option<usize>,
    /// Checks of one family share a level.
    pub(super) family: Option<String>,
}

/// `4.45 (95 % interval 4.31 to 4.58)`.
pub(super) fn shown(interval: &Interval) -> String {
    let value = Short(interval.value);
    match interval.ends() {
        Some([low, high]) => format!(
            "{value} ({} % interval {} to {})",
            Short(100.0 * interval.level),
            Short(low),
            Short(high)
        ),
        None => format!("{value} (no interval)"),
    }
}

/// Judges checks together, for those of one family correct their p values by Holm's method.
pub(in super::super) fn outcomes(
    checks: &[Check],
    records: &Records,
    bootstrap: Bootstrap,
) -> Vec<Outcome> {
    let mut judgements: Vec<Result<Judgement, MetricError>> = checks
        .iter()
        .map(|check| check.judge(records, bootstrap))
        .collect();
    correct(&mut judgements);
    checks
        .iter()
        .zip(judgements)
        .map(|(check, judgement)| outcome(check, judgement))
        .collect()
}

fn correct(judgements: &mut [Result<Judgement, MetricError>]) {
    let mut families: BTreeMap<String, Vec<&mut Judgement>> = BTreeMap::new();
    for judgement in judgements.iter_mut().flatten() {
        if let (Some(family), Some(_)) = (&judgement.family, judgement.p) {
            families.entry(family.clone()).or_default().push(judgement);
        }
    }
    for members in families.values_mut() {
        let raw: Vec<f64> = members.iter().filter_map(|member| member.p).collect();
        let adjusted = holm(&raw).expect("a permutation p value is a probability");
        let size = members.len();
        for (member, p) in members.iter_mut().zip(adjusted) {
            member.p = Some(p);
            member.corrected = Some(size);
        }
    }
}

fn outcome(check: &Check, judgement: Result<Judgement, MetricError>) -> Outcome {
    let name = check.name.clone();
    let informative = check.informative;
    let judgement = match judgement {
        Ok(judgement) => judgement,
        Err(error) => {
            return Outcome {
                name,
                informative,
                result: OutcomeResult::Missing,
                sentence: error.to_string(),
                observed: None,
                p: None,
            };
        }
    };
    let p = match (judgement.p, judgement.corrected) {
        (Some(p), Some(size)) => format!(", p = {} (Holm-corrected over {size})", Short(p)),
        (Some(p), None) => format!(", p = {}", Short(p)),
        (None, _) => String::new(),
    };
    let mut passed = true;
    let mut demands = Vec::new();
    if let (Some(must), Some(observed)) = (judgement.must, &judgement.observed) {
        passed &= must.admits(observed);
        demands.push(must.to_string());
    }
    if let (Some(max_p), Some(p)) = (judgement.max_p, judgement.p) {
        passed &= p <= max_p;
        demands.push(format!("p at most {}", Short(max_p)));
    }
    if let Some((holds, demand)) = judgement.other {
        passed &= holds;
        demands.push(demand);
    }
    let demanded = if demands.is_empty() {
        String::new()
    } else {
        format!("; demanded: {}", demands.join(", "))
    };
    Outcome {
        name,
        informative,
        result: if passed {
            OutcomeResult::Passed
        } else {
            OutcomeResult::Failed
        },
        sentence: format!("{}{p}{demanded}", judgement.text),
        observed: judgement.observed,
        p: judgement.p,
    }
}
