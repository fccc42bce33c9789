//! Filling `{variable}` in the words of a pipeline file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use toml::Value;

/// Values by name: a profile's variables, and one combination of a matrix.
pub(crate) type Variables = BTreeMap<String, Value>;

/// Stands for the run folder until a command is run. No argument can hold it otherwise, and a
/// fingerprint taken over it survives a move of the run folder.
pub(crate) const OUT: &str = "\0";

/// Fills `{name}`; `{{` and `}}` stand for braces. `{out}` becomes [`OUT`].
pub(crate) fn fill(template: &str, variables: &Variables) -> Result<String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix(brace) {
            filled.push_str(brace);
            rest = after;
            continue;
        }
        let end = after.find('}').filter(|_| brace == "{");
        let end = end.with_context(|| {
            format!("unpaired `{brace}` in `{template}`; a literal brace is written twice")
        })?;
        let name = &after[..end];
        match variables.get(name) {
            _ if name == "out" => filled.push_str(OUT),
            Some(value) => filled.push_str(&written(value)),
            None => {
                let known: Vec<&str> = variables.keys().map(String::as_str).collect();
                bail!(
                    "unknown variable `{name}` in `{template}`; there are: out{}{}",
                    if known.is_empty() { "" } else { ", " },
                    known.join(", ")
                );
            }
        }
        rest = &after[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A value as it stands in a command: strings bare, everything else as in TOML.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // The shortest digits that read back as the same number.
        Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// Every combination of a stage's matrix, each over the profile's variables. The last axis by
/// name turns fastest.
pub(crate) fn combinations(
    matrix: &BTreeMap<String, Value>,
    profile: &Variables,
) -> Result<Vec<Variables>> {
    let mut rows = vec![profile.clone()];
    for (axis, given) in matrix {
        let values = match given {
            Value::Array(values) => values.clone(),
            Value::String(name) => match profile.get(name) {
                Some(Value::Array(values)) => values.clone(),
                Some(single) => vec![single.clone()],
                None => {
                    let known: Vec<&str> = profile.keys().map(String::as_str).collect();
                    bail!(
                        "matrix axis `{axis}` names the variable `{name}`, which the profile does not have; it has: {}",
                        known.join(", ")
                    );
                }
            },
            other => {
                bail!("matrix axis `{axis}` is `{other}`; give a list or the name of a variable")
            }
        };
        if values.is_empty() {
            bail!("matrix axis `{axis}` has no values");
        }
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.insert(axis.clone(), value.clone());
                    row
                })
            })
            .collect();
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Variables {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn values_are_written_as_in_toml() {
        let known = variables("a = 1\nb = 0.05\nc = 'x y'\nd = true\ne = [1, 2]\nf = 1.0");
        let filled = fill("{a} {b} {c} {d} {e} {f}", &known).unwrap();
        assert_eq!(filled, "1 0.05 x y true [1, 2] 1.0");
        assert_eq!(fill("{out}/m", &known).unwrap(), format!("{OUT}/m"));
        assert_eq!(fill("{{a = {a}}}", &known).unwrap(), "{a = 1}");
    }

    #[test]
    fn unknown_variables_and_unpaired_braces_are_named() {
        let known = variables("seed = 1");
        let error = fill("m-{sed}", &known).unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown variable `sed` in `m-{sed}`; there are: out, seed"
        );
        assert!(fill("m-{seed", &known).is_err());
        assert!(fill("m-seed}", &known).is_err());
    }

    #[test]
    fn a_matrix_is_the_product_of_its_axes() {
        let profile = variables("seeds = [0, 1]\nsteps = 50");
        let matrix = variables("density = [1.0, 0.5]\nseed = 'seeds'\nsteps = 'steps'");
        let rows = combinations(&matrix, &profile).unwrap();
        let names: Vec<String> = rows
            .iter()
            .map(|row| fill("{density}-{seed}-{steps}", row).unwrap())
            .collect();
        assert_eq!(names, ["1.0-0-50", "1.0-1-50", "0.5-0-50", "0.5-1-50"]);
    }

    #[test]
    fn bad_axes_are_named() {
        let profile = variables("seeds = [0]");
        for (matrix, says) in [
            (
                "seed = 'seedz'",
                "axis `seed` names the variable `seedz`, which the profile does not have; it has: seeds",
            ),
            ("seed = []", "axis `seed` has no values"),
            ("seed = 3", "axis `seed` is `3`"),
        ] {
            let error = combinations(&variables(matrix), &profile)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
