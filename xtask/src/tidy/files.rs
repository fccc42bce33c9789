//! The repository's own files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Files that git tracks or would track, relative to the root; where git cannot say (an exported
/// archive), all files outside hidden and build folders.
pub(crate) fn list(root: &Path) -> Result<Vec<PathBuf>> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output();
    let mut files = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            // A file removed but not yet committed is still listed.
            .filter(|path| root.join(path).is_file())
            .collect(),
        _ => {
            let mut found = Vec::new();
            walk(root, Path::new(""), &mut found)?;
            found
        }
    };
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let path = root.join(folder);
    let context = || format!("cannot read {}", path.display());
    for entry in std::fs::read_dir(&path).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name();
        let inside = folder.join(&name);
        let text = name.to_string_lossy();
        let kind = entry.file_type().with_context(context)?;
        let ours =
            !matches!(text.as_ref(), ".git" | "runs" | "target") && !text.starts_with("target-");
        if kind.is_dir() && ours {
            walk(root, &inside, found)?;
        } else if kind.is_file() {
            found.push(inside);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_walked_without_build_folders() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "crates/a/src/lib.rs",
            "target-wgpu/x.rs",
            "runs/r/log",
            ".ci/run",
        ] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut found = Vec::new();
        walk(root.path(), Path::new(""), &mut found).unwrap();
        found.sort();
        let names: Vec<_> = found.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, [".ci/run", "crates/a/src/lib.rs"]);
    }
}
