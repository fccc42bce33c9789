//! Running stages, a few at a time, as their needs are met.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::expand::Stage;
use super::folder::RunFolder;
use super::graph::Plan;
use super::stamp::{Stamps, State};
use crate::workspace::{quoted, shown};

/// How `mr` is run.
#[derive(Debug)]
pub(crate) struct Runner {
    /// The repository's root, where commands run.
    pub(crate) root: PathBuf,
    /// The `mr` binary.
    pub(crate) binary: PathBuf,
    /// Where the stages write.
    pub(crate) folder: RunFolder,
    /// Stages run at a time.
    pub(crate) jobs: usize,
    /// Threads of each stage.
    pub(crate) threads: usize,
}

/// How many stages did what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) fresh: usize,
    pub(crate) ran: usize,
    /// Names of the stages that failed.
    pub(crate) failed: Vec<String>,
    /// Names of the stages that need one that failed.
    pub(crate) blocked: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Running,
    Done,
    Failed,
}

impl Runner {
    /// The run folder as it is typed.
    pub(crate) fn out(&self) -> String {
        shown(&self.folder.path, &self.root)
    }

    /// A command of `mr` as it is typed at the root.
    pub(crate) fn line(&self, argv: &[String]) -> String {
        line(&shown(&self.binary, &self.root), argv)
    }

    /// `mr` with these arguments, ready to run.
    pub(crate) fn command(&self, argv: &[String]) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        command
            .args(argv)
            .current_dir(&self.root)
            .stdin(self.folder.stdin()?)
            .env("RAYON_NUM_THREADS", self.threads.to_string());
        Ok(command)
    }

    /// Runs every stage that is not fresh. A failure stops only what depends on it.
    pub(crate) fn execute(
        &self,
        plan: &Plan,
        fingerprints: &[String],
        states: &[State],
    ) -> Result<Tally> {
        let stamps = Stamps::of(&self.folder.path);
        let stale = states
            .iter()
            .filter(|&&state| state != State::Fresh)
            .count();
        let bar = bar(stale);
        let mut progress: Vec<Progress> = states
            .iter()
            .map(|&state| {
                if state == State::Fresh {
                    Progress::Done
                } else {
                    Progress::Waiting
                }
            })
            .collect();
        let mut tally = Tally {
            fresh: states.len() - stale,
            ..Tally::default()
        };
        let mut begun = 0;

        std::thread::scope(|scope| -> Result<()> {
            let (send, receive) = mpsc::channel();
            loop {
                for place in ready(plan, &progress, self.jobs) {
                    let (stage, fingerprint) = (&plan.stages[place], fingerprints[place].as_str());
                    let state = states[place];
                    begun += 1;
                    bar.suspend(|| {
                        println!("[{begun}/{stale}] {} ({state})", stage.name);
                        println!("  $ {}", self.line(&stage.argv(&self.out())));
                    });
                    progress[place] = Progress::Running;
                    let (send, stamps) = (send.clone(), &stamps);
                    scope.spawn(move || {
                        let start = Instant::now();
                        let result = self.stage(stamps, stage, fingerprint, state);
                        // The receiver lives until every stage has answered.
                        let _ = send.send((place, result, start.elapsed()));
                    });
                }
                bar.set_message(running(plan, &progress));
                if !progress.contains(&Progress::Running) {
                    return Ok(());
                }
                let (place, result, time) = receive.recv().context("a stage's thread broke off")?;
                bar.inc(1);
                let name = &plan.stages[place].name;
                match result {
                    Ok(()) => {
                        tally.ran += 1;
                        progress[place] = Progress::Done;
                        bar.suspend(|| println!("done {name} in {}", duration(time)));
                    }
                    Err(error) => {
                        tally.failed.push(name.clone());
                        progress[place] = Progress::Failed;
                        bar.suspend(|| {
                            eprintln!("FAILED {name} after {}: {error:#}", duration(time));
                        });
                    }
                }
            }
        })?;
        bar.finish_and_clear();
        tally.blocked = (0..plan.stages.len())
            .filter(|&place| progress[place] == Progress::Waiting)
            .map(|place| plan.stages[place].name.clone())
            .collect();
        Ok(tally)
    }

    /// Runs one stage and stamps it.
    fn stage(&self, stamps: &Stamps, stage: &Stage, fingerprint: &str, state: State) -> Result<()> {
        stamps.start(stage, fingerprint, state)?;
        let argv = stage.argv(&self.out());
        let path = self.folder.log(&stage.name);
        let start = Instant::now();
        let status = self.logged(&argv, &path, state == State::Resume)?;
        if !status.success() {
            return Err(self.failure(status, &argv, &path));
        }
        let mut command = vec![shown(&self.binary, &self.root)];
        command.extend(argv);
        stamps.finish(stage, fingerprint, &command, start.elapsed().as_secs_f64())
    }

    /// Runs `mr` with everything it says going to a log.
    fn logged(&self, argv: &[String], path: &Path, append: bool) -> Result<ExitStatus> {
        let mut log = File::options()
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(log, "$ {}", self.line(argv))?;
        let errors = log.try_clone()?;
        self.command(argv)?
            .stdout(log)
            .stderr(errors)
            .status()
            .with_context(|| format!("cannot start {}", self.binary.display()))
    }

    /// Runs `mr` with its errors going to a log, and returns what it printed.
    pub(crate) fn captured(&self, name: &str, argv: &[String]) -> Result<(ExitStatus, String)> {
        let path = self.folder.log(name);
        let mut log =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(log, "$ {}", self.line(argv))?;
        let output = self
            .command(argv)?
            .stdout(std::process::Stdio::piped())
            .stderr(log.try_clone()?)
            .output()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        log.write_all(&output.stdout)?;
        Ok((
            output.status,
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ))
    }

    /// An error that shows the command and the end of its log.
    pub(crate) fn failure(&self, status: ExitStatus, argv: &[String], log: &Path) -> anyhow::Error {
        let text = std::fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n    ");
        anyhow::anyhow!(
            "{status}\n  command: {}\n  the end of {}:\n    {tail}",
            self.line(argv),
            shown(log, &self.root)
        )
    }
}

/// A command of `mr` as it is typed.
pub(crate) fn line(binary: &str, argv: &[String]) -> String {
    let words = std::iter::once(quoted(binary)).chain(argv.iter().map(|word| quoted(word)));
    words.collect::<Vec<_>>().join(" ")
}

/// The stages to start now: in order, needs met, and no more than fit.
fn ready(plan: &Plan, progress: &[Progress], jobs: usize) -> Vec<usize> {
    let busy = progress
        .iter()
        .filter(|&&one| one == Progress::Running)
        .count();
    (0..plan.stages.len())
        .filter(|&place| progress[place] == Progress::Waiting)
        .filter(|&place| {
            plan.needs[place]
                .iter()
                .all(|&need| progress[need] == Progress::Done)
        })
        .take(jobs.saturating_sub(busy))
        .collect()
}

fn running(plan: &Plan, progress: &[Progress]) -> String {
    let names = plan.stages.iter().zip(progress);
    let names = names.filter(|(_, one)| **one == Progress::Running);
    names
        .map(|(stage, _)| stage.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn bar(stages: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(stages as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// A length of time as people say it.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, needs: &[&str]) -> Stage {
        Stage {
            name: name.into(),
            arguments: Vec::new(),
            inputs: Vec::new(),
            needs: needs.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn stages_start_when_their_needs_are_done_and_there_is_room() {
        use Progress::{Done, Failed, Running, Waiting};
        let plan = Plan::new(vec![
            stage("a", &[]),
            stage("b", &[]),
            stage("c", &[]),
            stage("d", &["a"]),
        ])
        .unwrap();
        assert_eq!(ready(&plan, &[Waiting; 4], 2), [0, 1]);
        assert_eq!(ready(&plan, &[Running, Waiting, Waiting, Waiting], 2), [1]);
        assert_eq!(ready(&plan, &[Done, Running, Done, Waiting], 2), [3]);
        assert_eq!(ready(&plan, &[Failed, Done, Done, Waiting], 2), [0; 0]);
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(Duration::from_millis(1540)), "1.5 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
    }
}
