//! What a network does with a dictionary's reconstructions in the place of its activations.

use anyhow::{Result, bail};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use mr_models::{Edit, Input, Intervened, Model, Network, OfLength, Rewrite, floats};
use mr_sae::{Arrangement, Dictionary};

use super::super::fed::Fed;
use super::super::placed::Placed;

/// What stands in the place of a site's activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// They themselves.
    Clean,
    /// Their reconstruction.
    Made,
    /// 0.
    Zero,
    /// Their mean over all samples.
    Mean,
}

const PLACES: [Place; 4] = [Place::Clean, Place::Made, Place::Zero, Place::Mean];

/// Sums over what is foretold: classes of images, tokens of text.
#[derive(Debug, Clone, Default)]
pub(super) struct Behaviour {
    /// In nats, by place.
    loss: [f64; 4],
    right: [usize; 4],
    /// `KL(clean || place)` in nats, by place.
    divergence: [f64; 4],
    pub(super) count: usize,
}

impl Behaviour {
    /// The mean cross-entropy in nats.
    pub(super) fn loss(&self, place: Place) -> f64 {
        self.loss[place as usize] / self.count.max(1) as f64
    }

    pub(super) fn accuracy(&self, place: Place) -> f64 {
        self.right[place as usize] as f64 / self.count.max(1) as f64
    }

    pub(super) fn divergence(&self, place: Place) -> f64 {
        self.divergence[place as usize] / self.count.max(1) as f64
    }

    /// The share of the loss that an ablation costs which reconstructions do not: 1 where they cost nothing, 0 where they
    /// are no better than the ablation (Bricken et al. 2023; Gao et al. 2024). None where the ablation costs nothing.
    pub(super) fn recovered(&self, ablation: Place) -> Option<f64> {
        let cost = self.loss(ablation) - self.loss(Place::Clean);
        // What is lost in rounding is no cost.
        (cost.abs() > 1e-9).then(|| (self.loss(ablation) - self.loss(Place::Made)) / cost)
    }

    /// Adds a batch. `means` are those of what the dictionary writes, over all samples.
    pub(super) fn add(
        &mut self,
        placed: &Placed<'_>,
        data: &Fed,
        rows: &[usize],
        means: &[f32],
    ) -> Result<()> {
        let network = placed.network;
        let device = network.device();
        let input = data.input(rows, &device);
        let (next, mask) = answers(data, rows, network);
        let passed = placed.pass(&input)?;
        let made = placed.sae.reconstruct(passed.x);
        let mut clean = None;
        for place in PLACES {
            let logits = match place {
                Place::Clean => network.logits(&input),
                Place::Made => edited(placed, data, &input, |_, part| {
                    made.clone().slice_dim(1, part)
                })?,
                Place::Zero => edited(placed, data, &input, |count, part| {
                    Tensor::zeros([count, part.len()], &device)
                })?,
                Place::Mean => edited(placed, data, &input, |count, part| {
                    let row = Tensor::<1>::from_floats(&means[part.clone()], &device);
                    row.unsqueeze::<2>().expand([count, part.len()])
                })?,
            };
            let log_p = log_softmax(logits.clone(), 2);
            let reference = clean.get_or_insert_with(|| log_p.clone());
            self.count_in(place, &log_p, reference, &next, &mask)?;
        }
        self.count += mask.iter().filter(|&&known| known).count();
        Ok(())
    }

    fn count_in(
        &mut self,
        place: Place,
        log_p: &Tensor<3>,
        clean: &Tensor<3>,
        next: &Tensor<2, Int>,
        mask: &[bool],
    ) -> Result<()> {
        let own = floats(log_p.clone().gather(2, next.clone().unsqueeze_dim(2)));
        let best = floats(log_p.clone().max_dim(2));
        let apart = clean.clone().exp() * (clean.clone() - log_p.clone());
        let apart = floats(apart.sum_dim(2));
        for (((own, best), apart), _) in own
            .into_iter()
            .zip(best)
            .zip(apart)
            .zip(mask)
            .filter(|(_, known)| **known)
        {
            if !own.is_finite() || !apart.is_finite() {
                bail!("logits are not finite under {place:?} activations: are all weights finite?");
            }
            self.loss[place as usize] -= f64::from(own);
            self.right[place as usize] += usize::from(own >= best);
            self.divergence[place as usize] += f64::from(apart);
        }
        Ok(())
    }
}

/// The class of each example or the token after each position, and which can be known.
fn answers(data: &Fed, rows: &[usize], network: &Network) -> (Tensor<2, Int>, Vec<bool>) {
    let device = network.device();
    match data {
        Fed::Sequences(data) => {
            let mask = floats(data.mask(rows, &device));
            let mask = mask.into_iter().map(|known| known > 0.0).collect();
            (data.next(rows, &device), mask)
        }
        Fed::Images(data) => {
            let labels: Vec<i64> = rows.iter().map(|&row| data.labels()[row] as i64).collect();
            let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
            (labels.unsqueeze_dim(1), vec![true; rows.len()])
        }
        Fed::Stream(_) => (
            Tensor::zeros([rows.len(), 1], &device),
            vec![false; rows.len()],
        ),
    }
}

/// The logits where what the dictionary writes is something else: `made` gives so many samples of these channels.
fn edited(
    placed: &Placed<'_>,
    data: &Fed,
    input: &Input,
    mut made: impl FnMut(usize, std::ops::Range<usize>) -> Tensor<2>,
) -> Result<Tensor<3>> {
    let sites: Vec<&String> = match placed.sae.config().arrangement {
        Arrangement::Transcoder { .. } => vec![&placed.writes],
        _ => placed.reads.iter().collect(),
    };
    let network = placed.network;
    let (batch, positions) = (input.batch(), placed.positions(input)?);
    let mut edits = Vec::with_capacity(sites.len());
    let mut first = 0;
    for site in sites {
        let channels = network.spec().site(site)?.channels;
        let part = made(batch * positions, first..first + channels);
        first += channels;
        let part = part.reshape([batch, positions, channels]);
        edits.push(Edit::at(site, Rewrite::patch(part)));
    }
    Ok(match data {
        Fed::Sequences(data) => {
            let model = OfLength::new(network, data.positions())?;
            Intervened::new(&model, edits)?.logits(input)
        }
        _ => Intervened::new(network, edits)?.logits(input),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_is_1_at_the_clean_loss_and_0_at_the_ablation() {
        let mut seen = Behaviour {
            loss: [1.0, 1.0, 5.0, 1.0],
            count: 2,
            ..Behaviour::default()
        };
        assert_eq!(seen.recovered(Place::Zero), Some(1.0));
        assert_eq!(
            seen.recovered(Place::Mean),
            None,
            "an ablation that costs nothing"
        );
        seen.loss[Place::Made as usize] = 5.0;
        assert_eq!(seen.recovered(Place::Zero), Some(0.0));
        seen.loss[Place::Made as usize] = 2.0;
        assert_eq!(seen.recovered(Place::Zero), Some(0.75));
        assert_eq!(seen.loss(Place::Made), 1.0);
    }
}
