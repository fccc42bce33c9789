//! Reading what others wrote: never trusted, always named.

use std::path::Path;

use mr_models::{ModelError, hint, read_tensors};
use serde_json::{Map, Value};

use crate::error::SaeError;
use crate::layout::Named;

/// A JSON object.
pub(super) fn config(path: &Path) -> Result<Map<String, Value>, SaeError> {
    let text = std::fs::read_to_string(path).map_err(|source| ModelError::File {
        path: path.into(),
        source,
    })?;
    serde_json::from_str(&text)
        .map_err(|error| SaeError::format(path, format!("is not a JSON object: {error}")))
}

/// The tensors of a file by name.
pub(super) fn tensors(path: &Path) -> Result<Named, SaeError> {
    let (named, _) = read_tensors(path)?;
    Ok(by_name(named))
}

pub(super) fn by_name(named: Vec<(String, Vec<usize>, Vec<f32>)>) -> Named {
    let parts = named.into_iter();
    parts
        .map(|(name, shape, values)| (name, (shape, values)))
        .collect()
}

/// The fields of a config file, each with the file's name in its errors.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) fields: &'a Map<String, Value>,
}

impl Fields<'_> {
    pub(super) fn wrong(&self, reason: impl Into<String>) -> SaeError {
        SaeError::format(self.path, reason)
    }

    /// A field that is there and not null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn need(&self, name: &str) -> Result<&Value, SaeError> {
        self.get(name).ok_or_else(|| {
            let near = hint(name, self.fields.keys().map(String::as_str));
            self.wrong(format!("lacks `{name}`; {near}"))
        })
    }

    pub(super) fn count(&self, name: &str) -> Result<usize, SaeError> {
        let value = self.need(name)?;
        // SAELens's k is a float where it counts over a batch.
        let whole = value
            .as_f64()
            .filter(|v| v.fract() == 0.0 && *v >= 0.0 && *v < 1e15);
        whole.map(|v| v as usize).ok_or_else(|| {
            self.wrong(format!(
                "`{name}` is {value}, must be a whole number from 0"
            ))
        })
    }

    pub(super) fn number(&self, name: &str) -> Result<f32, SaeError> {
        let value = self.need(name)?;
        value
            .as_f64()
            .map(|v| v as f32)
            .ok_or_else(|| self.wrong(format!("`{name}` is {value}, must be a number")))
    }

    pub(super) fn number_or(&self, name: &str, otherwise: f32) -> Result<f32, SaeError> {
        match self.get(name) {
            None => Ok(otherwise),
            Some(_) => self.number(name),
        }
    }

    pub(super) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, SaeError> {
        match self.get(name) {
            None => Ok(otherwise),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(self.wrong(format!("`{name}` is {value}, must be true or false"))),
        }
    }

    pub(super) fn text(&self, name: &str, otherwise: &str) -> Result<String, SaeError> {
        match self.get(name) {
            None => Ok(otherwise.into()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value) => Err(self.wrong(format!("`{name}` is {value}, must be text"))),
        }
    }

    /// One of several names.
    pub(super) fn unknown(&self, name: &str, value: &str, valid: &[&str]) -> SaeError {
        let near = hint(value, valid.iter().copied());
        self.wrong(format!(
            "`{name}` is `{value}`, which is not read here; {near}"
        ))
    }
}
