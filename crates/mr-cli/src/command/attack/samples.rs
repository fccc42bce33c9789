//! Adversarial examples as files.

use std::path::Path;

use anyhow::Result;
use mr_attacks::{Evaluation, Place, ThreatModel};
use mr_models::data::Dataset;
use mr_models::{Model, write_tensors};

use crate::opened::Opened;

/// Name of the few that lie beside a record: `clean`, `adversarial` and `difference`
/// `[example, channel, height, width]`, and of each its `index`, its `label` and both predictions.
pub(super) const FILE: &str = "samples.safetensors";
/// How many of them.
const FEW: usize = 8;

/// Writes every example: `clean` and `adversarial` `[example, channel, height, width]` (at a site
/// `adversarial` is what is added there, `[example, position, channel]`), `index` and `label`.
/// Where nothing was found, the adversarial example is the clean one.
pub(in crate::command) fn save(
    path: &Path,
    opened: &Opened,
    threat: &ThreatModel,
    points: Option<&[f32]>,
) -> Result<()> {
    let data = &opened.data;
    let [channels, height, width] = data.shape();
    let count = data.len();
    let clean = (0..count).flat_map(|example| data.image(example));
    let shape = match &threat.place {
        Place::Input => vec![count, channels, height, width],
        Place::Site(name) => {
            let site = opened.subject.network.spec().site(name)?;
            vec![count, site.positions, site.channels]
        }
    };
    let points = points.unwrap_or_default().to_vec();
    let pictures = vec![count, channels, height, width];
    let indices = (0..count).map(|example| data.number(example) as f32);
    let labels = data.labels().iter().map(|&label| label as f32);
    write_tensors(
        path,
        &[
            ("adversarial".into(), shape, points),
            ("clean".into(), pictures, clean.collect()),
            ("index".into(), vec![count], indices.collect()),
            ("label".into(), vec![count], labels.collect()),
        ],
        &[],
    )?;
    Ok(())
}

/// Writes the first few adversarial examples; false if there are none to see.
pub(super) fn save_few(
    path: &Path,
    data: &Dataset,
    threat: &ThreatModel,
    found: &Evaluation,
) -> Result<bool> {
    let Some(points) = found
        .points
        .as_ref()
        .filter(|_| threat.place == Place::Input)
    else {
        return Ok(false);
    };
    let broken = (0..found.examples.len()).filter(|&i| found.examples[i].attack.is_some());
    let few: Vec<usize> = broken.take(FEW).collect();
    if few.is_empty() {
        return Ok(false);
    }
    let [channels, height, width] = data.shape();
    let pixels = channels * height * width;
    let clean: Vec<f32> = few.iter().flat_map(|&i| data.image(i)).collect();
    let adversarial: Vec<f32> = few
        .iter()
        .flat_map(|&i| points[i * pixels..(i + 1) * pixels].iter().copied())
        .collect();
    let difference = adversarial.iter().zip(&clean).map(|(a, c)| a - c).collect();
    let shape = vec![few.len(), channels, height, width];
    let of = |value: fn(&mr_attacks::Judged) -> f32| {
        let values = few.iter().map(|&i| value(&found.examples[i])).collect();
        (vec![few.len()], values)
    };
    let images = [
        ("adversarial", adversarial),
        ("clean", clean),
        ("difference", difference),
    ];
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = images
        .into_iter()
        .map(|(name, values)| (name.to_string(), shape.clone(), values))
        .collect();
    for (name, (shape, values)) in [
        ("adversarial_prediction", of(|e| e.adversarial as f32)),
        ("clean_prediction", of(|e| e.clean as f32)),
        ("index", of(|e| e.index as f32)),
        ("label", of(|e| e.label as f32)),
    ] {
        tensors.push((name.into(), shape, values));
    }
    write_tensors(path, &tensors, &[])?;
    Ok(true)
}
