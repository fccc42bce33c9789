//! Dotted paths into a record, such as `config.data.density` or `series.curve.y.3`.

use serde_json::Value;

/// What stands at a dotted path.
///
/// Names may hold dots themselves, as sites do (`numbers.F.conv1.hook_out`): at each step the
/// longest key that fits is taken. A whole number steps into a list.
pub fn lookup<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(json);
    }
    match json {
        Value::Object(map) => {
            let mut end = path.len();
            loop {
                if let Some(found) = map.get(&path[..end]) {
                    let rest = path[end..].trim_start_matches('.');
                    if let Some(found) = lookup(found, rest) {
                        return Some(found);
                    }
                }
                end = path[..end].rfind('.')?;
            }
        }
        Value::Array(list) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            lookup(list.get(index.parse::<usize>().ok()?)?, rest)
        }
        _ => None,
    }
}

/// The number at a dotted path: a plain number, or the `value` of a named one. `None` if nothing
/// stands there, `Some(None)` if it is no number.
pub fn metric(json: &Value, path: &str) -> Option<Option<f64>> {
    let found = lookup(json, path)?;
    Some(match found {
        Value::Object(number) => number.get("value").and_then(Value::as_f64),
        other => other.as_f64(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lookup, metric};

    #[test]
    fn paths_reach_maps_lists_and_names_with_dots() {
        let record = json!({
            "config": {"data": {"density": 0.1}},
            "numbers": {
                "F": {"value": 1.0},
                "F.conv1.hook_out": {"value": 2.5, "low": 2.0},
                "bad": {"value": null},
            },
            "series": {"curve": {"y": [1.0, 0.5]}},
        });
        assert_eq!(metric(&record, "config.data.density"), Some(Some(0.1)));
        assert_eq!(metric(&record, "numbers.F"), Some(Some(1.0)));
        assert_eq!(metric(&record, "numbers.F.conv1.hook_out"), Some(Some(2.5)));
        assert_eq!(
            metric(&record, "numbers.F.conv1.hook_out.low"),
            Some(Some(2.0))
        );
        assert_eq!(metric(&record, "series.curve.y.1"), Some(Some(0.5)));
        assert_eq!(metric(&record, "numbers.bad"), Some(None));
        assert_eq!(metric(&record, "config.data"), Some(None));
        assert_eq!(metric(&record, "config.data.sparsity"), None);
        assert_eq!(lookup(&record, "series.curve.y.9"), None);
        assert_eq!(lookup(&record, "numbers.G"), None);
        assert_eq!(lookup(&record, ""), Some(&record));
    }
}
