//! The numbers of one dictionary.

use std::sync::Arc;

use anyhow::{Result, bail};
use mr_metrics::dictionary::{Densities, Fidelity, Firing, nearest_cosines};
use mr_metrics::stats::mean;
use mr_metrics::superposition::ActivationMass;
use mr_models::{Model, floats};
use mr_sae::{Dictionary, ErrorTerm, Splice};
use mr_train::recovered;

use super::super::fed::Fed;
use super::super::placed::Placed;
use super::parts::{ByPart, Parts};
use super::probes::Sparse;
use crate::console::Console;
use crate::opened::Examples;

/// Bins of a decade of densities.
const BINS: usize = 4;

/// What was measured.
pub(super) struct Judged {
    /// What the dictionary is called.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: &'static str,
    /// Name and value, in the order of a listing; what is not defined is left out.
    pub(super) numbers: Vec<(&'static str, f64)>,
    pub(super) densities: Densities,
    pub(super) samples: u64,
    /// What few latents tell of labels, where that was asked.
    pub(super) probed: Vec<Sparse>,
    /// What it makes of each of several activations, and what these share.
    pub(super) parts: Option<Parts>,
}

impl Judged {
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let found = self.numbers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// Judges a dictionary on all examples: first what it makes of activations, then what the network makes of that.
pub(super) fn judge(
    placed: &Placed<'_>,
    data: &Fed,
    behaves: bool,
    console: &Console,
) -> Result<Judged> {
    let device = placed.network.device();
    let (sae, count) = (&placed.sae, data.count());
    let (latents, width) = (sae.d_sae(), sae.d_out());
    let (mut firing, mut fidelity) = (Firing::new(latents), Fidelity::default());
    let mut mass = ActivationMass::default();
    let mut by_part = ByPart::of(placed);
    let positions = placed.positions(&data.input(&[0], &device))?;
    let all: Vec<usize> = (0..count).collect();
    let bar = console.bar(&placed.name, count);
    for rows in all.chunks(placed.batch(positions)) {
        let passed = placed.pass(&data.input(rows, &device))?;
        let target = floats(passed.target);
        if let Some(at) = target.iter().position(|value| !value.is_finite()) {
            bail!(
                "example {} holds {} at {}: are all weights finite?",
                rows[at / (width * positions)],
                target[at],
                placed.writes
            );
        }
        let codes = sae.encode(passed.x.clone());
        let made = sae.decode_at(codes.clone(), &passed.x);
        let made = floats(made);
        fidelity.add(&target, &made, width)?;
        if let Some(by_part) = &mut by_part {
            by_part.add(&target, &made)?;
        }
        mass.add(codes.clone())?;
        firing.add(&floats(codes))?;
        bar.at(rows[rows.len() - 1] + 1, String::new);
    }
    let mut numbers = vec![("l0", firing.l0()?)];
    // A site that does not vary has no variance to explain.
    let optional = [
        ("explained_variance", fidelity.explained_variance()),
        ("fvu", fidelity.fvu()),
        ("squared_error", fidelity.squared_error()),
        ("norm_ratio", fidelity.norm_ratio()),
        ("bias", fidelity.bias()),
        ("effective_features", mass.effective_features()),
    ];
    numbers.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.ok()?))),
    );
    if let Ok(effective) = mass.effective_features() {
        numbers.push(("psi", effective / width as f64));
    }
    numbers.push(("dead", firing.dead() as f64));
    numbers.push(("dead_share", firing.dead_share()?));
    let cosines = nearest_cosines(&sae.directions())?;
    numbers.push(("decoder_cosine", mean(&cosines)?));
    if behaves {
        numbers.extend(behaviour(placed, data)?);
    }
    let parts = by_part.map(|parts| parts.judged(sae, &firing));
    Ok(Judged {
        parts: parts.transpose()?,
        name: placed.name.clone(),
        kind: sae.config().kind.name(),
        numbers,
        densities: firing.densities(BINS)?,
        samples: firing.samples(),
        probed: Vec::new(),
    })
}

/// What the network makes of reconstructions in the place of its activations. Nothing of a crosscoder, which has several
/// places, if not in several networks.
fn behaviour(placed: &Placed<'_>, data: &Fed) -> Result<Vec<(&'static str, f64)>> {
    let ([site], None) = (placed.reads.as_slice(), placed.other) else {
        return Ok(Vec::new());
    };
    let mut splice = Splice::new(Arc::new(placed.sae.clone()), site, ErrorTerm::Dropped);
    if placed.writes != *site {
        splice = splice.writing(&placed.writes);
    }
    let found = recovered(placed.network, data.data(), &[splice])?;
    if ![found.clean, found.spliced]
        .iter()
        .all(|loss| loss.is_finite())
    {
        bail!(
            "the loss is {}, and {} with reconstructions: are all weights finite?",
            found.clean,
            found.spliced
        );
    }
    let mut numbers = vec![
        ("loss_recovered", found.against_zero()),
        ("loss_recovered_mean", found.against_mean()),
        ("kl", found.kl),
        ("loss_clean", found.clean),
        ("loss_spliced", found.spliced),
        ("loss_zero", found.zero),
        ("loss_mean", found.mean),
        ("accuracy_clean", found.accuracy),
        ("accuracy_spliced", found.spliced_accuracy),
    ];
    // An ablation that costs nothing leaves nothing to recover.
    numbers.retain(|(_, value)| value.is_finite());
    Ok(numbers)
}
