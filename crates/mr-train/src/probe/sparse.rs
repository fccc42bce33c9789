//! Probes of a few latents.

use super::fit::{FittedProbe, HeldOut, ProbeConfig, answer, fit_probe, nothing_judged};
use super::reading::Labelled;
use crate::error::TrainError;

/// What k-sparse probes do with samples that were held out of their fit.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseHeldOut {
    /// Their answers, sample by sample: output 1 is the property.
    pub held_out: HeldOut,
    /// The latents that the probe of each fold reads, the most different first.
    pub latents: Vec<Vec<usize>>,
    /// The harmonic mean of precision and recall of the property, over all samples; 0 where it is never said rightly.
    pub f1: f64,
}

/// K-sparse probing (Gurnee et al. 2023): how well a property is read from k latents alone. For each fold of
/// [`folds`](super::folds) the other samples choose the k latents whose means with and without the property differ most (their
/// "max mean activation difference", section 3.2), of equal ones the lower, and fit a probe of these; the fold judges it.
///
/// # Errors
/// [`TrainError::Setting`] if k is 0 or above the latents; [`TrainError::Data`] if the samples outside of a fold are all of one
/// label, and those of [`fit_probe`].
///
/// # Panics
/// If there is not a fold for each example.
pub fn sparse_held_out(
    of: &Labelled,
    property: &[bool],
    folds: &[usize],
    k: usize,
    config: &ProbeConfig,
) -> Result<SparseHeldOut, TrainError> {
    let (samples, per_example) = (&of.samples, of.per_example);
    let (all, width) = (samples.count(), samples.width());
    assert_eq!(folds.len() * per_example, all, "a fold for each example");
    if k == 0 || k > width {
        let valid = format!("from 1 to the number of latents, {width}");
        return Err(TrainError::setting("k", k, valid));
    }
    if property.len() != all {
        let labels = property.len();
        return Err(TrainError::Data(format!(
            "{labels} labels for {all} samples"
        )));
    }
    let labels: Vec<usize> = property.iter().map(|&has| usize::from(has)).collect();
    let outputs = ["without", "with"].map(String::from);
    let mut judged = nothing_judged(all);
    let (mut converged, mut latents) = (true, Vec::new());
    for fold in 0..folds.iter().max().map_or(0, |last| last + 1) {
        let held = |row: &usize| folds[row / per_example] == fold;
        let (out, kept): (Vec<usize>, Vec<usize>) = (0..all).partition(held);
        let chosen = most_different(of, property, &kept, k)?;
        let read = Labelled {
            site: of.site.clone(),
            samples: samples.columns(&chosen)?,
            per_example,
        };
        let fitted: FittedProbe = fit_probe(&read, &labels, &kept, &outputs, config)?;
        converged &= fitted.converged;
        answer(&fitted.probe, &read.samples, &labels, &out, &mut judged);
        latents.push(chosen);
    }
    let count = |said: usize, is: usize| {
        let both = judged.predicted.iter().zip(&labels);
        both.filter(|&(&predicted, &label)| predicted == said && label == is)
            .count() as f64
    };
    let (both, wrong) = (count(1, 1), count(1, 0) + count(0, 1));
    let f1 = if both > 0.0 {
        2.0 * both / (2.0 * both + wrong)
    } else {
        0.0
    };
    Ok(SparseHeldOut {
        held_out: HeldOut { judged, converged },
        latents,
        f1,
    })
}

/// The k latents whose means over these rows with and without the property differ most.
fn most_different(
    of: &Labelled,
    property: &[bool],
    rows: &[usize],
    k: usize,
) -> Result<Vec<usize>, TrainError> {
    let width = of.samples.width();
    let mut sums = vec![[0.0; 2]; width];
    let mut counts = [0.0_f64; 2];
    for &row in rows {
        let side = usize::from(property[row]);
        counts[side] += 1.0;
        let values = &of.samples.values()[row * width..][..width];
        for (sums, &value) in sums.iter_mut().zip(values) {
            sums[side] += f64::from(value);
        }
    }
    if counts.contains(&0.0) {
        return Err(TrainError::Data(format!(
            "of {} samples that a probe is fitted to, {} have the property: it takes some with and some without",
            rows.len(),
            counts[1]
        )));
    }
    let difference = |sums: &[f64; 2]| (sums[1] / counts[1] - sums[0] / counts[0]).abs();
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| difference(&sums[b]).total_cmp(&difference(&sums[a])));
    order.truncate(k);
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::Activations;
    use crate::probe::folds;

    /// Latent 1 is on with the property, latent 2 on half of its samples, latent 0 always.
    fn codes(count: usize) -> (Labelled, Vec<bool>) {
        let property: Vec<bool> = (0..count).map(|i| i % 3 == 0).collect();
        let on = |yes: bool| f32::from(u8::from(yes));
        let values = property
            .iter()
            .enumerate()
            .flat_map(|(i, &has)| [5.0, 2.0 * on(has), 3.0 * on(has && i % 2 == 0)]);
        let samples = Activations::new(values.collect(), 3).unwrap();
        let of = Labelled {
            site: "codes".into(),
            samples,
            per_example: 1,
        };
        (of, property)
    }

    #[test]
    fn the_latent_of_the_property_is_chosen_and_suffices() {
        let (of, property) = codes(60);
        let labels: Vec<usize> = property.iter().map(|&has| has.into()).collect();
        let folds = folds(&labels, 3, 0).unwrap();
        let config = ProbeConfig::default();
        let found = sparse_held_out(&of, &property, &folds, 1, &config).unwrap();
        assert_eq!(found.latents, [[1], [1], [1]]);
        assert_eq!(found.f1, 1.0);
        assert!(found.held_out.judged.right.iter().all(|&right| right));
        // Without it, the half that is left: recall 1/2, precision 1.
        let half = Labelled {
            samples: of.samples.columns(&[0, 2]).unwrap(),
            ..of
        };
        let found = sparse_held_out(&half, &property, &folds, 1, &config).unwrap();
        assert_eq!(found.latents, [[1], [1], [1]]);
        assert!((found.f1 - 2.0 / 3.0).abs() < 1e-12, "{}", found.f1);
    }

    #[test]
    fn what_cannot_be_probed_is_told() {
        let (of, property) = codes(6);
        let folds = [0, 1, 0, 1, 0, 1];
        let config = ProbeConfig::default();
        let error = |property: &[bool], k| {
            let found = sparse_held_out(&of, property, &folds, k, &config);
            found.unwrap_err().to_string()
        };
        assert!(error(&property, 0).contains("from 1 to"), "k");
        assert!(error(&property, 4).contains("latents, 3"));
        assert!(error(&[false; 6], 1).contains("0 have the property"));
        assert!(error(&[false; 5], 1).contains("5 labels for 6 samples"));
        assert!(of.samples.columns(&[3]).is_err());
    }
}
