//! Workspace tasks: `cargo xtask reproduce | ci | tidy | bench`.
//!
//! xtask knows no science. It plans pipelines of `mr` stages, runs the stale ones a few at a time,
//! and runs the checks that every change must pass. Exit codes are those of `mr`: 0 all ran,
//! 1 something failed, 2 bad usage or input.

mod ci;
mod reproduce;
mod tidy;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Tasks of the mech-robust workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run an experiment from its pipeline to its report
    ///
    /// Plans the stages of xtask/pipelines/NAME/pipeline.toml, builds `mr`, runs a few stages at a
    /// time, and ends in `mr verify` and `mr report`. A stage whose command, input files, needed
    /// stages and `mr` binary are unchanged since it last succeeded is fresh and skipped; a stage
    /// that was killed runs again and resumes. Every command is printed so that it can be pasted.
    #[command(after_help = "Examples:
  cargo xtask reproduce                               the superposition experiment, quick profile
  cargo xtask reproduce superposition --full          all seeds and settings
  cargo xtask reproduce superposition --dry-run       show the stages and their commands
  cargo xtask reproduce path/to/folder --out runs/a   a pipeline outside xtask/pipelines")]
    Reproduce(Reproduce),
    /// Run the checks that every change must pass, stopping at the first that fails
    ///
    /// Steps: fmt, clippy, tests (with doctests), docs and tidy; with --parity also the
    /// parity suite on ndarray and on wgpu, built unoptimised in target-ndarray and target-wgpu.
    #[command(after_help = "Examples:
  cargo xtask ci                            every step but parity
  cargo xtask ci --parity                   with the parity suites (a second and third build of burn)
  cargo xtask ci --skip tests               leave steps out
  cargo xtask ci --only fmt,clippy          only these steps")]
    Ci(ci::Options),
    /// Check what the compiler does not: file lengths, leftovers, machine paths, READMEs, large files
    #[command(after_help = "A source file may exceed 500 lines if its first line is
  // tidy: long because <reason>")]
    Tidy,
    /// Run the criterion benches; arguments go to `cargo bench -p mech-robust`
    #[command(after_help = "Examples:
  cargo xtask bench
  cargo xtask bench --bench attacks -- pgd")]
    Bench {
        /// Passed on to `cargo bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct Reproduce {
    /// A folder of xtask/pipelines, or the path of a folder that holds a pipeline.toml
    #[arg(default_value = "superposition")]
    name: String,
    /// Few seeds and short training (the default)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// All seeds and settings
    #[arg(long)]
    full: bool,
    /// Stages run at a time [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = positive)]
    jobs: Option<usize>,
    /// Run folder [default: runs/NAME-PROFILE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show the stages and their commands; build and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Run every stage again from its start, fresh or not
    #[arg(long)]
    force: bool,
    /// Build `mr` with the release profile
    #[arg(long)]
    release: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is not a whole number of at least 1")),
        Ok(number) => Ok(number),
    }
}

impl Reproduce {
    fn options(self) -> reproduce::Options {
        reproduce::Options {
            name: self.name,
            profile: if self.full { "full" } else { "quick" },
            jobs: self.jobs,
            out: self.out,
            dry_run: self.dry_run,
            force: self.force,
            release: self.release,
        }
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Reproduce(arguments) => reproduce::run(arguments.options()),
        Task::Ci(options) => ci::run(&options),
        Task::Tidy => tidy::run(),
        Task::Bench { arguments } => workspace::step(
            workspace::cargo()
                .args(["bench", "-p", "mech-robust"])
                .args(arguments),
        ),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
