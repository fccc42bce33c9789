//! The repository's root, the cargo that started us, and printing commands as one would type them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    // At run time first, so that a checkout may be moved together with its target folder.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or_else(|| xtask.clone(), PathBuf::from)
}

/// A path as typed from the repository's root: relative inside it, absolute outside.
pub(crate) fn shown(path: &Path, root: &Path) -> String {
    let short = path.strip_prefix(root).unwrap_or(path);
    let text = short.display().to_string();
    if text.is_empty() { ".".into() } else { text }
}

/// A cargo command at the root, without the variables that `cargo run` set for xtask itself:
/// build scripts that watch them would run again.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Prints a command, runs it with our own output, and says whether it succeeded.
pub(crate) fn step(command: &mut Command) -> Result<bool> {
    println!("$ {}", typed(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    Ok(status.success())
}

/// A command as one would type it in a shell, with the variables it sets.
fn typed(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value)))
    });
    let program = Path::new(command.get_program())
        .file_stem()
        .unwrap_or_else(|| OsStr::new("?"));
    let words = std::iter::once(program)
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()));
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

/// A word quoted for a POSIX shell, where it needs to be.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quoted("data.density=0.05"), "data.density=0.05");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn paths_are_short_inside_the_root() {
        let root = Path::new("/r");
        assert_eq!(shown(Path::new("/r/runs/a"), root), "runs/a");
        assert_eq!(shown(Path::new("/s/a"), root), "/s/a");
        assert_eq!(shown(root, root), ".");
    }

    #[test]
    fn typed_commands_carry_their_variables() {
        let mut command = Command::new("/opt/bin/cargo");
        command
            .args(["doc", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            typed(&command),
            "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps"
        );
    }
}
