//! Which weights a dictionary has, and what is made of a file's.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use mr_models::Weights;

use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::sae::Sae;

/// Tensors of a file by name: shape and values.
pub(crate) type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// One weight of a dictionary.
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    pub(crate) shape: Vec<usize>,
    /// Whether an optimiser changes it.
    pub(crate) trainable: bool,
    /// What a vector starts from.
    pub(crate) value: f32,
}

/// The weights of a dictionary, in order.
pub(crate) fn layout(config: &SaeConfig) -> Vec<Slot> {
    let (d_in, d_sae, d_out) = (config.d_in, config.d_sae, config.d_out());
    let matrix = |name, shape: [usize; 2]| Slot {
        name,
        shape: shape.into(),
        trainable: true,
        value: 0.0,
    };
    let mut slots = Vec::new();
    if !config.is_tied() {
        slots.push(matrix("W_enc", [d_in, d_sae]));
    }
    for vector in config.kind.rule().vectors() {
        slots.push(Slot {
            name: vector.name,
            shape: vec![d_sae],
            trainable: vector.trainable,
            value: vector.value,
        });
    }
    slots.push(matrix("W_dec", [d_sae, d_out]));
    if !config.is_tied() {
        slots.push(Slot {
            shape: vec![d_out],
            ..matrix("b_dec", [0, 0])
        });
    }
    if config.has_skip() {
        slots.push(matrix("W_skip", [d_out, d_in]));
    }
    slots
}

/// A dictionary of a file's tensors. Nothing is made before every name, shape and value fits: a config
/// of billions costs nothing.
pub(crate) fn assemble(
    config: SaeConfig,
    mut named: Named,
    path: &Path,
    device: &Device,
) -> Result<Sae, SaeError> {
    let wrong = |reason: String| SaeError::format(path, reason);
    config.check().map_err(|error| wrong(error.to_string()))?;
    let mut weights = Weights::default();
    for slot in layout(&config) {
        let name = slot.name;
        let Some((shape, values)) = named.remove(name) else {
            let held: Vec<&String> = named.keys().collect();
            return Err(wrong(format!(
                "lacks `{name}` {:?}, which a {} dictionary has; it also holds {held:?}",
                slot.shape,
                config.kind.name()
            )));
        };
        if shape != slot.shape {
            return Err(wrong(format!(
                "`{name}` has shape {shape:?}, must be {:?} where d_in is {}, d_sae {} and d_out {}",
                slot.shape,
                config.d_in,
                config.d_sae,
                config.d_out()
            )));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(wrong(format!(
                "`{name}` holds {} at position {at}, must be finite",
                values[at]
            )));
        }
        weights.push(name, &shape, values, slot.trainable, device);
    }
    if let Some((name, (shape, _))) = named.pop_first() {
        return Err(wrong(format!(
            "holds `{name}` {shape:?}, which a {} dictionary does not have",
            config.kind.name()
        )));
    }
    Ok(Sae::of(config, weights))
}
