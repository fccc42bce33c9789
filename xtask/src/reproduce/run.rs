//! The whole of `cargo xtask reproduce`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::execute::{Runner, Tally, duration, line};
use super::finish::{self, Finish};
use super::folder::RunFolder;
use super::graph::Plan;
use super::pipeline::{self, Pipeline};
use super::stamp::{Stamps, State, fingerprints, hash_file};
use super::{binary, expand};
use crate::workspace::{self, shown};

/// What `cargo xtask reproduce` is told.
#[derive(Debug)]
pub(crate) struct Options {
    /// A pipeline's name, or the path of its folder.
    pub(crate) name: String,
    /// `quick` or `full`.
    pub(crate) profile: &'static str,
    /// Stages run at a time.
    pub(crate) jobs: Option<usize>,
    /// The run folder.
    pub(crate) out: Option<PathBuf>,
    /// Only show the plan.
    pub(crate) dry_run: bool,
    /// Run every stage from its start.
    pub(crate) force: bool,
    /// Build `mr` with the release profile.
    pub(crate) release: bool,
}

/// Plans and runs a pipeline; true if every stage, `mr verify` and `mr report` ran.
pub(crate) fn run(options: Options) -> Result<bool> {
    let root = workspace::root();
    let folder = pipeline::locate(&options.name, &root)?;
    let pipeline = Pipeline::read(&folder)?;
    let label = format!("{}-{}", folder_name(&folder), options.profile);
    let out = match &options.out {
        Some(path) => std::path::absolute(path).context("--out is empty")?,
        None => root.join("runs").join(label),
    };
    let inside = || format!("in {}", folder.join("pipeline.toml").display());
    let stages = expand::expand(&pipeline, options.profile, &folder, &root).with_context(inside)?;
    let plan = Plan::new(stages).with_context(inside)?;
    let finish = pipeline
        .verify
        .as_ref()
        .map(|verify| {
            let variables = pipeline.variables(options.profile)?;
            let out = shown(&out, &root);
            finish::plan(&pipeline.title, verify, variables, &folder, &root, &out)
        })
        .transpose()
        .with_context(inside)?;

    println!(
        "{} ({}): {} stages",
        pipeline.title,
        options.profile,
        plan.stages.len()
    );
    if options.dry_run {
        return show(&options, &plan, finish.as_ref(), &root, &out);
    }
    let binary = binary::build(options.release)?;
    let fingerprints = fingerprints(&plan, &hash_file(&binary)?)?;
    let run_folder = RunFolder::open(&out)?;
    let stamps = Stamps::of(&out);
    if options.force {
        plan.stages
            .iter()
            .try_for_each(|stage| stamps.forget(stage))?;
    }
    let states = states(&plan, &stamps, &fingerprints);
    let stale = states
        .iter()
        .filter(|&&state| state != State::Fresh)
        .count();
    let cores = cores();
    let jobs = options.jobs.unwrap_or(cores);
    let runner = Runner {
        root,
        binary,
        folder: run_folder,
        jobs,
        // With fewer stages than jobs, each gets a larger share of the cores.
        threads: (cores / jobs.min(stale.max(1))).max(1),
    };
    println!(
        "run folder {}; {} fresh, {stale} to run, {jobs} at a time on RAYON_NUM_THREADS={}; \
         commands run from the repository's root",
        runner.out(),
        states.len() - stale,
        runner.threads
    );
    let start = Instant::now();
    let tally = runner.execute(&plan, &fingerprints, &states)?;
    summarise(&tally, start);
    if !tally.failed.is_empty() {
        return Ok(false);
    }
    finish.map_or(Ok(true), |finish| finish::run(&runner, &finish))
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().map_or_else(
        || "pipeline".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn states(plan: &Plan, stamps: &Stamps, fingerprints: &[String]) -> Vec<State> {
    let stages = plan.stages.iter().zip(fingerprints);
    stages
        .map(|(stage, fingerprint)| stamps.state(stage, fingerprint))
        .collect()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Prints the plan. Freshness is judged by the `mr` that was built last, if there is one.
fn show(
    options: &Options,
    plan: &Plan,
    finish: Option<&Finish>,
    root: &Path,
    out: &Path,
) -> Result<bool> {
    let binary = binary::expected(options.release);
    let states = if options.force || !binary.is_file() {
        vec![State::New; plan.stages.len()]
    } else {
        let fingerprints = fingerprints(plan, &hash_file(&binary)?)?;
        states(plan, &Stamps::of(out), &fingerprints)
    };
    let mr = shown(&binary, root);
    let out = shown(out, root);
    for ((stage, needs), state) in plan.stages.iter().zip(&plan.needs).zip(states) {
        println!("{} ({state})", stage.name);
        if !needs.is_empty() {
            let names: Vec<&str> = needs
                .iter()
                .map(|&need| plan.stages[need].name.as_str())
                .collect();
            println!("  needs {}", names.join(", "));
        }
        println!("  $ {}", line(&mr, &stage.argv(&out)));
    }
    if let Some(finish) = finish {
        println!(
            "$ {}\n$ {}",
            line(&mr, &finish.verify),
            line(&mr, &finish.report)
        );
    }
    Ok(true)
}

fn summarise(tally: &Tally, start: Instant) {
    println!(
        "{} ran, {} fresh, {} failed, {} not started, in {}",
        tally.ran,
        tally.fresh,
        tally.failed.len(),
        tally.blocked.len(),
        duration(start.elapsed())
    );
    if !tally.failed.is_empty() {
        eprintln!("failed: {}", tally.failed.join(", "));
    }
    if !tally.blocked.is_empty() {
        eprintln!(
            "not started, as they need one that failed: {}",
            tally.blocked.join(", ")
        );
    }
}
