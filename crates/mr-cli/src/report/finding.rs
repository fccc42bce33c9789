//! The section of one finding.

use maud::{Markup, html};
use mr_metrics::ExperimentRecord;
use mr_metrics::RecordKind;
use mr_metrics::finding::{Conditions, Finding, Records, Verdict};
use mr_metrics::stats::Bootstrap;
use serde_json::Value;

use super::chart::{Chart, Intervals, Size, figure};
use super::configuration::configuration;
use super::naming::tell_apart;
use super::record::{commands, rerun};
use super::table::of_finding;
use super::verdicts::{anchor, badge, checks};

/// What findings are drawn from.
pub(super) struct Evidence<'a> {
    /// The records, as plots and tables read them.
    pub(super) records: &'a Records,
    /// The same records, each with its JSON.
    pub(super) all: &'a [(&'a ExperimentRecord, Value)],
    /// How intervals over seeds are made.
    pub(super) bootstrap: Bootstrap,
}

/// The claim, its verdict, and what that rests on. Without the findings there are no plots.
pub(super) fn section(
    index: usize,
    verdict: &Verdict,
    finding: Option<&Finding>,
    evidence: &Evidence<'_>,
) -> Markup {
    html! {
        section.finding id=(anchor(index)) {
            div.title {
                h2 { (index + 1) ". " (verdict.title) }
                (badge(verdict.status))
            }
            blockquote.claim {
                (verdict.claim)
                footer { (verdict.source) }
            }
            (checks(verdict))
            @if let Some(finding) = finding {
                @for plot in &finding.plots {
                    @match plot.data(evidence.records, evidence.bootstrap) {
                        Ok(mut data) => {
                            @let () = tell_apart(plot, &mut data);
                            (figure(&Chart::new(
                                data,
                                Intervals::OverSeeds(evidence.bootstrap.level),
                                Size::Wide,
                            )))
                        }
                        Err(error) => {
                            p.missing { "No plot “" (plot.title) "”: " (error.to_string()) "." }
                        }
                    }
                }
                (tables(finding, evidence))
                (setup(finding, evidence))
            }
        }
    }
}

fn tables(finding: &Finding, evidence: &Evidence<'_>) -> Markup {
    html! {
        @if !finding.tables.is_empty() {
            details {
                summary {
                    "The numbers behind it"
                }
                div {
                    @for plan in &finding.tables {
                        @match plan.data(evidence.records, evidence.bootstrap) {
                            Ok(table) => (of_finding(&table)),
                            Err(error) => {
                                p.missing { "No table “" (plan.title) "”: " (error.to_string()) "." }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Configuration and commands of the runs that the finding reads.
fn setup(finding: &Finding, evidence: &Evidence<'_>) -> Markup {
    let behind = behind(finding, evidence.all);
    let mut kinds: Vec<RecordKind> = behind.iter().map(|record| record.kind).collect();
    kinds.sort();
    kinds.dedup();
    html! {
        @if kinds.is_empty() {
            p.missing { "No record is one that this finding is about." }
        } @else {
            details {
                summary { "Configuration and commands of the runs behind it" }
                div {
                    @for kind in kinds {
                        @let of_kind: Vec<&ExperimentRecord> =
                            behind.iter().copied().filter(|r| r.kind == kind).collect();
                        h4 {
                            "Configuration of " (of_kind.len()) " " (kind) " record"
                            @if of_kind.len() > 1 { "s" }
                        }
                        (configuration(&of_kind))
                        (rerun(&of_kind))
                    }
                    (commands(
                        &trained_by(&behind, evidence.all),
                        "Command that trained the network",
                        "Command that trained the first of their networks",
                    ))
                }
            }
        }
    }
}

/// The records of the training runs whose networks these runs are about: those with the very tables
/// that the networks say they were trained by.
fn trained_by<'a>(
    behind: &[&ExperimentRecord],
    all: &[(&'a ExperimentRecord, Value)],
) -> Vec<&'a ExperimentRecord> {
    let made = |training: &ExperimentRecord, run: &ExperimentRecord| {
        let trained = &run.config["trained"];
        trained["seed"].as_u64() == Some(training.seed)
            && ["model", "data", "train"]
                .iter()
                .all(|&table| trained[table] == training.config[table])
    };
    all.iter()
        .map(|(record, _)| *record)
        .filter(|record| record.kind == RecordKind::Train)
        .filter(|training| behind.iter().any(|run| made(training, run)))
        .collect()
}

/// The records that some part of the finding selects.
fn behind<'a>(
    finding: &Finding,
    all: &[(&'a ExperimentRecord, Value)],
) -> Vec<&'a ExperimentRecord> {
    let parts: Vec<&Conditions> = (finding.checks.iter().chain(&finding.controls))
        .map(|check| &check.conditions)
        .chain(finding.plots.iter().map(|plot| &plot.conditions))
        .chain(finding.tables.iter().map(|table| &table.conditions))
        .collect();
    let selected = |json: &Value| {
        parts.iter().any(|conditions| {
            conditions
                .iter()
                .all(|(path, condition)| condition.holds(json, path))
        })
    };
    all.iter()
        .filter(|(_, json)| selected(json))
        .map(|(record, _)| *record)
        .collect()
}
