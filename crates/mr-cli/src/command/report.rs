//! `mr report`: records and verdicts as one HTML file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_metrics::finding::{Findings, Records, Verdicts};
use mr_models::write_atomic;
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::report::{Located, Report, gather, records, render};

/// Draw records and verdicts as one HTML file
///
/// The file needs no network: styles, plots and images stand in it. Findings bring the plots and
/// tables, verdicts what came out; without verdicts the findings are judged, as mr verify does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr report runs/mlp-0
  mr report --findings findings.toml --records runs --verdicts verdicts.json --out report.html")]
pub(crate) struct Arguments {
    /// Draw the records in this folder and below, without findings
    #[arg(value_name = "RECORD_DIR", required_unless_present = "records", conflicts_with_all = ["records", "findings", "verdicts"])]
    folder: Option<PathBuf>,
    /// Where to look for record.json, in every folder below
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// What must be observed, and what is to be drawn
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,
    /// Verdicts that mr verify wrote
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Write the report to this file [default: report.html in the folder of the records]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Title of the report [default: after the folder of the findings or records]
    #[arg(long)]
    title: Option<String>,
    /// What was tested, a paragraph under the title
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<Outcome> {
    let root = arguments
        .folder
        .as_deref()
        .or(arguments.records.as_deref())
        .expect("clap demands one of the two");
    let findings = arguments
        .findings
        .as_deref()
        .map(Findings::read)
        .transpose()?;
    let read = arguments
        .verdicts
        .as_deref()
        .map(Verdicts::read)
        .transpose()?;
    let bar = console.bar("report", 1);
    let located = gather(root)?;
    let mut cautions = Vec::new();
    let judged = findings
        .as_ref()
        .map(|f| f.evaluate(&Records::new(&records(&located))));
    if let (Some(read), Some(judged), Some(file)) = (&read, &judged, &arguments.verdicts) {
        same_findings(file, read, judged)?;
        if read != judged {
            cautions.push(format!(
                "{} is not what these findings and records give: one of them changed since. Run mr \
                 verify again",
                file.display()
            ));
        }
    }
    let verdicts = read.or(judged);
    let title = arguments
        .title
        .clone()
        .unwrap_or_else(|| title(arguments.findings.as_deref(), root, &located));
    let html = render(&Report {
        title: &title,
        about: arguments.about.as_deref(),
        located: &located,
        findings: findings.as_ref(),
        verdicts: verdicts.as_ref(),
        cautions: &cautions,
        commands: &commands(&arguments, root),
    });
    drop(bar);
    let out = arguments.out.unwrap_or_else(|| root.join("report.html"));
    write_atomic(&out, html.as_bytes())
        .with_context(|| format!("cannot write {}", out.display()))?;
    console.say(out.display());
    for caution in &cautions {
        console.warn(caution);
    }
    console.object(&json!({
        "report": out,
        "bytes": html.len(),
        "records": located.len(),
        "findings": verdicts.as_ref().map_or(0, |v| v.verdicts.len()),
    }))?;
    Ok(Outcome::Done)
}

/// Refuses verdicts on other findings than these.
fn same_findings(file: &Path, read: &Verdicts, judged: &Verdicts) -> Result<()> {
    let ids = |verdicts: &Verdicts| -> Vec<String> {
        verdicts.verdicts.iter().map(|v| v.id.clone()).collect()
    };
    let (read, judged) = (ids(read), ids(judged));
    if read != judged {
        bail!(
            "{}: holds verdicts on {}, the findings are {}",
            file.display(),
            read.join(", "),
            judged.join(", ")
        );
    }
    Ok(())
}

/// A title from the names of folders: that of the findings, the run's own, or the records'.
fn title(findings: Option<&Path>, root: &Path, located: &[Located]) -> String {
    // A run that was given no name has that of its command.
    if let [one] = located
        && one.record.name != one.record.kind.to_string()
    {
        return format!("{} ({})", one.record.name, one.record.kind);
    }
    let name = findings
        .and_then(|findings| findings.parent()?.file_name())
        .or_else(|| root.file_name())
        .map(|name| name.to_string_lossy().replace(['-', '_'], " "))
        .unwrap_or_default();
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => format!("{}{}: report", first.to_uppercase(), letters.as_str()),
        None => "Report".into(),
    }
}

/// The commands that give this report again, with the names of files as they were given.
fn commands(arguments: &Arguments, root: &Path) -> Vec<String> {
    let shown = |path: &Path| path.display().to_string();
    let records = shown(root);
    match &arguments.findings {
        Some(findings) => {
            let common = format!("--findings {} --records {records}", shown(findings));
            vec![
                format!("mr verify {common} --out verdicts.json"),
                format!("mr report {common} --verdicts verdicts.json"),
            ]
        }
        None => vec![format!("mr report {records}")],
    }
}
