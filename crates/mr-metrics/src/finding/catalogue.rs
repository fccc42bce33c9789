//! The file of findings.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::check::{Check, Outcome, outcomes};
use super::condition::Conditions;
use super::plot::Plot;
use super::records::Records;
use super::sample::seeds;
use super::table::TablePlan;
use super::verdict::{VERDICTS_SCHEMA, Verdict, Verdicts};
use crate::error::MetricError;
use crate::record::RecordKind;
use crate::stats::Bootstrap;

/// A list of findings, as `findings.toml` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", deny_unknown_fields)]
pub struct Findings {
    /// How intervals and p values over seeds are made.
    pub bootstrap: Bootstrap,
    /// The findings.
    #[serde(rename = "finding")]
    pub findings: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    bootstrap: Bootstrap,
    finding: Vec<Finding>,
}

/// A published claim, and what records must show for it to count as replicated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// A short name.
    pub id: String,
    /// A title.
    pub title: String,
    /// What is claimed, in a sentence.
    pub claim: String,
    /// Who claimed it: author, year, title.
    pub source: String,
    /// Seeds below which the verdict carries a caution.
    #[serde(default = "five")]
    pub seeds: usize,
    /// The records that all parts of the finding are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RecordKind>,
    /// Conditions on all parts of the finding. A part that names the same path overrules it.
    #[serde(
        default,
        rename = "where",
        skip_serializing_if = "Conditions::is_empty"
    )]
    pub conditions: Conditions,
    /// What must be observed.
    pub checks: Vec<Check>,
    /// What must hold for the checks to mean anything.
    #[serde(default)]
    pub controls: Vec<Check>,
    /// What is drawn.
    #[serde(default)]
    pub plots: Vec<Plot>,
    /// What is tabulated.
    #[serde(default)]
    pub tables: Vec<TablePlan>,
}

fn five() -> usize {
    5
}

impl TryFrom<Written> for Findings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            bootstrap,
            mut finding,
        } = written;
        let bootstrap = bootstrap.checked().map_err(|error| error.to_string())?;
        for index in 0..finding.len() {
            let id = finding[index].id.clone();
            if finding[..index].iter().any(|other| other.id == id) {
                return Err(format!("two findings have the id `{id}`"));
            }
            finding[index]
                .prepare()
                .map_err(|error| format!("finding `{id}`: {error}"))?;
        }
        Ok(Self {
            bootstrap,
            findings: finding,
        })
    }
}

impl Findings {
    /// Parses the text of a findings file.
    ///
    /// # Errors
    /// [`MetricError::Findings`] with the place of an unknown key, a contradiction or a check that
    /// demands nothing.
    pub fn from_toml(text: &str) -> Result<Self, MetricError> {
        toml::from_str(text).map_err(|error| MetricError::Findings(error.to_string()))
    }

    /// Reads a findings file.
    ///
    /// # Errors
    /// If it cannot be read, or as [`from_toml`](Self::from_toml).
    pub fn read(path: &Path) -> Result<Self, MetricError> {
        let text = std::fs::read_to_string(path).map_err(|source| MetricError::File {
            path: path.into(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| MetricError::Format {
            path: path.into(),
            reason: error.to_string(),
        })
    }

    /// Judges every finding.
    pub fn evaluate(&self, records: &Records) -> Verdicts {
        Verdicts {
            schema: VERDICTS_SCHEMA,
            verdicts: self
                .findings
                .iter()
                .map(|finding| finding.evaluate(records, self.bootstrap))
                .collect(),
        }
    }
}

impl Finding {
    /// Hands the finding's conditions down, and refuses what cannot be judged.
    fn prepare(&mut self) -> Result<(), String> {
        if self.checks.iter().all(|check| check.informative) {
            return Err("has no check that could fail".into());
        }
        let (kind, conditions) = (self.kind, &self.conditions);
        for check in self.checks.iter_mut().chain(&mut self.controls) {
            check.inherit(kind, conditions);
            check
                .validate()
                .map_err(|error| format!("check `{}` {error}", check.name))?;
        }
        for plot in &mut self.plots {
            plot.inherit(kind, conditions);
            plot.validate()
                .map_err(|error| format!("plot `{}` {error}", plot.title))?;
        }
        for table in &mut self.tables {
            table.inherit(kind, conditions);
            table
                .validate()
                .map_err(|error| format!("table `{}` {error}", table.title))?;
        }
        Ok(())
    }

    /// Judges the finding by the records.
    pub fn evaluate(&self, records: &Records, bootstrap: Bootstrap) -> Verdict {
        let checks = outcomes(&self.checks, records, bootstrap);
        let controls = outcomes(&self.controls, records, bootstrap);
        Verdict {
            id: self.id.clone(),
            title: self.title.clone(),
            claim: self.claim.clone(),
            source: self.source.clone(),
            status: Verdict::status_of(&checks, &controls),
            cautions: self.cautions(&checks, &controls),
            checks,
            controls,
        }
    }

    fn cautions(&self, checks: &[Outcome], controls: &[Outcome]) -> Vec<String> {
        let least = checks
            .iter()
            .chain(controls)
            .filter_map(|outcome| outcome.observed.map(|observed| observed.n))
            .min();
        match least {
            Some(least) if least < self.seeds => vec![format!(
                "a check rests on {}, fewer than the {} that this finding asks for",
                seeds(least),
                self.seeds
            )],
            _ => Vec::new(),
        }
    }
}
