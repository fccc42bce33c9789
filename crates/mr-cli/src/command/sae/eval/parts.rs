//! A crosscoder's activations one by one, and what two of them share.

use anyhow::Result;
use mr_metrics::dictionary::{EXCLUSIVE, Fidelity, Firing, Owner, Sharing};
use mr_metrics::finding::{PlotData, PlotGroup};
use mr_metrics::stats::{mean, median};
use mr_metrics::{ExperimentRecord, Series};
use mr_sae::{Dictionary, Sae};
use serde_json::{Value, json};

use super::super::placed::Placed;
use crate::report::{Line, panel, panels};

/// Bins of a histogram.
const BINS: usize = 20;

/// Activations and reconstructions, gathered part by part.
pub(super) struct ByPart {
    names: Vec<String>,
    fidelity: Vec<Fidelity>,
    width: usize,
}

/// What is known of each part.
pub(super) struct Parts {
    /// By name; what is not defined is left out.
    pub(super) numbers: Vec<(String, f64)>,
    /// Of two parts: relative norms and cosines of latents that are ever on, by latent.
    shared: Option<Vec<Shared>>,
}

/// One latent that is on somewhere.
struct Shared {
    latent: usize,
    relative_norm: f64,
    cosine: Option<f64>,
}

impl ByPart {
    /// None of a dictionary that reads one activation.
    pub(super) fn of(placed: &Placed<'_>) -> Option<Self> {
        let names = placed.parts();
        let parts = placed.sae.config().parts();
        (parts > 1 && parts == names.len()).then(|| Self {
            fidelity: vec![Fidelity::default(); parts],
            width: placed.sae.d_in() / parts,
            names,
        })
    }

    /// Adds activations and their reconstructions, row-major `[sample, part * channel]`.
    pub(super) fn add(&mut self, x: &[f32], made: &[f32]) -> Result<()> {
        let (width, whole) = (self.width, self.width * self.fidelity.len());
        for (part, fidelity) in self.fidelity.iter_mut().enumerate() {
            let own = |rows: &[f32]| -> Vec<f32> {
                let rows = rows.chunks_exact(whole);
                rows.flat_map(|row| &row[part * width..(part + 1) * width])
                    .copied()
                    .collect()
            };
            fidelity.add(&own(x), &own(made), width)?;
        }
        Ok(())
    }

    /// What came out.
    pub(super) fn judged(self, sae: &Sae, firing: &Firing) -> Result<Parts> {
        let mut numbers = Vec::new();
        for (name, fidelity) in self.names.iter().zip(&self.fidelity) {
            if let Ok(explained) = fidelity.explained_variance() {
                numbers.push((format!("explained_variance.{name}"), explained));
            }
        }
        let [first, second] = self.fidelity.as_slice() else {
            return Ok(Parts {
                numbers,
                shared: None,
            });
        };
        let spreads = [first.variance()?.sqrt(), second.variance()?.sqrt()];
        let sharing = Sharing::of(&sae.directions(), spreads)?;
        let alive = (0..sae.d_sae()).filter(|&latent| firing.counts()[latent] > 0);
        let alive: Vec<usize> = alive.collect();
        let owned = |owner: Owner| {
            let those = alive
                .iter()
                .filter(|&&latent| sharing.owner(latent) == Some(owner));
            those.count() as f64
        };
        numbers.push(("shared".into(), owned(Owner::Both)));
        for (name, owner) in self.names.iter().zip([Owner::First, Owner::Second]) {
            numbers.push((format!("only.{name}"), owned(owner)));
        }
        let shared: Vec<Shared> = alive
            .iter()
            .filter_map(|&latent| {
                Some(Shared {
                    latent,
                    relative_norm: sharing.relative_norms[latent]?,
                    cosine: sharing.cosines[latent],
                })
            })
            .collect();
        let cosines = cosines(&shared);
        if !cosines.is_empty() {
            numbers.push(("shared_cosine.mean".into(), mean(&cosines)?));
            numbers.push(("shared_cosine.median".into(), median(&cosines)?));
        }
        Ok(Parts {
            numbers,
            shared: Some(shared),
        })
    }
}

/// Cosines of the latents that both parts have.
fn cosines(latents: &[Shared]) -> Vec<f64> {
    let both = |one: &&Shared| (EXCLUSIVE..=1.0 - EXCLUSIVE).contains(&one.relative_norm);
    let both = latents.iter().filter(both);
    both.filter_map(|one| one.cosine).collect()
}

impl Parts {
    pub(super) fn fill(&self, name: &str, record: &mut ExperimentRecord) -> Result<()> {
        for (what, value) in &self.numbers {
            record.number(&format!("{name}.{what}"), *value);
        }
        let Some(latents) = &self.shared else {
            return Ok(());
        };
        let norms: Vec<f64> = latents.iter().map(|one| one.relative_norm).collect();
        for (what, values, low) in [
            ("relative_norms", norms, 0.0),
            ("shared_cosines", cosines(latents), -1.0),
        ] {
            let (begins, counts) = histogram(&values, low);
            record.curve(&format!("{name}.{what}"), Series::new(what, begins, counts))?;
        }
        Ok(())
    }

    /// For a program: every latent that is on somewhere.
    pub(super) fn object(&self) -> Value {
        let latent = |one: &Shared| json!({ "latent": one.latent, "relative_norm": one.relative_norm, "cosine": one.cosine });
        let latents = self.shared.iter().flatten().map(latent);
        json!(latents.collect::<Vec<_>>())
    }

    /// Latents by relative norm, and those of both by the cosine of their directions; none of more than two parts.
    pub(super) fn plot(&self, title: &str, name: &str) -> Option<String> {
        let latents = self.shared.as_ref()?;
        let norms: Vec<f64> = latents.iter().map(|one| one.relative_norm).collect();
        let line = Line {
            name: format!("{name}: latents that are on somewhere"),
            colour: 0,
            dashes: 0,
        };
        let data = [
            bars(
                "relative decoder norm: 0 the first's alone, 1 the second's",
                &norms,
                0.0,
            ),
            bars(
                "cosine of the two directions of shared latents",
                &cosines(latents),
                -1.0,
            ),
        ];
        Some(panels(title, &[line], data.into()))
    }
}

/// Where each bin from `low` to 1 begins, and how many values it holds.
fn histogram(values: &[f64], low: f64) -> (Vec<f64>, Vec<f64>) {
    let wide = (1.0 - low) / BINS as f64;
    let mut counts = vec![0.0; BINS];
    for value in values {
        let bin = ((value - low) / wide).max(0.0) as usize;
        counts[bin.min(BINS - 1)] += 1.0;
    }
    (
        (0..BINS).map(|bin| low + wide * bin as f64).collect(),
        counts,
    )
}

/// A histogram's outline.
fn bars(label: &str, values: &[f64], low: f64) -> PlotData {
    let wide = (1.0 - low) / BINS as f64;
    let mut group = PlotGroup::default();
    let (begins, counts) = histogram(values, low);
    for (begin, count) in begins.into_iter().zip(counts) {
        group.x.extend([begin, begin + wide]);
        group.y.extend([count; 2]);
    }
    PlotData {
        groups: vec![group],
        ..panel(label, "latents")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_holds_every_value() {
        let (begins, counts) = histogram(&[0.0, 0.049, 0.5, 1.0, 1.0 + 1e-9], 0.0);
        assert_eq!((counts[0], counts[10], counts[19]), (2.0, 1.0, 2.0));
        assert!((begins[10] - 0.5).abs() < 1e-12);
        let (_, counts) = histogram(&[-1.0, -1.0 - 1e-9, 0.0], -1.0);
        assert_eq!((counts[0], counts[10]), (2.0, 1.0));
    }
}
