//! The configuration behind several records: what they share, and in what they differ.

use std::collections::BTreeMap;

use maud::{Markup, html};
use mr_metrics::ExperimentRecord;
use serde_json::{Map, Value};

use super::table::shown;

/// Values by dotted path. An empty table and a list are values, as is everything that is no table.
pub(super) type Leaves = BTreeMap<String, Value>;

/// The leaves of a configuration.
pub(super) fn leaves(config: &Value) -> Leaves {
    fn walk(value: &Value, path: &str, leaves: &mut Leaves) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(value, &format!("{path}{dot}{key}"), leaves);
                }
            }
            other => {
                leaves.insert(path.into(), other.clone());
            }
        }
    }
    let mut found = Leaves::new();
    walk(config, "", &mut found);
    found
}

/// The paths whose values are not the same in all of these, each with its values in order of
/// appearance; `None` where a configuration lacks the path.
pub(super) fn varied(all: &[Leaves]) -> Vec<(String, Vec<Option<Value>>)> {
    let mut paths: Vec<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let mut values: Vec<Option<Value>> = Vec::new();
            for leaves in all {
                let value = leaves.get(path).cloned();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            (values.len() > 1).then(|| (path.clone(), values))
        })
        .collect()
}

/// What is the same in all of these configurations.
fn shared(all: &[&Value]) -> Value {
    let Some((first, others)) = all.split_first() else {
        return Value::Object(Map::new());
    };
    fn keep(value: &Value, others: &[&Value]) -> Option<Value> {
        if others.iter().all(|other| *other == value) {
            return Some(value.clone());
        }
        let map = value.as_object()?;
        let mut kept = Map::new();
        for (key, value) in map {
            let others: Option<Vec<&Value>> = others.iter().map(|other| other.get(key)).collect();
            if let Some(value) = others.and_then(|others| keep(value, &others)) {
                kept.insert(key.clone(), value);
            }
        }
        (!kept.is_empty()).then_some(Value::Object(kept))
    }
    keep(first, others).unwrap_or_else(|| Value::Object(Map::new()))
}

/// A configuration as the TOML that it came from. JSON where TOML has no words for it.
fn as_toml(config: &Value) -> String {
    fn without_nulls(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(key, value)| (key.clone(), without_nulls(value)))
                    .collect(),
            ),
            Value::Array(values) => Value::Array(values.iter().map(without_nulls).collect()),
            other => other.clone(),
        }
    }
    toml::to_string(&without_nulls(config))
        .unwrap_or_else(|_| serde_json::to_string_pretty(config).unwrap_or_default())
}

/// The configuration of records of one kind.
pub(super) fn configuration(records: &[&ExperimentRecord]) -> Markup {
    let configs: Vec<&Value> = records.iter().map(|record| &record.config).collect();
    let mut all: Vec<Leaves> = configs.iter().map(|config| leaves(config)).collect();
    // The seed stands in the record even where the configuration does not name it.
    for (leaves, record) in all.iter_mut().zip(records) {
        leaves.insert("seed of the run".into(), record.seed.into());
    }
    let text = as_toml(&shared(&configs));
    html! {
        @if !text.trim().is_empty() {
            pre.config tabindex="0" { (text.trim_end()) }
        }
        @let varied = varied(&all);
        @if !varied.is_empty() {
            table {
                caption { "Settings in which these " (records.len()) " runs differ" }
                thead { tr { th scope="col" { "Setting" } th scope="col" { "Values" } } }
                tbody {
                    @for (path, values) in &varied {
                        tr { th scope="row" { code { (path) } } td { (listed(values)) } }
                    }
                }
            }
        }
    }
}

/// Values, numbers in order of size, at most a dozen of them.
fn listed(values: &[Option<Value>]) -> String {
    const MOST: usize = 12;
    let mut values = values.to_vec();
    let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
    values.sort_by(|a, b| {
        let (a, b) = (number(a), number(b));
        a.unwrap_or(f64::INFINITY)
            .total_cmp(&b.unwrap_or(f64::INFINITY))
    });
    let texts: Vec<String> = values
        .iter()
        .take(MOST)
        .map(|value| value.as_ref().map_or("(not set)".into(), shown))
        .collect();
    let more = values.len().saturating_sub(MOST);
    let texts = texts.join(", ");
    if more > 0 {
        format!("{texts} and {more} more")
    } else {
        texts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{as_toml, leaves, listed, shared, varied};

    #[test]
    fn shared_and_varied_make_up_the_whole() {
        let a = json!({"model": {"type": "mlp", "hidden": [8]}, "train": {"lr": 0.1, "eps": null}});
        let b = json!({"model": {"type": "mlp", "hidden": [16]}, "train": {"lr": 0.1}});
        assert_eq!(
            shared(&[&a, &b]),
            json!({"model": {"type": "mlp"}, "train": {"lr": 0.1}})
        );
        let found = varied(&[leaves(&a), leaves(&b)]);
        assert_eq!(
            found,
            [
                (
                    "model.hidden".into(),
                    vec![Some(json!([8])), Some(json!([16]))]
                ),
                ("train.eps".into(), vec![Some(json!(null)), None]),
            ]
        );
        assert_eq!(shared(&[]), json!({}));
        assert_eq!(varied(&[]), []);
    }

    #[test]
    fn a_configuration_is_shown_as_toml() {
        let config = json!({"loss": {"type": "a"}, "seed": 3, "gone": null, "list": [1, 2]});
        let text = as_toml(&config);
        let back: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(back["seed"].as_integer(), Some(3));
        assert_eq!(back["loss"]["type"].as_str(), Some("a"));
        assert!(!back.contains_key("gone"), "{text}");
    }

    #[test]
    fn many_values_are_cut_short() {
        let values: Vec<_> = (0..20).rev().map(|value| Some(json!(value))).collect();
        let text = listed(&values);
        assert!(
            text.starts_with("0, 1, 2,") && text.ends_with("11 and 8 more"),
            "{text}"
        );
    }
}
