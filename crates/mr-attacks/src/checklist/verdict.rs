//! What a check found, and what that means.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// What an item says of the model's gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing could be judged.
    NotApplicable,
    /// As it should be.
    Pass,
    /// Not as it should be, but there may be another reason.
    Suspicious,
    /// The gradients are masked: attacks that follow them find too little.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplicable => "not applicable",
            Self::Pass => "pass",
            Self::Suspicious => "suspicious",
            Self::Fail => "fail",
        })
    }
}

impl Verdict {
    /// Pass up to the first limit, suspicious up to the second, fail above.
    pub(super) fn of(value: f64, [few, many]: [f64; 2]) -> Self {
        if value <= few {
            Self::Pass
        } else if value <= many {
            Self::Suspicious
        } else {
            // NaN is no pass.
            Self::Fail
        }
    }

    /// The same of a share of examples; one example alone is chance and passes, two are at most
    /// suspicious.
    pub(super) fn of_share(count: usize, total: usize, limits: [f64; 2]) -> Self {
        let worst = match count {
            0 | 1 => Self::Pass,
            2 => Self::Suspicious,
            _ => Self::Fail,
        };
        Self::of(count as f64 / total.max(1) as f64, limits).min(worst)
    }
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let read = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    let number = |(name, value): (String, Option<f64>)| (name, value.unwrap_or(f64::NAN));
    Ok(read.into_iter().map(number).collect())
}

/// One question of the checklist, and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// A short name.
    pub name: String,
    /// What is asked; a sound evaluation answers yes.
    pub question: String,
    /// What was measured; in JSON null stands for what is no number.
    #[serde(deserialize_with = "numbers")]
    pub evidence: BTreeMap<String, f64>,
    /// What was measured, in a sentence.
    pub sentence: String,
    /// What it means.
    pub verdict: Verdict,
}

impl Item {
    pub(super) fn new(name: &str, question: &str) -> Self {
        Self {
            name: name.into(),
            question: question.into(),
            evidence: BTreeMap::new(),
            sentence: String::new(),
            verdict: Verdict::NotApplicable,
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<f64>) -> Self {
        self.evidence.insert(name.into(), value.into());
        self
    }

    pub(super) fn count(self, name: &str, count: usize) -> Self {
        self.with(name, count as f64)
    }

    pub(super) fn judged(mut self, verdict: Verdict, sentence: impl Into<String>) -> Self {
        self.verdict = verdict;
        self.sentence = sentence.into();
        self
    }
}

/// The answers to all questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// Examples that were given.
    pub examples: usize,
    /// Those that the model gets right, which alone are looked at.
    pub right: usize,
    /// The items.
    pub items: Vec<Item>,
    /// The worst verdict of any item.
    pub verdict: Verdict,
}

impl Checklist {
    pub(super) fn of(items: Vec<Item>, examples: usize, right: usize) -> Self {
        let worst = items.iter().map(|item| item.verdict).max();
        Self {
            examples,
            right,
            verdict: worst.unwrap_or(Verdict::NotApplicable),
            items,
        }
    }

    /// The item of this name.
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }
}
