//! What the records say of the findings.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::{Outcome, OutcomeResult};
use crate::error::MetricError;
use crate::record::{read_versioned, write_json};

/// The version of the verdicts' format that this build reads and writes.
pub const VERDICTS_SCHEMA: u32 = 1;

/// The verdict on a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Every control and every check passed.
    Replicated,
    /// The controls passed and a check failed: a result like any other.
    NotReplicated,
    /// A control failed, or records are missing: nothing can be said.
    Invalid,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replicated => "replicated",
            Self::NotReplicated => "not replicated",
            Self::Invalid => "invalid",
        })
    }
}

/// A finding, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The finding's id.
    pub id: String,
    /// The finding's title.
    pub title: String,
    /// What is claimed.
    pub claim: String,
    /// Who claimed it.
    pub source: String,
    /// The verdict.
    pub status: Status,
    /// What was demanded of the finding.
    pub checks: Vec<Outcome>,
    /// What had to hold for the checks to mean anything.
    pub controls: Vec<Outcome>,
    /// What a reader should hold against the verdict, such as too few seeds.
    pub cautions: Vec<String>,
}

impl Verdict {
    /// The verdict that these outcomes make; informative ones do not count.
    pub(super) fn status_of(checks: &[Outcome], controls: &[Outcome]) -> Status {
        let any = |outcomes: &[Outcome], result: OutcomeResult| {
            outcomes
                .iter()
                .any(|outcome| !outcome.informative && outcome.result == result)
        };
        if any(controls, OutcomeResult::Failed)
            || any(controls, OutcomeResult::Missing)
            || any(checks, OutcomeResult::Missing)
        {
            Status::Invalid
        } else if any(checks, OutcomeResult::Failed) {
            Status::NotReplicated
        } else {
            Status::Replicated
        }
    }
}

impl fmt::Display for Verdict {
    /// The verdict in one line, then a line per control and check.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.status, self.title, self.id)?;
        let roles = [("control", &self.controls), ("check", &self.checks)];
        for (role, outcomes) in roles {
            for outcome in outcomes {
                let role = if outcome.informative { "note" } else { role };
                let Outcome {
                    name,
                    result,
                    sentence,
                    ..
                } = outcome;
                write!(f, "\n  {role} {result}: {name}: {sentence}")?;
            }
        }
        for caution in &self.cautions {
            write!(f, "\n  caution: {caution}")?;
        }
        Ok(())
    }
}

/// The verdicts on a list of findings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    /// Version of this format.
    pub schema: u32,
    /// One per finding, in the order of the findings.
    pub verdicts: Vec<Verdict>,
}

impl Verdicts {
    /// Whether every finding is replicated.
    pub fn all_replicated(&self) -> bool {
        self.count(Status::Replicated) == self.verdicts.len()
    }

    /// How many findings have this status.
    pub fn count(&self, status: Status) -> usize {
        let with = |verdict: &&Verdict| verdict.status == status;
        self.verdicts.iter().filter(with).count()
    }

    /// Reads verdicts.
    ///
    /// # Errors
    /// As [`ExperimentRecord::read`](crate::ExperimentRecord::read).
    pub fn read(path: &Path) -> Result<Self, MetricError> {
        read_versioned(path, "a file of verdicts", VERDICTS_SCHEMA)
    }

    /// Writes the verdicts, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> Result<(), MetricError> {
        write_json(path, self)
    }
}
