//! `mr verify` and `mr report` from the outside, over made-up records.

mod made_up;
mod page;
mod report;
mod verify;

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

/// The findings that made-up records are tested against.
fn findings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/made-up-findings.toml")
}

/// A folder with made-up records of two seeds in `runs`.
fn records() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    made_up::write_all(&folder.path().join("runs"), 2);
    folder
}

/// Runs `mr` with these words in a folder.
fn mr(folder: &Path, words: &str) -> Output {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_mr"))
        .current_dir(folder)
        .args(words.split_whitespace())
        .output()
        .unwrap()
}

/// Copies the findings beside the records, so that a command names them without a path.
fn with_findings(folder: &Path) {
    std::fs::copy(findings(), folder.join("findings.toml")).unwrap();
}

/// The exit code, and what was printed on stdout.
fn said(output: &Output) -> (i32, String) {
    let code = output.status.code().expect("mr was not killed");
    (code, String::from_utf8(output.stdout.clone()).unwrap())
}

/// The one line of an error, which ends a command with exit code 2.
fn refused(output: &Output) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty());
    error
}
