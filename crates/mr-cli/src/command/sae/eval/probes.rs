//! What a few latents tell of the labels.

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use mr_metrics::stats::mean;
use mr_models::data::Dataset;
use mr_models::{Model, floats};
use mr_sae::Dictionary;
use mr_train::{Activations, Labelled, ProbeConfig, folds, sparse_held_out};

use super::super::placed::Placed;
use crate::console::Console;

/// Folds that probes are judged on in turn.
const FOLDS: usize = 5;

/// How well k latents, and k channels, tell each class from the others: F1 over held-out examples, the mean over classes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sparse {
    pub(super) k: usize,
    pub(super) latents: f64,
    pub(super) channels: f64,
}

/// K-sparse probes (Gurnee et al. 2023) of each class, of codes and of the activations that they are of, each the mean over
/// an example's positions.
pub(super) fn probes(
    placed: &Placed<'_>,
    data: &Dataset,
    ks: &[usize],
    seed: u64,
    console: &Console,
) -> Result<Vec<Sparse>> {
    let latents = placed.sae.d_sae();
    if let Some(k) = ks.iter().find(|k| !(1..=latents).contains(k)) {
        bail!(
            "--probe {k}: {} has 1 to {latents} latents to read",
            placed.name
        );
    }
    let device = placed.network.device();
    let labels = data.labels();
    let dealt = folds(labels, FOLDS, seed).context("--probe")?;
    let classes: Vec<usize> = (0..data.classes())
        .filter(|class| labels.iter().filter(|label| *label == class).count() >= FOLDS)
        .collect();
    if classes.is_empty() {
        bail!("--probe: no class has {FOLDS} examples: raise --limit");
    }
    let (mut codes, mut held) = (Vec::new(), Vec::new());
    let positions = placed.positions(&data.input(&[0], &device))?;
    let all: Vec<usize> = (0..data.len()).collect();
    for rows in all.chunks(placed.batch(positions)) {
        let passed = placed.pass(&data.input(rows, &device))?;
        let pooled = |samples: Tensor<2>| {
            let [_, width] = samples.dims();
            let apart = samples.reshape([rows.len(), positions, width]);
            floats(apart.mean_dim(1))
        };
        held.extend(pooled(passed.x.clone()));
        codes.extend(pooled(placed.sae.encode(passed.x)));
    }
    let of = |values: Vec<f32>, width: usize| -> Result<Labelled> {
        Ok(Labelled {
            site: placed.writes.clone(),
            samples: Activations::new(values, width)?,
            per_example: 1,
        })
    };
    let sources = [of(codes, placed.sae.d_sae())?, of(held, placed.sae.d_in())?];
    let bar = console.bar("probes", ks.len() * classes.len());
    let mut found = Vec::with_capacity(ks.len());
    for (at, &k) in ks.iter().enumerate() {
        let mut f1 = [Vec::new(), Vec::new()];
        for (number, &class) in classes.iter().enumerate() {
            let property: Vec<bool> = labels.iter().map(|&label| label == class).collect();
            for (source, f1) in sources.iter().zip(&mut f1) {
                // There may be fewer channels than latents are asked for.
                let k = k.min(source.samples.width());
                let config = ProbeConfig::default();
                let held = sparse_held_out(source, &property, &dealt, k, &config);
                f1.push(held.with_context(|| format!("--probe {k}"))?.f1);
            }
            bar.at(at * classes.len() + number + 1, String::new);
        }
        found.push(Sparse {
            k,
            latents: mean(&f1[0])?,
            channels: mean(&f1[1])?,
        });
    }
    Ok(found)
}
