//! What a `config.json` says.

use serde_json::{Map, Value};

use crate::arch::Activation;
use crate::error::ModelError;

/// Settings by name.
pub(super) struct Settings<'a> {
    all: &'a Map<String, Value>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(all: &'a Map<String, Value>) -> Self {
        Self { all }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.all.get(name).filter(|value| !value.is_null())
    }

    fn needed(&self, name: &str) -> Result<&'a Value, ModelError> {
        self.get(name)
            .ok_or_else(|| ModelError::Mismatch(format!("config.json lacks `{name}`")))
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, ModelError> {
        let value = self.needed(name)?;
        value.as_str().ok_or_else(|| bad(name, value, "text"))
    }

    pub(super) fn size(&self, name: &str) -> Result<usize, ModelError> {
        let value = self.needed(name)?;
        value
            .as_u64()
            .map(|size| size as usize)
            .ok_or_else(|| bad(name, value, "a whole number"))
    }

    pub(super) fn size_or(&self, name: &str, default: usize) -> Result<usize, ModelError> {
        match self.get(name) {
            Some(_) => self.size(name),
            None => Ok(default),
        }
    }

    pub(super) fn number_or(&self, name: &str, default: f64) -> Result<f64, ModelError> {
        match self.get(name) {
            Some(value) => value.as_f64().ok_or_else(|| bad(name, value, "a number")),
            None => Ok(default),
        }
    }

    pub(super) fn flag_or(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.get(name) {
            Some(value) => value
                .as_bool()
                .ok_or_else(|| bad(name, value, "true or false")),
            None => Ok(default),
        }
    }

    /// Refuses a setting that changes what is computed in a way that we do not know.
    pub(super) fn only(&self, name: &str, known: &[Value]) -> Result<(), ModelError> {
        match self.get(name) {
            Some(value) if !known.contains(value) => {
                let known: Vec<String> = known.iter().map(Value::to_string).collect();
                Err(bad(name, value, &known.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// The nonlinearity by its name.
    pub(super) fn activation(&self, name: &str) -> Result<Activation, ModelError> {
        match self.text(name)? {
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluNew),
            "silu" | "swish" => Ok(Activation::Silu),
            other => Err(bad(
                name,
                &other.into(),
                "relu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, silu or swish",
            )),
        }
    }

    /// Base and share of the channels of rotary positions, under their old names or in the table of the
    /// new ones.
    pub(super) fn rotary(&self, base: &str, share: &str) -> Result<(f64, f64), ModelError> {
        self.only("rope_scaling", &[])?;
        let empty = Map::new();
        let table = self.get("rope_parameters").and_then(Value::as_object);
        let table = Settings::new(table.unwrap_or(&empty));
        table.only("rope_type", &["default".into()])?;
        let base = table.number_or("rope_theta", self.number_or(base, 10000.0)?)?;
        let share = self.number_or(share, 1.0)?;
        Ok((base, table.number_or("partial_rotary_factor", share)?))
    }
}

fn bad(name: &str, value: &Value, valid: &str) -> ModelError {
    ModelError::Unfit(format!(
        "config.json sets `{name}` to {value}; readable here is {valid}"
    ))
}
