//! The end of a run: `mr verify`, `mr report`, and the verdicts on the screen.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::execute::Runner;
use super::pipeline::Verify;
use super::template::{OUT, Variables, fill};
use crate::workspace::shown;

/// The two commands, as arguments of `mr`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finish {
    pub(crate) verify: Vec<String>,
    pub(crate) report: Vec<String>,
}

/// Plans both commands; a findings file that is not there is found out before any stage runs.
pub(crate) fn plan(
    title: &str,
    verify: &Verify,
    variables: &Variables,
    folder: &Path,
    root: &Path,
    out: &str,
) -> Result<Finish> {
    let findings = folder.join(fill(&verify.findings, variables).context("[verify] findings")?);
    if !findings.is_file() {
        bail!("[verify] findings: {} is not a file", findings.display());
    }
    let findings = shown(&findings, root);
    let records = fill(&verify.records, variables).context("[verify] records")?;
    let records = folder_of(&records.replace(OUT, out));
    let verdicts = format!("{out}/verdicts.json");
    let common = [
        "--findings",
        findings.as_str(),
        "--records",
        records.as_str(),
    ];
    let words = |head: &str, tail: &[&str]| {
        std::iter::once(head)
            .chain(common)
            .chain(tail.iter().copied())
            .map(String::from)
            .collect()
    };
    Ok(Finish {
        verify: words("verify", &["--out", &verdicts]),
        report: words(
            "report",
            &[
                "--verdicts",
                &verdicts,
                "--out",
                &format!("{out}/report.html"),
                "--title",
                title,
            ],
        ),
    })
}

/// The folder that a pattern searches: everything before its first part with a `*`.
fn folder_of(pattern: &str) -> String {
    let parts: Vec<&str> = pattern
        .split('/')
        .take_while(|part| !part.contains('*'))
        .collect();
    if parts.is_empty() {
        ".".into()
    } else {
        parts.join("/")
    }
}

/// Runs both commands. A finding that did not replicate is a result, said loudly, not a failure.
pub(crate) fn run(runner: &Runner, finish: &Finish) -> Result<bool> {
    println!("\n$ {}", runner.line(&finish.verify));
    let (verified, verdicts) = runner.captured("verify", &finish.verify)?;
    // `mr` exits 1 where it ran and a finding failed, higher where it could not run.
    if !matches!(verified.code(), Some(0 | 1)) {
        let log = runner.folder.log("verify");
        eprintln!(
            "FAILED verify: {:#}",
            runner.failure(verified, &finish.verify, &log)
        );
        return Ok(false);
    }
    println!("$ {}", runner.line(&finish.report));
    let (reported, _) = runner.captured("report", &finish.report)?;
    if !reported.success() {
        let log = runner.folder.log("report");
        eprintln!(
            "FAILED report: {:#}",
            runner.failure(reported, &finish.report, &log)
        );
    }
    println!("\n{}", verdicts.trim_end());
    if !verified.success() {
        println!("\n!! NOT EVERY FINDING WAS REPLICATED: see the verdicts above");
    }
    if reported.success() {
        println!("\nreport: {}/report.html", runner.out());
    }
    Ok(reported.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_searched_from_the_patterns_folder() {
        assert_eq!(folder_of("runs/a/**/record.json"), "runs/a");
        assert_eq!(folder_of("runs/a/toy-*/record.json"), "runs/a");
        assert_eq!(folder_of("runs/a"), "runs/a");
        assert_eq!(folder_of("**/record.json"), ".");
    }

    #[test]
    fn both_commands_are_planned() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let verify = Verify {
            findings: "findings.toml".into(),
            records: "{out}/**/record.json".into(),
        };
        let plan = || plan("A title", &verify, &Variables::new(), root, root, "runs/a");
        let missing = plan().unwrap_err().to_string();
        assert!(missing.contains("findings.toml is not a file"), "{missing}");
        std::fs::write(root.join("findings.toml"), "").unwrap();
        let both = plan().unwrap();
        assert_eq!(
            both.verify.join(" "),
            "verify --findings findings.toml --records runs/a --out runs/a/verdicts.json"
        );
        assert_eq!(
            both.report.join(" "),
            "report --findings findings.toml --records runs/a --verdicts runs/a/verdicts.json \
             --out runs/a/report.html --title A title"
        );
    }
}
