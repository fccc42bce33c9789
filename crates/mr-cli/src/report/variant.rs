//! Names for the runs of a study: what network each is about, and what sets it apart from the others.

use std::collections::BTreeMap;

use mr_metrics::ExperimentRecord;
use mr_models::Architecture;
use serde_json::Value;

use super::configuration::{Leaves, leaves, varied};
use super::table::shown;

/// Settings that differ by seed: where training stopped, and the name of the network's own run.
const STEP: &str = "trained.step";
const NAME: &str = "trained.name";

/// What one run is called among others of its kind. Runs that differ in nothing but their seed share
/// both names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Variant {
    /// The network and its data: `MLP, hidden = [32]`.
    pub(super) model: String,
    /// How it was trained, and whatever else tells runs of this network apart.
    pub(super) line: String,
}

/// A name for each of these runs, in their order.
pub(super) fn variants(records: &[&ExperimentRecord]) -> Vec<Variant> {
    let settings: Vec<Leaves> = records.iter().map(|record| told(record)).collect();
    // Networks of another architecture have other settings, which would all count as different.
    let mut of_architecture: BTreeMap<Option<&str>, Vec<Leaves>> = BTreeMap::new();
    for leaves in &settings {
        let name = architecture(leaves).map(|(_, name)| name);
        of_architecture
            .entry(name)
            .or_default()
            .push(leaves.clone());
    }
    let mut differing: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
    for (name, group) in &of_architecture {
        let paths = varied(group).into_iter().map(|(path, _)| path);
        differing.insert(*name, paths.collect());
    }
    let mut named: Vec<(String, String)> = settings
        .iter()
        .map(|leaves| {
            let name = architecture(leaves).map(|(_, name)| name);
            (model(leaves, &differing[&name]), training(leaves))
        })
        .collect();
    // Whatever else differs counts only among runs that would otherwise have the same names: it
    // often follows from what was named already, as the attack does from adversarial training.
    let mut alike: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (index, names) in named.iter().enumerate() {
        alike.entry(names.clone()).or_default().push(index);
    }
    for members in alike.values() {
        let group: Vec<Leaves> = members.iter().map(|&m| settings[m].clone()).collect();
        for (path, _) in varied(&group) {
            for &member in members {
                let value = settings[member].get(&path);
                let value = value.map_or_else(|| "not set".into(), shown);
                let line = &mut named[member].1;
                let comma = if line.is_empty() { "" } else { ", " };
                *line = format!("{line}{comma}{} = {value}", last(&path));
            }
        }
    }
    named
        .into_iter()
        .map(|(model, line)| Variant { model, line })
        .collect()
}

/// Whether a run is about a network on images; the toys of superposition and parity are not.
pub(super) fn is_of_images(record: &ExperimentRecord) -> bool {
    let leaves = leaves(&record.config);
    let architecture = architecture(&leaves).map(|(_, name)| name);
    architecture.is_some_and(|name| name != "toy")
        && !leaves.values().any(|value| {
            value
                .as_str()
                .is_some_and(|text| text.starts_with("sparse-"))
        })
}

/// The settings that can tell runs apart: no seeds, which runs are averaged over, and no files, which
/// are named after them.
fn told(record: &ExperimentRecord) -> Leaves {
    leaves(&record.config)
        .into_iter()
        .filter(|(path, value)| {
            let file = value
                .as_str()
                .is_some_and(|text| text.contains('/') || text.ends_with(".safetensors"));
            // Where training stopped and what a run is called differ by seed as well.
            let follows = last(path) == "seed" || matches!(path.as_str(), STEP | NAME);
            !follows && !file
        })
        .collect()
}

/// The path of the table that holds a network's architecture, with a dot behind it, and its type.
fn architecture(leaves: &Leaves) -> Option<(&str, &str)> {
    leaves.iter().find_map(|(path, value)| {
        let name = value.as_str()?;
        let prefix = path.strip_suffix("type")?;
        let known = Architecture::NAMES.contains(&name);
        (known && (prefix.is_empty() || prefix.ends_with('.'))).then_some((prefix, name))
    })
}

fn model(leaves: &Leaves, varied: &[String]) -> String {
    let Some((prefix, name)) = architecture(leaves) else {
        return "network".into();
    };
    let mut parts = vec![
        match name {
            "mlp" => "MLP",
            "convnet" => "ConvNet",
            "resnet" => "ResNet",
            other => other,
        }
        .to_owned(),
    ];
    for (path, value) in leaves {
        let of_model = path
            .strip_prefix(prefix)
            .is_some_and(|rest| !prefix.is_empty() && rest != "type");
        let of_data = path.split('.').any(|part| part == "data");
        if (of_model || of_data) && varied.contains(path) {
            parts.push(format!("{} = {}", last(path), shown(value)));
        }
    }
    parts.join(", ")
}

/// `standard`, `adversarial (Linf, ε = 0.1)`, or the name of another loss.
fn training(leaves: &Leaves) -> String {
    let found = leaves.iter().find_map(|(path, value)| {
        let prefix = path.strip_suffix("type")?;
        let of_loss = prefix == "loss." || prefix.ends_with(".loss.");
        Some((prefix, value.as_str()?)).filter(|_| of_loss)
    });
    let Some((prefix, name)) = found else {
        return String::new();
    };
    if name == "cross-entropy" {
        return "standard".into();
    }
    let setting = |key: &str| leaves.get(&format!("{prefix}threat.{key}"));
    match (setting("norm"), setting("epsilon")) {
        (Some(Value::String(norm)), Some(epsilon)) => {
            format!("{name} ({norm}, ε = {})", shown(epsilon))
        }
        _ => name.to_owned(),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use mr_metrics::{ExperimentRecord, RecordKind};
    use serde_json::{Value, json};

    use super::{Variant, is_of_images, variants};

    fn record(config: Value) -> ExperimentRecord {
        ExperimentRecord::new(RecordKind::Attack, "run", config, 0, "flex")
    }

    fn net(hidden: usize, loss: Value, seed: usize, momentum: f64) -> ExperimentRecord {
        record(json!({
            "weights": format!("runs/{seed}/model.safetensors"),
            "model": {"type": "mlp", "hidden": [hidden]},
            "train": {"loss": loss, "seed": seed, "momentum": momentum},
        }))
    }

    #[test]
    fn runs_are_named_by_what_sets_them_apart() {
        let robust = json!({"type": "adversarial", "threat": {"norm": "Linf", "epsilon": 0.1}});
        let standard = json!({"type": "cross-entropy"});
        let all = [
            net(8, standard.clone(), 0, 0.9),
            net(8, standard.clone(), 1, 0.9),
            net(8, robust.clone(), 0, 0.9),
            net(32, robust.clone(), 0, 0.9),
            net(32, robust, 0, 0.5),
        ];
        let named = variants(&all.iter().collect::<Vec<_>>());
        let variant = |model: &str, line: &str| Variant {
            model: model.into(),
            line: line.into(),
        };
        assert_eq!(named[0], variant("MLP, hidden = [8]", "standard"));
        assert_eq!(named[1], named[0]);
        assert_eq!(named[2].line, "adversarial (Linf, ε = 0.1)");
        assert_eq!(named[3].line, "adversarial (Linf, ε = 0.1), momentum = 0.9");
        assert_eq!(named[4].line, "adversarial (Linf, ε = 0.1), momentum = 0.5");
        assert_eq!(named[4].model, "MLP, hidden = [32]");
        // A network of another architecture adds nothing to the names of these.
        let other = record(json!({"model": {"type": "convnet", "widths": [4]}}));
        let all: Vec<&ExperimentRecord> = all.iter().chain([&other]).collect();
        let both = variants(&all);
        assert_eq!(both[..5], named);
        assert_eq!(both[5], variant("ConvNet", ""));
        assert_eq!(variants(&[]), []);
        assert_eq!(variants(&[&record(Value::Null)])[0], variant("network", ""));
    }

    #[test]
    fn toys_are_not_of_images() {
        assert!(is_of_images(&net(8, json!({}), 0, 0.9)));
        assert!(!is_of_images(&record(json!({"model": {"type": "toy"}}))));
        assert!(!is_of_images(&record(json!({
            "model": {"type": "mlp"}, "data": {"name": "sparse-parity"}
        }))));
        assert!(!is_of_images(&record(Value::Null)));
    }
}
