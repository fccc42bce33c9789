//! The rules, each as one small function from a file to what it complains of.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{files, source};
use crate::workspace;

const LONGEST: usize = 500;
const LONG_BECAUSE: &str = "// tidy: long because ";
const LARGEST: u64 = 2 * 1024 * 1024;
// Written in two halves, as this file is checked too.
const LEFTOVERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const MACHINE_PATHS: [&str; 6] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/mn", "t/"),
    concat!(r"C:\", "Users"),
];
const PANICS: [&str; 3] = [".unwrap()", "todo!", "unimplemented!"];

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    file: PathBuf,
    line: usize,
    says: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.says)
    }
}

/// Checks the repository and prints each complaint with its file and line.
pub(crate) fn run() -> Result<bool> {
    let root = workspace::root();
    let files = files::list(&root)?;
    let complaints = check(&root, &files)?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => println!("tidy: {} files are fine", files.len()),
        some => println!("tidy: {some} complaints"),
    }
    Ok(complaints.is_empty())
}

fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut say = |file: &Path, line, says| {
        complaints.push(Complaint {
            file: file.into(),
            line,
            says,
        });
    };
    for file in files {
        let path = root.join(file);
        let context = || format!("cannot read {}", file.display());
        let bytes = std::fs::metadata(&path).with_context(context)?.len();
        if bytes > LARGEST && !is_data(file) {
            say(
                file,
                1,
                format!("{bytes} bytes; only fixtures and data folders hold files over {LARGEST}"),
            );
        }
        if is_manifest(file) && !path.with_file_name("README.md").is_file() {
            say(file, 1, "the crate has no README.md".into());
        }
        if !is_text(file) || bytes > LARGEST {
            continue;
        }
        let text = std::fs::read(&path).with_context(context)?;
        let text = String::from_utf8_lossy(&text);
        for (line, says) in in_text(file, &text) {
            say(file, line, says);
        }
    }
    Ok(complaints)
}

fn in_text(file: &Path, text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let rust = has_extension(file, &["rs"]);
    let lines = text.lines().count();
    if rust && lines > LONGEST && !text.starts_with(LONG_BECAUSE) {
        found.push((
            LONGEST + 1,
            format!("{lines} lines; split the file, or open it with `{LONG_BECAUSE}...`"),
        ));
    }
    for (line, words) in (1..).zip(text.lines()) {
        if !has_extension(file, &["md"]) {
            let leftovers = LEFTOVERS.iter().filter(|word| has_word(words, word));
            found.extend(leftovers.map(|word| (line, format!("{word}: do it, or open an issue"))));
        }
        let paths = MACHINE_PATHS.iter().filter(|start| has_path(words, start));
        found.extend(paths.map(|start| (line, format!("a path of one machine: {start}..."))));
    }
    if rust && is_library_source(file) {
        for (line, words) in (1..).zip(source::code(text).lines()) {
            let panics = PANICS.iter().filter(|call| words.contains(*call));
            found.extend(panics.map(|call| {
                (
                    line,
                    format!(
                        "`{call}` outside tests; return an error, or expect(\"why it cannot fail\")"
                    ),
                )
            }));
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}

/// An absolute path that begins so: `a/home/b` and `host.org/home/b` do not.
fn has_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || "\"'`(=:<[,".contains(c))
    })
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension()
        .is_some_and(|found| extensions.iter().any(|one| found == *one))
}

fn is_text(file: &Path) -> bool {
    has_extension(
        file,
        &["rs", "toml", "md", "sh", "py", "json", "yml", "yaml"],
    ) || file.starts_with(".ci")
}

fn is_data(file: &Path) -> bool {
    file.starts_with("fixtures")
        || file
            .parent()
            .is_some_and(|folder| folder.iter().any(|part| part == "data"))
}

/// `crates/NAME/Cargo.toml`.
fn is_manifest(file: &Path) -> bool {
    file.starts_with("crates") && file.ends_with("Cargo.toml") && file.iter().count() == 3
}

/// `crates/NAME/src/**`, less modules that are tests as a whole.
fn is_library_source(file: &Path) -> bool {
    let mut parts = file.iter();
    parts.next().is_some_and(|part| part == "crates")
        && parts.nth(1).is_some_and(|part| part == "src")
        && !parts.any(|part| part == "tests" || part == "tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(file: &str, text: &str) -> Vec<usize> {
        in_text(Path::new(file), text)
            .into_iter()
            .map(|(line, _)| line)
            .collect()
    }

    #[test]
    fn long_files_must_say_why() {
        let long = "//\n".repeat(501);
        assert_eq!(complaints("tests/a.rs", &long), [501]);
        assert_eq!(complaints("tests/a.rs", &"//\n".repeat(500)), [0; 0]);
        assert_eq!(
            complaints("tests/a.rs", &format!("{LONG_BECAUSE}x\n{long}")),
            [0; 0]
        );
        assert_eq!(complaints("tests/a.md", &long), [0; 0]);
    }

    #[test]
    fn leftovers_are_found_as_words() {
        let line = format!("a\n// {}: b", LEFTOVERS[0]);
        assert_eq!(complaints("xtask/a.rs", &line), [2]);
        assert_eq!(
            complaints("xtask/a.rs", &format!("{}S", LEFTOVERS[0])),
            [0; 0]
        );
    }

    #[test]
    fn machine_paths_are_found_where_they_begin() {
        let home = MACHINE_PATHS[0];
        assert_eq!(complaints("a.md", &format!("see {home}x")), [1]);
        assert_eq!(complaints("a.toml", &format!("p = \"{home}x\"")), [1]);
        assert_eq!(
            complaints("a.md", &format!("https://host.org{home}x")),
            [0; 0]
        );
    }

    #[test]
    fn panics_are_allowed_in_tests_only() {
        let text = "fn a() { b.unwrap(); }\n//! c.unwrap()\n#[cfg(test)]\nmod t { fn d() { e.unwrap(); } }\nfn f() { todo!() }";
        assert_eq!(complaints("crates/mr-x/src/a.rs", text), [1, 5]);
        assert_eq!(complaints("crates/mr-x/src/a/tests.rs", text), [0; 0]);
        assert_eq!(complaints("crates/mr-x/tests/a.rs", text), [0; 0]);
        assert_eq!(complaints("xtask/src/a.rs", text), [0; 0]);
    }

    #[test]
    fn crates_have_readmes_and_large_files_lie_in_data_folders() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            "crates/mr-x/Cargo.toml",
            "big.bin",
            "fixtures/big.bin",
            "crates/mr-x/data/big.bin",
        ];
        for name in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let bytes = if name.ends_with("bin") {
                LARGEST as usize + 1
            } else {
                0
            };
            std::fs::write(path, vec![0; bytes]).unwrap();
        }
        let found = check(root.path(), &files.map(PathBuf::from)).unwrap();
        let places: Vec<String> = found
            .iter()
            .map(|one| one.file.display().to_string())
            .collect();
        assert_eq!(places, ["crates/mr-x/Cargo.toml", "big.bin"]);
        assert_eq!(
            found[0].to_string(),
            "crates/mr-x/Cargo.toml:1: the crate has no README.md"
        );
    }
}
