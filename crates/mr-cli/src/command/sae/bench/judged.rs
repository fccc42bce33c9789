//! One dictionary against the features that it was to find.

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use mr_metrics::dictionary::{Absorption, Detection, Fidelity, Firing, Recovery, nearest_cosines};
use mr_metrics::stats::mean;
use mr_metrics::superposition::ActivationMass;
use mr_models::data::Planted;
use mr_models::floats;
use mr_sae::Dictionary;

/// Examples that go through a dictionary at a time.
const BATCH: usize = 2048;

/// By how much more a child's latent has to point to the parent than the child does, in cosine, to stand in for it.
const POINTS: f64 = 0.1;

/// The measures, in the order in which they are listed.
pub(super) const MEASURES: [&str; 14] = [
    "l0",
    "mcc",
    "f1",
    "explained_variance",
    "precision",
    "recall",
    "uniqueness",
    "recovered",
    "absorbed",
    "dead",
    "norm_ratio",
    "nearest_cosine",
    "F",
    "psi",
];

/// The measures of one dictionary.
pub(super) type Judged = [f64; MEASURES.len()];

/// Judges a dictionary on the first examples of a stream of planted features.
pub(super) fn judge(
    dictionary: &dyn Dictionary,
    planted: &Planted,
    examples: usize,
    device: &Device,
) -> Result<Judged> {
    let (width, features) = (planted.config().width, planted.config().features);
    let latents = dictionary.d_sae();
    let rows = |values: &[f32], width: usize| {
        let shape = [values.len() / width, width];
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), device)
    };
    let truth = rows(planted.directions(), width);
    let directions = dictionary.directions();
    let recovery = Recovery::new(&directions, &truth)?;
    let mut firing = Firing::new(latents);
    let mut fidelity = Fidelity::default();
    let mut detection = Detection::new(recovery.nearest(), latents, features)?;
    let mut absorption =
        Absorption::new(&recovery, &directions, &truth, planted.parents(), POINTS)?;
    let mut mass = ActivationMass::default();
    for start in (0..examples).step_by(BATCH) {
        let batch = planted.batch(start as u64, BATCH.min(examples - start));
        let x = rows(&batch.activations, width);
        let codes = dictionary.encode(x.clone());
        mass.add(codes.clone())?;
        let made = floats(dictionary.decode_at(codes.clone(), &x));
        let codes = floats(codes);
        firing.add(&codes)?;
        fidelity.add(&batch.activations, &made, width)?;
        detection.add(&codes, &batch.coefficients)?;
        absorption.add(&codes, &batch.coefficients)?;
    }
    let found = detection.mean();
    let effective = mass.effective_features()?;
    let cosines = nearest_cosines(&directions).context("directions of the dictionary")?;
    Ok([
        firing.l0()?,
        recovery.mcc(),
        found.f1,
        fidelity.explained_variance()?,
        found.precision,
        found.recall,
        recovery.uniqueness(),
        recovery.recovered(0.9),
        absorption.mean().unwrap_or(0.0),
        firing.dead_share()?,
        fidelity.norm_ratio()?,
        mean(&cosines)?,
        effective,
        effective / width as f64,
    ])
}
