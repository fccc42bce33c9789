//! Building and finding the `mr` binary.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;

/// Names a ready `mr` binary, which is then used as it is.
const OVERRIDE: &str = "MR_BIN";

/// Builds `mr` and says where it lies.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(OVERRIDE) {
        return std::path::absolute(path).context("MR_BIN is empty");
    }
    let mut cargo = workspace::cargo();
    // There is no example to build: the flag brings in development dependencies, and with them the
    // features under which the tests build burn too (see xtask/unify).
    cargo.args(["build", "-p", "mr-cli", "--bin", "mr", "--examples"]);
    if release {
        cargo.arg("--release");
    }
    println!(
        "$ cargo build -p mr-cli --bin mr --examples{}",
        if release { " --release" } else { "" }
    );
    // Cargo itself knows best where its target folder is.
    let built = cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !built.status.success() {
        bail!("`mr` does not build");
    }
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .find_map(executable)
        .context("cargo built `mr` without saying where it is")
}

/// The path of `mr` in one of cargo's messages.
fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["target"]["name"] != "mr" {
        return None;
    }
    message["executable"].as_str().map(PathBuf::from)
}

/// Where `mr` is, or would be, without building it.
pub(crate) fn expected(release: bool) -> PathBuf {
    if let Some(path) = std::env::var_os(OVERRIDE) {
        return path.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace::root().join("target"), PathBuf::from);
    target
        .join(if release { "release" } else { "debug" })
        .join(format!("mr{}", std::env::consts::EXE_SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_cargos_messages() {
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"mr_models"},"executable":null}"#;
        let binary =
            r#"{"reason":"compiler-artifact","target":{"name":"mr"},"executable":"/t/debug/mr"}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(binary), Some(PathBuf::from("/t/debug/mr")));
        assert_eq!(executable("Compiling"), None);
    }
}
