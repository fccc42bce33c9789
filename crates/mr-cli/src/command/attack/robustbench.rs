//! A result as the leaderboard's model information (Croce et al. 2021, `RobustBench`).

use std::path::Path;

use anyhow::{Context, Result};
use mr_attacks::{Evaluation, ThreatModel};
use mr_models::write_atomic;
use serde_json::{Value, json};

use crate::opened::Opened;

/// Writes the entry. What only its authors know of a model is left empty.
pub(super) fn write(
    path: &Path,
    opened: &Opened,
    threat: &ThreatModel,
    found: &Evaluation,
) -> Result<()> {
    let text = serde_json::to_vec_pretty(&entry(opened, threat, found))?;
    write_atomic(path, &text)
        .with_context(|| format!("--robustbench {}: cannot write there", path.display()))
}

fn entry(opened: &Opened, threat: &ThreatModel, found: &Evaluation) -> Value {
    let percent = |share: f64| format!("{:.2}", 100.0 * share);
    let robust = percent(found.robust_accuracy());
    json!({
        "link": "",
        "name": opened.subject.path,
        "authors": "",
        "venue": "",
        "dataset": opened.data.name(),
        "architecture": opened.subject.model().spec().name,
        "eps": format!("{}", threat.epsilon),
        "clean_acc": percent(found.clean_accuracy()),
        "reported": robust,
        "autoattack_acc": robust,
        "external": Value::Null,
        "unreliable": false,
        "footnote": Value::Null,
        "additional_data": false,
        "number_forward_passes": 1,
        "corruptions_acc": Value::Null,
    })
}
