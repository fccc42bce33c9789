//! What weights start from.

use burn::tensor::Device;
use mr_models::Weights;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::layout::layout;

/// Values of the largest matrix that is drawn: 8 GiB of them.
const MOST: usize = 1 << 31;

/// What weights start from. Biases start from 0, the encoder from the decoder's transpose where both
/// are of the same width (Gao et al. 2024, A.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Initial {
    /// Norm of the decoder's rows, above 0: 1, or SAELens's .1 (Anthropic, April 2024). `None` leaves
    /// rows as they are drawn, by Xavier's uniform distribution (Glorot & Bengio 2010).
    pub decoder_norm: Option<f32>,
    /// What the decoder's bias starts from, one number per channel written, such as the
    /// [geometric median](crate::geometric_median) of activations as they are read; 0 if `None`.
    pub centre: Option<Vec<f32>>,
}

impl Default for Initial {
    fn default() -> Self {
        Self {
            decoder_norm: Some(1.0),
            centre: None,
        }
    }
}

/// Rows of Xavier's uniform distribution, scaled to a norm.
fn rows(rng: &mut ChaCha8Rng, count: usize, width: usize, norm: Option<f32>) -> Vec<f32> {
    let bound = (6.0 / (count + width) as f32).sqrt();
    let mut values: Vec<f32> = (0..count * width)
        .map(|_| rng.random_range(-bound..=bound))
        .collect();
    if let Some(norm) = norm {
        for row in values.chunks_mut(width) {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            for value in row {
                *value *= norm / length.max(1e-12);
            }
        }
    }
    values
}

fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let count = values.len() / width;
    (0..values.len())
        .map(|at| values[(at % count) * width + at / count])
        .collect()
}

pub(crate) fn draw(
    config: &SaeConfig,
    initial: &Initial,
    seed: u64,
    device: &Device,
) -> Result<Weights, SaeError> {
    let (d_in, d_sae, d_out) = (config.d_in, config.d_sae, config.d_out());
    let norm = initial.decoder_norm;
    if let Some(norm) = norm.filter(|norm| !(norm.is_finite() && *norm > 0.0)) {
        return Err(SaeError::setting("decoder_norm", norm, "above 0"));
    }
    let values = d_sae * d_in.max(d_out);
    if values > MOST {
        let valid = format!("at most {MOST} where weights are drawn");
        return Err(SaeError::setting(
            "a matrix's number of values",
            values,
            valid,
        ));
    }
    let centre = match &initial.centre {
        None => vec![0.0; d_out],
        Some(centre) if centre.len() == d_out && centre.iter().all(|v| v.is_finite()) => {
            centre.clone()
        }
        Some(centre) => {
            let value = format!("{} numbers", centre.len());
            let valid = format!("{d_out} finite numbers");
            return Err(SaeError::setting("centre", value, valid));
        }
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let decoder = rows(&mut rng, d_sae, d_out, norm);
    let mut weights = Weights::default();
    for slot in layout(config) {
        let values = match slot.name {
            "W_enc" if config.writes_what_it_reads() => transposed(&decoder, d_out),
            "W_enc" => transposed(&rows(&mut rng, d_sae, d_in, norm), d_in),
            "W_dec" => decoder.clone(),
            "b_dec" => centre.clone(),
            _ => vec![slot.value; slot.shape.iter().product()],
        };
        weights.push(slot.name, &slot.shape, values, slot.trainable, device);
    }
    Ok(weights)
}
