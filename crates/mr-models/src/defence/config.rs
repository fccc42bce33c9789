//! Defences by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Bits, Defence, Noise, Quantize, RoundLogits, Smoothing, Softmax, Stage, Temperature};
use crate::error::ModelError;

/// A defence and its settings; in TOML a table whose `type` names it, on a command line
/// `quantize=4`, `quantize=4,site=conv1.hook_out,high=3,backward=identity`, `softmax`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DefenceConfig {
    /// Rounds input or activation to a few levels.
    Quantize(Quantize),
    /// Keeps a few bits of input or activation.
    Bits(Bits),
    /// Adds Gaussian noise to input or activation.
    Noise(Noise),
    /// Averages over copies with Gaussian noise.
    Smoothing(Smoothing),
    /// Multiplies the logits.
    Temperature(Temperature),
    /// Gives probabilities.
    Softmax(Softmax),
    /// Rounds the logits.
    RoundLogits(RoundLogits),
}

impl DefenceConfig {
    /// The names that `type` may have, and the setting that a command line gives without its name.
    const KINDS: [(&str, Option<&str>); 7] = [
        ("quantize", Some("levels")),
        ("bits", Some("bits")),
        ("noise", Some("sigma")),
        ("smoothing", Some("sigma")),
        ("temperature", Some("scale")),
        ("softmax", None),
        ("round-logits", Some("decimals")),
    ];

    /// The names that `type` may have.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::KINDS.iter().map(|(name, _)| *name)
    }

    /// The defence itself.
    ///
    /// # Errors
    /// [`ModelError::Setting`].
    pub fn defence(&self) -> Result<Defence, ModelError> {
        Ok(match self.clone() {
            Self::Quantize(quantize) => {
                quantize.check()?;
                Defence::new(Stage::at(quantize.site.as_ref()), quantize)
            }
            Self::Bits(bits) => {
                bits.check()?;
                Defence::new(Stage::at(bits.site.as_ref()), bits)
            }
            Self::Noise(noise) => {
                noise.check()?;
                Defence::new(Stage::at(noise.site.as_ref()), noise)
            }
            Self::Smoothing(smoothing) => {
                smoothing.check()?;
                Defence::new(Stage::Input, smoothing)
            }
            Self::Temperature(temperature) => {
                temperature.check()?;
                Defence::new(Stage::Logits, temperature)
            }
            Self::Softmax(softmax) => Defence::new(Stage::Logits, softmax),
            Self::RoundLogits(round) => {
                round.check()?;
                Defence::new(Stage::Logits, round)
            }
        })
    }
}

/// As a command line writes it, without what is the default.
impl fmt::Display for DefenceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = |config: &Self| match serde_json::to_string(config) {
            // Through text, so that 0.1 is not the nearest f32.
            Ok(text) => serde_json::from_str::<Map<String, Value>>(&text).unwrap_or_default(),
            Err(_) => Map::new(),
        };
        let own = table(self);
        let plain = |value: &Value| value.as_str().map_or(value.to_string(), String::from);
        let name = own.get("type").map(plain).unwrap_or_default();
        f.write_str(&name)?;
        let main = Self::KINDS.iter().find(|(kind, _)| *kind == name);
        let main = main.and_then(|(_, key)| *key).unwrap_or_default();
        if let Some(value) = own.get(main) {
            write!(f, "={}", plain(value))?;
        }
        let default = name
            .parse::<Self>()
            .map_or(Map::new(), |config| table(&config));
        for (key, value) in &own {
            if key != main && default.get(key) != Some(value) {
                write!(f, ",{key}={}", plain(value))?;
            }
        }
        Ok(())
    }
}

/// `NAME`, `NAME=VALUE` or `NAME=VALUE,KEY=VALUE,...`; a bare value is that of the main setting.
impl FromStr for DefenceConfig {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let unfit = |reason: String| ModelError::Unfit(format!("defence `{text}`: {reason}"));
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let (name, main) = match head.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value)),
            None => (head.trim(), None),
        };
        let Some(&(_, key)) = Self::KINDS.iter().find(|(kind, _)| *kind == name) else {
            return Err(ModelError::unknown("defence", name, Self::names()));
        };
        let mut table = Map::from_iter([("type".to_string(), Value::from(name))]);
        if let Some(main) = main {
            let Some(key) = key else {
                return Err(unfit(format!("{name} takes no number")));
            };
            table.insert(key.into(), value(main));
        }
        for part in parts {
            let Some((key, text)) = part.split_once('=') else {
                return Err(unfit(format!(
                    "`{part}` must be KEY=VALUE, such as backward=identity"
                )));
            };
            table.insert(key.trim().into(), value(text));
        }
        let config: Self =
            serde_json::from_value(Value::Object(table)).map_err(|e| unfit(e.to_string()))?;
        config.defence()?;
        Ok(config)
    }
}

/// A number where it is one, else a text.
fn value(text: &str) -> Value {
    let text = text.trim();
    match serde_json::from_str(text) {
        Ok(number @ Value::Number(_)) => number,
        _ => Value::from(text),
    }
}
