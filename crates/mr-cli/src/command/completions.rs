//! `mr completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::console::{Console, Outcome};

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr completions bash > ~/.local/share/bash-completion/completions/mr
  mr completions zsh > ~/.zfunc/_mr
  mr completions fish > ~/.config/fish/completions/mr.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut crate::Cli::command(),
        "mr",
        &mut script,
    );
    console.out(&String::from_utf8_lossy(&script));
    Outcome::Done
}
