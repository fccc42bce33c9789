//! What a record must hold to be selected.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::interval::Short;
use crate::record::lookup;

/// Conditions by dotted path into the record, all of which must hold.
pub type Conditions = BTreeMap<String, Condition>;

/// A condition on one value of a record.
///
/// In TOML a plain value (`"config.data.density" = 0.1`), or one of the tables `{ min = 0.1, max =
/// 0.5 }` (either end alone, both inclusive), `{ any = [2, 10] }` and `{ not = "none" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Condition {
    /// The value is this one. Numbers are equal to 1e-6 of their size, for a setting may have been
    /// held in single precision.
    Is(Value),
    /// The value is one of these.
    Any(Vec<Value>),
    /// The value is not this one; so is a value that does not exist.
    Not(Value),
    /// The value is a number between these ends, inclusive.
    Range {
        /// Lower end.
        min: Option<f64>,
        /// Upper end.
        max: Option<f64>,
    },
}

impl Condition {
    /// Whether the value at this path of a record satisfies the condition.
    pub fn holds(&self, record: &Value, path: &str) -> bool {
        let found = lookup(record, path);
        match (self, found) {
            (Self::Not(value), found) => found.is_none_or(|found| !same(found, value)),
            (_, None) => false,
            (Self::Is(value), Some(found)) => same(found, value),
            (Self::Any(values), Some(found)) => values.iter().any(|value| same(found, value)),
            (Self::Range { min, max }, Some(found)) => found.as_f64().is_some_and(|found| {
                let slack = SLACK * found.abs();
                min.is_none_or(|min| found >= min - slack)
                    && max.is_none_or(|max| found <= max + slack)
            }),
        }
    }
}

/// Relative difference below which two numbers are the same setting.
const SLACK: f64 = 1e-6;

/// Equality of values, numbers within [`SLACK`].
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= SLACK * a.abs().max(b.abs()),
        _ => a == b,
    }
}

impl TryFrom<Value> for Condition {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let Value::Object(map) = value else {
            return Ok(Self::Is(value));
        };
        let keys: Vec<&str> = map.keys().map(String::as_str).collect();
        let number = |key: &str| match map.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| format!("condition `{key}` is {value}, must be a number")),
        };
        match keys.as_slice() {
            ["any"] => match &map["any"] {
                Value::Array(values) => Ok(Self::Any(values.clone())),
                other => Err(format!("condition `any` is {other}, must be a list")),
            },
            ["not"] => Ok(Self::Not(map["not"].clone())),
            ["min" | "max"] | ["min", "max"] | ["max", "min"] => Ok(Self::Range {
                min: number("min")?,
                max: number("max")?,
            }),
            _ => Err(format!(
                "a condition with the keys {keys:?}; valid: a plain value, {{ min, max }}, \
                 {{ any = [..] }}, {{ not = .. }}. A dotted path is one quoted key: \
                 where = {{ \"config.data.density\" = 0.1 }}"
            )),
        }
    }
}

impl From<Condition> for Value {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Is(value) => value,
            Condition::Any(values) => json!({ "any": values }),
            Condition::Not(value) => json!({ "not": value }),
            Condition::Range { min, max } => {
                let mut map = Map::new();
                for (key, end) in [("min", min), ("max", max)] {
                    if let Some(end) = end {
                        map.insert(key.into(), end.into());
                    }
                }
                Value::Object(map)
            }
        }
    }
}

impl fmt::Display for Condition {
    /// What follows the path: `= 0.1`, `>= 0.1`, `in [2, 10]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "= {}", Shown(value)),
            Self::Not(value) => write!(f, "is not {}", Shown(value)),
            Self::Any(values) => {
                let shown: Vec<String> = values.iter().map(|v| Shown(v).to_string()).collect();
                write!(f, "in [{}]", shown.join(", "))
            }
            Self::Range { min, max } => match (min, max) {
                (Some(min), Some(max)) => write!(f, "in {}..{}", Short(*min), Short(*max)),
                (Some(min), None) => write!(f, ">= {}", Short(*min)),
                (None, Some(max)) => write!(f, "<= {}", Short(*max)),
                (None, None) => f.write_str("is anything"),
            },
        }
    }
}

/// A value of a record as a reader would write it: text without quotes, numbers short.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => f.write_str(text),
            Value::Number(number) => match number.as_f64() {
                Some(value) if !number.is_i64() && !number.is_u64() => {
                    write!(f, "{}", Short(value))
                }
                _ => write!(f, "{number}"),
            },
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Condition;

    fn condition(value: serde_json::Value) -> Condition {
        Condition::try_from(value).unwrap()
    }

    #[test]
    fn each_form_selects_what_it_says() {
        let record = json!({"config": {"density": 0.1_f32, "arch": "toy", "linear": false}});
        for (path, value, holds) in [
            ("config.density", json!(0.1), true),
            ("config.density", json!(0.2), false),
            ("config.arch", json!("toy"), true),
            ("config.linear", json!(false), true),
            ("config.density", json!({"min": 0.1}), true),
            ("config.density", json!({"min": 0.2}), false),
            ("config.density", json!({"max": 0.1, "min": 0.05}), true),
            ("config.arch", json!({"max": 3}), false),
            ("config.arch", json!({"any": ["mlp", "toy"]}), true),
            ("config.arch", json!({"not": "toy"}), false),
            ("config.absent", json!({"not": "toy"}), true),
            ("config.absent", json!({"min": 0}), false),
        ] {
            assert_eq!(
                condition(value.clone()).holds(&record, path),
                holds,
                "{path} {value}"
            );
        }
    }

    #[test]
    fn an_unquoted_path_is_explained() {
        let error = Condition::try_from(json!({"data": {"density": 0.1}})).unwrap_err();
        assert!(error.contains("one quoted key"), "{error}");
        assert!(Condition::try_from(json!({"min": "low"})).is_err());
    }

    #[test]
    fn conditions_print_as_a_reader_would_write_them() {
        assert_eq!(condition(json!({"min": 0.1})).to_string(), ">= 0.1");
        assert_eq!(condition(json!({"any": [2, "x"]})).to_string(), "in [2, x]");
        assert_eq!(condition(json!(1000)).to_string(), "= 1000");
        let range = json!({"min": 0.1});
        assert_eq!(serde_json::Value::from(condition(range.clone())), range);
    }
}
