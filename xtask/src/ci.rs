//! `cargo xtask ci`: the checks of every change, as steps that can be chosen.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{tidy, workspace};

/// What `cargo xtask ci` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also run the parity suite on ndarray and wgpu
    #[arg(long)]
    parity: bool,
    /// Run only these steps
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEPS")]
    only: Vec<Step>,
    /// Leave these steps out
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEPS")]
    skip: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    Fmt,
    Clippy,
    Tests,
    Docs,
    Tidy,
    ParityNdarray,
    ParityWgpu,
}

impl Options {
    fn steps(&self) -> Vec<Step> {
        let parity = [Step::ParityNdarray, Step::ParityWgpu];
        let asked = |step: &Step| {
            if self.only.is_empty() {
                self.parity || !parity.contains(step)
            } else {
                self.only.contains(step) || (self.parity && parity.contains(step))
            }
        };
        Step::value_variants()
            .iter()
            .copied()
            .filter(|step| asked(step) && !self.skip.contains(step))
            .collect()
    }
}

/// Runs the chosen steps in order; false at the first that fails.
pub(crate) fn run(options: &Options) -> Result<bool> {
    for step in options.steps() {
        println!("\n== {step:?}");
        let start = Instant::now();
        if !step.run()? {
            println!("== {step:?} failed");
            return Ok(false);
        }
        println!(
            "== {step:?} passed in {:.0} s",
            start.elapsed().as_secs_f64()
        );
    }
    Ok(true)
}

impl Step {
    fn run(self) -> Result<bool> {
        let mut cargo = workspace::cargo();
        match self {
            Self::Fmt => cargo.args(["fmt", "--all", "--check"]),
            Self::Clippy => cargo.args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            Self::Tests => cargo.args(["test", "--workspace"]),
            Self::Docs => cargo
                .args(["doc", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings"),
            Self::Tidy => return tidy::run(),
            Self::ParityNdarray => return parity("ndarray"),
            Self::ParityWgpu => return parity("wgpu"),
        };
        workspace::step(&mut cargo)
    }
}

/// The parity suite on one more backend. Its nets are tiny, so the backend is built unoptimised,
/// and in a folder of its own: the other feature set would rebuild burn in `target`.
fn parity(device: &str) -> Result<bool> {
    let runtime = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "-p", "mech-robust", "--test", "parity"])
        .args(["--features", device])
        .args(["--target-dir", &format!("target-{device}")])
        .args(["--config", r#"profile.dev.package."*".opt-level=0"#])
        .env("MR_TEST_DEVICE", device);
    if device == "wgpu" {
        // Mesa's software Vulkan driver answers the same on any machine, with or without a GPU.
        if let Some(driver) = lavapipe(Path::new("/usr/share/vulkan/icd.d")) {
            cargo.env("VK_DRIVER_FILES", driver);
        }
        cargo.env("XDG_RUNTIME_DIR", runtime.path());
    }
    workspace::step(&mut cargo)
}

/// Lavapipe's driver file (`lvp_icd.json`, or with the architecture in its name), if installed.
fn lavapipe(folder: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("lvp_icd"))
        })
        .collect();
    files.sort();
    // Where a distribution installs 32-bit drivers too, ours is the one for this architecture.
    let native = files
        .iter()
        .position(|path| path.to_string_lossy().contains(std::env::consts::ARCH));
    files.into_iter().nth(native.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(parity: bool, only: &[Step], skip: &[Step]) -> Vec<Step> {
        Options {
            parity,
            only: only.to_vec(),
            skip: skip.to_vec(),
        }
        .steps()
    }

    #[test]
    fn parity_is_asked_for() {
        assert_eq!(steps(false, &[], &[]).len(), 5);
        assert_eq!(steps(true, &[], &[Step::Tests]).len(), 6);
        assert!(!steps(false, &[], &[]).contains(&Step::ParityWgpu));
    }

    #[test]
    fn only_names_the_steps_and_keeps_their_order() {
        let only = [Step::ParityWgpu, Step::Fmt];
        assert_eq!(steps(false, &only, &[]), [Step::Fmt, Step::ParityWgpu]);
    }

    #[test]
    fn lavapipe_prefers_this_architecture() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(lavapipe(folder.path()), None);
        let native = format!("lvp_icd.{}.json", std::env::consts::ARCH);
        for name in ["lvp_icd.a.json", native.as_str(), "radeon_icd.json"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(lavapipe(folder.path()), Some(folder.path().join(native)));
    }
}
