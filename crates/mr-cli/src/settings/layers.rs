//! Settings before they are read: a file, `--set`, flags, and defaults beneath them all.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::blame;

/// A tree of settings that remembers where each came from.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    root: Table,
    /// The files, and what each holds.
    files: Vec<(PathBuf, Table)>,
    /// Paths that flags set, and which flag.
    flags: Vec<(String, String)>,
}

impl Layers {
    /// Puts the settings of a file over those so far.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut table: Table = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            let at = line.map_or(String::new(), |line| format!("line {line}: "));
            anyhow!("{}: {at}{}", path.display(), error.message())
        })?;
        list(&mut table);
        tracing::debug!("settings from {}", path.display());
        merge(&mut self.root, table.clone());
        self.files.push((path.into(), table));
        Ok(())
    }

    /// Applies `--set KEY=VALUE`: a TOML value, or else a bare text.
    pub(crate) fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((path, text)) = assignment.split_once('=') else {
            bail!("--set {assignment}: must be KEY=VALUE, such as data.density=0.1");
        };
        let (path, text) = (path.trim(), text.trim());
        let value = toml::from_str::<Table>(&format!("value = {text}"))
            .ok()
            .filter(|table| table.len() == 1)
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(text.into()));
        self.put(path, value, &format!("--set {assignment}"))
    }

    /// Applies a flag, if it was given.
    pub(crate) fn flag(
        &mut self,
        name: &str,
        path: &str,
        value: Option<impl Into<Value>>,
    ) -> Result<()> {
        match value {
            Some(value) => self.put(path, value.into(), name),
            None => Ok(()),
        }
    }

    /// Sets what no file and no flag has set.
    pub(crate) fn beneath(&mut self, path: &str, value: impl Into<Value>) {
        if self.get(path).is_none() {
            // Where a file has something else than a table on the way, reading will say so.
            let _ = insert(&mut self.root, path, value.into());
        }
    }

    /// What is set at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        at(&self.root, path)
    }

    /// What is set at a path, as text.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// Takes away what is set at a path of tables.
    pub(crate) fn remove(&mut self, path: &str) {
        let mut table = &mut self.root;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            if keys.peek().is_none() {
                table.remove(key);
                return;
            }
            match table.get_mut(key) {
                Some(Value::Table(inner)) => table = inner,
                _ => return,
            }
        }
    }

    /// Replaces what is at a path by what a flag says.
    pub(crate) fn put(&mut self, path: &str, value: Value, flag: &str) -> Result<()> {
        insert(&mut self.root, path, value).with_context(|| flag.to_string())?;
        list(&mut self.root);
        self.flags.push((path.into(), flag.into()));
        Ok(())
    }

    /// Replaces a table by what a flag says, but for what `--set` has set in it.
    pub(crate) fn replace(&mut self, key: &str, table: Value, flag: &str) -> Result<()> {
        let inside = format!("{key}.");
        let set: Vec<(String, Value, String)> = self
            .flags
            .iter()
            .filter(|(path, _)| path.starts_with(&inside))
            .filter_map(|(path, flag)| Some((path.clone(), self.get(path)?.clone(), flag.clone())))
            .collect();
        self.put(key, table, flag)?;
        for (path, value, flag) in set {
            self.put(&path, value, &flag)?;
        }
        Ok(())
    }

    /// Reads one table of the settings; its default where there is none.
    pub(crate) fn section<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let value = self.root.get(key).cloned();
        let value = value.unwrap_or_else(|| Value::Table(Table::new()));
        serde_path_to_error::deserialize(value)
            .map_err(|error| self.blame(key, &error.path().to_string(), error.inner().message()))
    }

    /// Reads them all.
    pub(crate) fn all<T: DeserializeOwned>(&self) -> Result<T> {
        serde_path_to_error::deserialize(Value::Table(self.root.clone()))
            .map_err(|error| self.blame("", &error.path().to_string(), error.inner().message()))
    }

    /// An error that names the key, what would do, and the file or flag that is to blame.
    fn blame(&self, section: &str, path: &str, message: &str) -> anyhow::Error {
        let path = match (section, path) {
            (section, "." | "") => section.to_string(),
            ("", path) => path.to_string(),
            (section, path) => format!("{section}.{path}"),
        };
        let (key, text) = blame::explain(&self.root, &path, message);
        let flag = self.flags.iter().rev().find(|(set, _)| {
            key == *set
                || key.starts_with(&format!("{set}."))
                || set.starts_with(&format!("{key}."))
        });
        // A key that is not there is missing from the file that has the most of its path.
        let depth = |table: &Table| {
            let ends = key
                .match_indices('.')
                .map(|(end, _)| end)
                .chain([key.len()]);
            ends.filter(|&end| at(table, &key[..end]).is_some()).count()
        };
        let file = self.files.iter().max_by_key(|(_, table)| depth(table));
        match (flag, file) {
            (Some((_, flag)), _) => anyhow!("{flag}: {text}"),
            (None, Some((file, _))) => anyhow!("{}: {text}", file.display()),
            (None, None) => anyhow!("{text}"),
        }
    }
}

/// What stands at a dotted path. A number steps into a list; a list of one needs none.
fn at<'a>(root: &'a Table, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let mut at = root.get(keys.next()?)?;
    for key in keys {
        at = match at {
            Value::Array(list) => match key.parse::<usize>() {
                Ok(index) => list.get(index)?,
                Err(_) if list.len() == 1 => list[0].get(key)?,
                Err(_) => return None,
            },
            other => other.get(key)?,
        };
    }
    Some(at)
}

/// One attack is a list of one, and so is one defence.
fn list(root: &mut Table) {
    for key in ["attack", "defence"] {
        if let Some(one @ Value::Table(_)) = root.get_mut(key) {
            *one = Value::Array(vec![one.clone()]);
        }
    }
}

/// Puts a table over another, table by table; one of another `type` replaces it.
fn merge(into: &mut Table, over: Table) {
    for (key, value) in over {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(over))
                if over.get("type").is_none() || over.get("type") == below.get("type") =>
            {
                merge(below, over);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Puts a value at a dotted path, making tables on the way. A number steps into a list; a list of
/// one needs none.
fn insert(root: &mut Table, path: &str, value: Value) -> Result<()> {
    let keys: Vec<&str> = path.split('.').map(str::trim).collect();
    if keys.iter().any(|key| key.is_empty()) {
        bail!("`{path}` is not a key; such as data.density");
    }
    let (last, way) = keys.split_last().expect("a split text has a part");
    let mut table = root;
    let mut at = String::new();
    let mut steps = way.iter().peekable();
    while let Some(key) = steps.next() {
        at = if at.is_empty() {
            (*key).to_string()
        } else {
            format!("{at}.{key}")
        };
        let mut next = table
            .entry((*key).to_string())
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Array(list) = next {
            let count = list.len();
            let index = match steps.peek().and_then(|step| step.parse::<usize>().ok()) {
                Some(index) => {
                    steps.next();
                    index
                }
                None if count == 1 => 0,
                None => bail!("`{at}` is a list of {count}: name one, such as {at}.0.{last}"),
            };
            next = list.get_mut(index).with_context(|| {
                format!("`{at}` is a list of {count}, without a number {index}")
            })?;
        }
        table = match next {
            Value::Table(table) => table,
            other => bail!("`{at}` is {other}, not a table"),
        };
    }
    table.insert((*last).to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(assignments: &[&str]) -> Result<Layers> {
        let mut layers = Layers::default();
        for assignment in assignments {
            layers.set(assignment)?;
        }
        Ok(layers)
    }

    #[test]
    fn values_are_toml_or_bare_text() {
        let layers = set(&[
            "data.density=0.1",
            "data.name = mnist",
            "model.hidden=[3, 4]",
        ])
        .unwrap();
        assert_eq!(layers.get("data.density"), Some(&Value::Float(0.1)));
        assert_eq!(layers.text("data.name"), Some("mnist"));
        assert_eq!(layers.get("model.hidden.1"), Some(&Value::Integer(4)));
        // What looks like TOML and is more than one value is text.
        let layers = set(&["name=1\nseed = 2"]).unwrap();
        assert_eq!(layers.text("name"), Some("1\nseed = 2"));
        assert!(layers.get("seed").is_none());
    }

    #[test]
    fn a_path_must_lead_somewhere() {
        let said = |assignments: &[&str]| format!("{:#}", set(assignments).unwrap_err());
        assert!(said(&["seed"]).contains("must be KEY=VALUE"));
        assert!(said(&["a..b=1"]).contains("`a..b` is not a key"));
        assert!(said(&["a=1", "a.b=2"]).contains("`a` is 1, not a table"));
        assert!(said(&["a=[{b = 1}, {b = 2}]", "a.b=3"]).contains("name one, such as a.0.b"),);
        let layers = set(&["a=[{b = 1}]", "a.b=3", "a.0.c=4"]).unwrap();
        assert_eq!(layers.get("a.b"), Some(&Value::Integer(3)));
        assert_eq!(layers.get("a.0.c"), Some(&Value::Integer(4)));
    }

    #[test]
    fn defaults_lie_beneath() {
        let mut layers = set(&["data.name=mnist"]).unwrap();
        layers.beneath("data.name", "digits");
        layers.beneath("data.limit", 3);
        assert_eq!(layers.text("data.name"), Some("mnist"));
        assert_eq!(layers.get("data.limit"), Some(&Value::Integer(3)));
    }
}
