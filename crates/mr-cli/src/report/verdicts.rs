//! Verdicts: the table that the report opens with, and the checks behind each.

use maud::{Markup, html};
use mr_metrics::finding::{Outcome, OutcomeResult, Status, Verdict, Verdicts};

use super::outcome::{demand_of, seen};
use super::table::{estimate, short};

/// A verdict in words, with a sign and a colour that say the same.
pub(super) fn badge(status: Status) -> Markup {
    let (class, sign) = match status {
        Status::Replicated => ("replicated", "✓"),
        Status::NotReplicated => ("not-replicated", "✗"),
        Status::Invalid => ("invalid", "?"),
    };
    html! { span class={ "badge " (class) } { (sign) " " (status) } }
}

/// One row per finding.
pub(super) fn table(verdicts: &Verdicts) -> Markup {
    html! {
        table.cards.verdicts {
            thead {
                tr {
                    th scope="col" { "Finding" }
                    th scope="col" { "Verdict" }
                    th scope="col" { "Checks passed" }
                    th scope="col" { "Controls held" }
                    th scope="col" { "Source" }
                }
            }
            tbody {
                @for (index, verdict) in verdicts.verdicts.iter().enumerate() {
                    tr.verdict {
                        th scope="row" {
                            a href={ "#" (anchor(index)) } { (index + 1) ". " (verdict.title) }
                            @if !verdict.cautions.is_empty() {
                                small { "with a caution, see there" }
                            }
                        }
                        td { (badge(verdict.status)) }
                        td data-label="Checks passed" { (passed(&verdict.checks)) }
                        td data-label="Controls held" { (passed(&verdict.controls)) }
                        td.quiet { (verdict.source) }
                    }
                }
            }
        }
    }
}

/// Where a finding stands in the page; by number, for an id may hold anything.
pub(super) fn anchor(index: usize) -> String {
    format!("finding-{}", index + 1)
}

/// `3 of 4`, of the outcomes that count.
fn passed(outcomes: &[Outcome]) -> String {
    let counted: Vec<&Outcome> = outcomes.iter().filter(|o| !o.informative).collect();
    if counted.is_empty() {
        return "none asked".into();
    }
    let passed = |outcome: &&&Outcome| outcome.result == OutcomeResult::Passed;
    format!(
        "{} of {}",
        counted.iter().filter(passed).count(),
        counted.len()
    )
}

/// Every control and check of a verdict, with what was observed and what was demanded.
pub(super) fn checks(verdict: &Verdict) -> Markup {
    let select = |outcomes: &'_ [Outcome], informative: bool| -> Vec<Outcome> {
        let with = |outcome: &&Outcome| outcome.informative == informative;
        outcomes.iter().filter(with).cloned().collect()
    };
    let mut noted = select(&verdict.controls, true);
    noted.extend(select(&verdict.checks, true));
    let roles = [
        (
            "Checks: what the claim says must be observed",
            select(&verdict.checks, false),
        ),
        (
            "Controls: what must hold for the checks to mean anything",
            select(&verdict.controls, false),
        ),
        ("For information, no part of the verdict", noted),
    ];
    html! {
        table.cards.checks {
            thead {
                tr {
                    th scope="col" { "Asked" }
                    th scope="col" { "Result" }
                    th.number scope="col" { "Observed" }
                    th.number scope="col" { "n" }
                    th scope="col" { "Demanded" }
                }
            }
            @for (role, outcomes) in roles.iter().filter(|(_, outcomes)| !outcomes.is_empty()) {
                tbody {
                    tr.role { th colspan="5" scope="rowgroup" { (role) } }
                    @for outcome in outcomes { (row(outcome)) }
                }
            }
        }
        @for caution in &verdict.cautions {
            p.caution { strong { "Caution:" } (caution) "." }
        }
    }
}

fn row(outcome: &Outcome) -> Markup {
    let (class, sign) = match outcome.result {
        OutcomeResult::Passed => ("passed", "✓"),
        OutcomeResult::Failed => ("failed", "✗"),
        OutcomeResult::Missing => ("absent", "?"),
    };
    html! {
        tr.asked {
            th scope="row" { (outcome.name) }
            td class={ "result " (class) } {
                @if outcome.informative && outcome.result == OutcomeResult::Passed {
                    span.quiet { "noted" }
                } @else {
                    (sign) " " (outcome.result)
                }
            }
            td.number data-label="Observed" {
                @if outcome.observed.is_some() { (estimate(outcome.observed.as_ref())) }
                @if let Some(p) = outcome.p { small { "p = " (short(p)) } }
            }
            td.number data-label="n" {
                @if let Some(observed) = outcome.observed { (observed.n) }
            }
            td data-label="Demanded" { @if let Some(demand) = demand_of(outcome) { (demand) } }
        }
        tr.seen { td colspan="5" { (seen(outcome)) } }
    }
}
