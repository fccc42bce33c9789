//! `mr verify`: records against the findings that are expected of them.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_metrics::finding::Outcome as Checked;
use mr_metrics::finding::{Findings, OutcomeResult, Records, Status, Verdict, Verdicts};

use crate::console::{Console, Outcome};
use crate::layout::plural;
use crate::report::{demand_of, gather, observed, records};

/// Compare records with the findings that are expected of them
///
/// A finding is REPLICATED if all of its checks passed, NOT REPLICATED if one failed, and INVALID if
/// a control failed or records are missing, so that nothing can be said. Exit code 0 if every finding
/// is replicated, 1 if not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr verify --findings findings.toml --records runs
  mr verify --findings findings.toml --records runs --out verdicts.json
  mr verify --findings findings.toml --records runs --json | jq '.verdicts[].status'")]
pub(crate) struct Arguments {
    /// What must be observed, and of which records
    #[arg(long, value_name = "FILE")]
    findings: PathBuf,
    /// Where to look for record.json, in every folder below
    #[arg(long, value_name = "DIR")]
    records: PathBuf,
    /// Write the verdicts as JSON, for mr report
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<Outcome> {
    let findings = Findings::read(&arguments.findings)?;
    let located = gather(&arguments.records)?;
    let count = findings.findings.len();
    console.note(format!(
        "judging {} by {}",
        plural(count, "finding"),
        plural(located.len(), "record")
    ));
    let bar = console.bar("findings", count);
    let verdicts = findings.evaluate(&Records::new(&records(&located)));
    drop(bar);
    if let Some(out) = &arguments.out {
        verdicts.write(out)?;
    }
    let paint = Paint::of_terminal();
    for verdict in &verdicts.verdicts {
        console.say(block(verdict, paint));
    }
    console.say(summary(&verdicts));
    console.object(&verdicts)?;
    Ok(if verdicts.all_replicated() {
        Outcome::Done
    } else {
        Outcome::CheckFailed
    })
}

/// `3 of 4 findings replicated, 1 not replicated`.
fn summary(verdicts: &Verdicts) -> String {
    let mut parts = vec![format!(
        "{} of {} findings replicated",
        verdicts.count(Status::Replicated),
        verdicts.verdicts.len()
    )];
    for status in [Status::NotReplicated, Status::Invalid] {
        let count = verdicts.count(status);
        if count > 0 {
            parts.push(format!("{count} {status}"));
        }
    }
    parts.join(", ")
}

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    /// Colour where a person reads it, unless they asked for none (`NO_COLOR`).
    fn of_terminal() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(std::io::stdout().is_terminal() && !refused)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }

    fn quiet(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn status(self, status: Status) -> String {
        let code = match status {
            Status::Replicated => "1;32",
            Status::NotReplicated => "1;31",
            Status::Invalid => "1;33",
        };
        self.paint(code, &status.to_string().to_uppercase())
    }

    fn result(self, result: OutcomeResult) -> String {
        let code = match result {
            OutcomeResult::Passed => "32",
            OutcomeResult::Failed => "31",
            OutcomeResult::Missing => "33",
        };
        self.paint(code, &result.to_string())
    }
}

/// What stands before a check's name.
const INDENT: &str = "                    ";

/// A verdict with its controls and checks, in columns.
fn block(verdict: &Verdict, paint: Paint) -> String {
    let rows = verdict
        .controls
        .iter()
        .map(|outcome| ("control", outcome))
        .chain(verdict.checks.iter().map(|outcome| ("check", outcome)))
        .map(|(role, outcome)| (if outcome.informative { "note" } else { role }, outcome));
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.status(verdict.status),
        verdict.title,
        paint.quiet(&format!("({})", verdict.id))
    )];
    let rows: Vec<(&str, &Checked)> = rows.collect();
    let widest = |text: &dyn Fn(&Checked) -> String| {
        rows.iter()
            .filter(|(_, outcome)| outcome.observed.is_some())
            .map(|(_, outcome)| text(outcome).chars().count())
            .max()
            .unwrap_or(0)
    };
    let name = widest(&|outcome| outcome.name.clone());
    let value = widest(&observed);
    let units = widest(&units);
    for (role, outcome) in &rows {
        let result = paint.result(outcome.result);
        let pad = " ".repeat(7 - outcome.result.to_string().len());
        let head = format!("  {role:7}  {result}{pad}  ");
        if outcome.observed.is_none() {
            // No one number was judged: the sentence alone says what was seen.
            lines.push(format!("{head}{}", outcome.name));
            lines.push(paint.quiet(&format!("{INDENT}{}", outcome.sentence)));
            continue;
        }
        let line = format!(
            "{head}{:name$}  {:value$}  {:units$}  {}",
            outcome.name,
            observed(outcome),
            self::units(outcome),
            demand_of(outcome).unwrap_or_default(),
        );
        lines.push(line.trim_end().into());
        if outcome.result != OutcomeResult::Passed {
            lines.push(paint.quiet(&format!("{INDENT}{}", outcome.sentence)));
        }
    }
    for caution in &verdict.cautions {
        lines.push(format!("  {}  {caution}", paint.paint("33", "caution")));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// `n=5 p=0.0005`.
fn units(outcome: &Checked) -> String {
    let n = outcome.observed.map(|observed| format!("n={}", observed.n));
    let p = outcome.p.map(|p| format!("p={}", mr_metrics::Short(p)));
    let parts: Vec<String> = n.into_iter().chain(p).collect();
    parts.join(" ")
}
