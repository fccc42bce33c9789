//! What is wrong with a setting, in words: serde's messages, with the whole key and near matches.

use mr_models::hint;
use toml::{Table, Value};

/// The key that is to blame and what to say of it. `path` is how far serde came: a table that holds
/// a `type` is read as a whole, so that the key may lie deeper.
pub(super) fn explain(root: &Table, path: &str, message: &str) -> (String, String) {
    let path = plain(root, path);
    let quoted = quoted(message);
    if message.starts_with("unknown field")
        && let Some((name, valid)) = quoted.split_first()
    {
        let key = find(root, &path, name);
        let text = if valid.is_empty() {
            format!("unknown key `{key}`; nothing can be set there")
        } else {
            format!("unknown key `{key}`; {}", hint(name, valid.iter().copied()))
        };
        return (key, text);
    }
    if message.starts_with("unknown variant")
        && let Some((name, valid)) = quoted.split_first()
    {
        let key = find_value(root, &path, name);
        let text = format!(
            "unknown {} `{name}`; {}",
            noun(&key),
            hint(name, valid.iter().copied())
        );
        return (key, text);
    }
    if message.starts_with("missing field")
        && let Some(name) = quoted.first()
    {
        let key = if path.is_empty() {
            (*name).to_string()
        } else {
            format!("{path}.{name}")
        };
        return (key.clone(), format!("`{key}` is not set"));
    }
    if path.is_empty() {
        (path, message.to_string())
    } else {
        let text = format!("`{path}`: {message}");
        (path, text)
    }
}

/// What a key names, for "unknown ... `x`".
fn noun(key: &str) -> String {
    let parts: Vec<&str> = key
        .split('.')
        .filter(|p| p.parse::<usize>().is_err())
        .collect();
    match parts.as_slice() {
        [.., "model", "type"] => "model".into(),
        ["certify", "type"] => "method".into(),
        [.., kind, "type"] => (*kind).to_string(),
        [.., last] => (*last).to_string(),
        [] => "value".into(),
    }
}

/// serde writes `attack[0].steps`; we write `attack.0.steps`, and no number into a list of one.
fn plain(root: &Table, path: &str) -> String {
    let mut keys: Vec<String> = Vec::new();
    let mut at: Option<Value> = Some(Value::Table(root.clone()));
    for key in path.replace('[', ".").replace(']', "").split('.') {
        if key.is_empty() || key == "?" {
            continue;
        }
        let (next, shown) = match &at {
            Some(Value::Array(list)) => {
                let index = key.parse::<usize>().ok();
                let shown = (list.len() > 1).then(|| key.to_string());
                (index.and_then(|index| list.get(index)).cloned(), shown)
            }
            Some(value) => (value.get(key).cloned(), Some(key.to_string())),
            None => (None, Some(key.to_string())),
        };
        keys.extend(shown);
        at = next;
    }
    keys.join(".")
}

/// The parts of a message between backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// The full path of the key `name` at or under `path`.
fn find(root: &Table, path: &str, name: &str) -> String {
    if path.rsplit('.').next() == Some(name) {
        return path.into();
    }
    let named = |_: &Value, key: &str| key == name;
    search(root, path, &named).unwrap_or_else(|| join(path, name))
}

/// The full path of the text `name` at or under `path`.
fn find_value(root: &Table, path: &str, name: &str) -> String {
    let is = |value: &Value, _: &str| value.as_str() == Some(name);
    search(root, path, &is).unwrap_or_else(|| path.to_string())
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.into()
    } else {
        format!("{path}.{key}")
    }
}

fn search(root: &Table, path: &str, wanted: &dyn Fn(&Value, &str) -> bool) -> Option<String> {
    let whole = Value::Table(root.clone());
    let mut start = Some(&whole);
    for key in path.split('.').filter(|key| !key.is_empty()) {
        start = start.and_then(|value| child(value, key));
    }
    let start = start?;
    let last = path.rsplit('.').next().unwrap_or_default();
    if !path.is_empty() && wanted(start, last) && !start.is_table() {
        return Some(path.into());
    }
    below(start, path, wanted)
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(list) => match key.parse::<usize>() {
            Ok(index) => list.get(index),
            Err(_) => list.first()?.get(key),
        },
        other => other.get(key),
    }
}

/// Breadth first, so that the shallowest match is the one.
fn below(value: &Value, path: &str, wanted: &dyn Fn(&Value, &str) -> bool) -> Option<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Table(table) => table
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(list) if list.len() == 1 => return below(&list[0], path, wanted),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    children
        .iter()
        .find(|(key, value)| wanted(value, key))
        .map(|(key, _)| join(path, key))
        .or_else(|| {
            children
                .iter()
                .find_map(|(key, value)| below(value, &join(path, key), wanted))
        })
}
