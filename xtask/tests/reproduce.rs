//! `cargo xtask reproduce` from end to end, with a shell script in the place of `mr`.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PIPELINE: &str = r#"
title = "Toy"
[profiles.quick]
seeds = [0, 1]
[profiles.full]
seeds = [0, 1, 2]
[[stage]]
name = "train-{seed}"
run = ["train", "--config", "toy.toml", "--seed", "{seed}", "--out", "{out}/train-{seed}"]
matrix = { seed = "seeds" }
[[stage]]
name = "measure-{seed}"
run = ["measure", "--model", "{out}/train-{seed}", "--out", "{out}/measure-{seed}"]
matrix = { seed = "seeds" }
needs = ["train-{seed}"]
[[stage]]
name = "summary"
run = ["eval", "--out", "{out}/summary"]
needs = ["measure-*"]
[verify]
findings = "findings.toml"
"#;

struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        lab.write("pipe/pipeline.toml", PIPELINE);
        lab.write("pipe/toy.toml", "steps = 1");
        lab.write("pipe/findings.toml", "");
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-mr.sh");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .arg("reproduce")
            .arg(self.path("pipe"))
            .arg("--out")
            .arg(self.path("run"))
            .args(arguments)
            .env("MR_BIN", script)
            .env("FAKE", self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output().unwrap();
        let text = [stdout, stderr].concat();
        (status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// The commands that the script was given since last asked, without their arguments.
    fn calls(&self) -> Vec<String> {
        let path = self.path("calls");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        text.lines()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }
}

/// Waits for something that another process does.
fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const ENDS: [&str; 2] = ["verify", "report"];

#[test]
fn runs_in_order_and_then_is_fresh() {
    let lab = Lab::new();
    let (code, said) = lab.run(&["--jobs", "1"]);
    assert_eq!(code, 0, "{said}");
    let all = [
        "train", "train", "measure", "measure", "eval", "verify", "report",
    ];
    assert_eq!(lab.calls(), all);
    assert!(said.contains("toy: replicated"), "{said}");
    assert!(said.contains("run/report.html"), "{said}");
    assert!(said.contains("train --config"), "{said}");
    let log = std::fs::read_to_string(lab.path("run/logs/train-0.log")).unwrap();
    assert!(log.starts_with("$ ") && log.contains("threads "), "{log}");
    assert!(lab.path("run/.stamps/summary.json").is_file());

    let (code, said) = lab.run(&[]);
    assert_eq!(
        (code, lab.calls()),
        (0, ENDS.map(String::from).to_vec()),
        "{said}"
    );
    assert!(said.contains("0 ran, 5 fresh"), "{said}");
}

#[test]
fn what_changed_runs_again_from_its_start() {
    let lab = Lab::new();
    lab.run(&[]);
    lab.calls();
    // A new seed adds its own stages and whatever needs them.
    lab.run(&["--full", "--jobs", "1"]);
    assert_eq!(
        lab.calls(),
        ["train", "measure", "eval", "verify", "report"]
    );
    lab.write("pipe/toy.toml", "steps = 2");
    lab.run(&["--full"]);
    assert_eq!(lab.calls().len(), 7 + ENDS.len());
    assert!(!lab.path("run/train-0/resumed").exists());
    // Lost output is made again; what needs it is the same as before.
    std::fs::remove_dir_all(lab.path("run/train-1")).unwrap();
    lab.run(&["--full"]);
    assert_eq!(lab.calls(), ["train", "verify", "report"]);
    lab.run(&["--full", "--force"]);
    assert_eq!(lab.calls().len(), 7 + ENDS.len());
    assert!(!lab.path("run/train-0/resumed").exists());
}

#[test]
fn a_failure_stops_what_depends_on_it_only() {
    let lab = Lab::new();
    lab.write("fail-measure", "");
    let (code, said) = lab.run(&[]);
    assert_eq!(code, 1);
    let mut calls = lab.calls();
    calls.sort();
    assert_eq!(calls, ["measure", "measure", "train", "train"]);
    assert!(said.contains("no such data set"), "{said}");
    assert!(
        said.contains("2 ran, 0 fresh, 2 failed, 1 not started"),
        "{said}"
    );
    assert!(said.contains("command: "), "{said}");

    std::fs::remove_file(lab.path("fail-measure")).unwrap();
    assert_eq!(lab.run(&["--jobs", "1"]).0, 0);
    assert_eq!(
        lab.calls(),
        ["measure", "measure", "eval", "verify", "report"]
    );
}

#[test]
fn a_killed_run_resumes() {
    let lab = Lab::new();
    lab.write("hang", "");
    let mut killed = lab
        .command(&["--jobs", "1"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| lab.path("run/train-0/half").exists());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!lab.path("run/.stamps/train-0.json").exists());

    // The stage that the killed run left is still there: the next run waits for it to end.
    let mut second = lab
        .command(&["--jobs", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(second.try_wait().unwrap().is_none());
    std::fs::remove_file(lab.path("hang")).unwrap();
    let output = second.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("waiting: "), "{said}");
    assert!(lab.path("run/train-0/resumed").exists());
    assert!(!lab.path("run/train-1/resumed").exists());
    assert!(lab.path("run/.stamps/train-0.json").exists());
}

#[test]
fn a_finding_that_fails_is_a_result() {
    let lab = Lab::new();
    lab.write("fail-verify", "1");
    let (code, said) = lab.run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("NOT EVERY FINDING WAS REPLICATED"), "{said}");
    lab.write("fail-verify", "2");
    assert_eq!(lab.run(&[]).0, 1);
}

#[test]
fn a_dry_run_touches_nothing() {
    let lab = Lab::new();
    let (code, said) = lab.run(&["--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        said.contains("measure-1 (new)") && said.contains("needs train-1"),
        "{said}"
    );
    assert!(lab.calls().is_empty() && !lab.path("run").exists());
}

#[test]
fn bad_input_names_the_culprit_and_exits_2() {
    let lab = Lab::new();
    lab.write(
        "pipe/pipeline.toml",
        &PIPELINE.replace("measure-*", "measure-9"),
    );
    let (code, said) = lab.run(&[]);
    assert_eq!(code, 2);
    assert!(said.contains("stage `summary` needs `measure-9`"), "{said}");
    assert_eq!(lab.run(&["--jobs", "0"]).0, 2);
    assert_eq!(lab.run(&["--quick", "--full"]).0, 2);
}
