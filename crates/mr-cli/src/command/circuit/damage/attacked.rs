//! The pairs of clean and adversarial examples.

use anyhow::{Result, bail};
use burn::tensor::{Tensor, TensorData};
use mr_attacks::{EvaluationConfig, ObjectiveAttack, ThreatModel, aim};
use mr_circuits::Pair;
use mr_models::{Labels, Network, Objective, Workers};

use crate::console::Console;
use crate::opened::Opened;

/// A network, and the examples that it gets right and an attack breaks.
pub(super) struct Attacked<'a> {
    pub(super) opened: &'a Opened,
    pub(super) network: &'a Network,
    pub(super) objective: &'a dyn Objective,
    /// Examples that are right without an attack.
    pub(super) right: usize,
    /// Which of the data are broken.
    pub(super) broken: Vec<usize>,
    /// All adversarial points, one after the other.
    points: Vec<f32>,
}

impl<'a> Attacked<'a> {
    /// Attacks all of the data.
    pub(super) fn new(
        opened: &'a Opened,
        network: &'a Network,
        threat: &ThreatModel,
        attack: &dyn ObjectiveAttack,
        objective: &'a dyn Objective,
        console: &Console,
    ) -> Result<Self> {
        let running = EvaluationConfig {
            keep: true,
            ..opened.settings.evaluation.clone()
        };
        let bar = console.bar(&attack.name(), opened.data.len());
        // Attacks climb the margin, whatever is split: it is what breaks examples.
        let found = aim(
            network,
            &opened.data,
            threat,
            attack,
            &mr_models::objective::Margin,
            &running,
            &mut |done| {
                bar.at(done, String::new);
                true
            },
        )?;
        let examples = found.examples.iter().enumerate();
        let right = examples.filter(|(_, aim)| aim.clean == aim.label);
        let (right, broken): (Vec<usize>, Vec<bool>) = right
            .map(|(at, aim)| (at, aim.adversarial != aim.label))
            .unzip();
        let count = right.len();
        let broken: Vec<usize> = right
            .into_iter()
            .zip(broken)
            .filter_map(|(at, broken)| broken.then_some(at))
            .collect();
        if broken.len() < 2 {
            bail!(
                "the attack breaks {} of {count} examples that are right: damage takes two at least, one to \
                 rank parts on and one to restore; raise --epsilon or --limit",
                broken.len()
            );
        }
        Ok(Self {
            opened,
            network,
            objective,
            right: count,
            broken,
            points: found.points.unwrap_or_default(),
        })
    }

    /// The pair of these examples of the data, with their labels.
    pub(super) fn pair(&self, examples: &[usize]) -> Result<(Pair, Labels)> {
        let (data, device) = (&self.opened.data, &self.opened.device.device);
        let [channels, height, width] = data.shape();
        let pixels = channels * height * width;
        let corrupt = examples
            .iter()
            .flat_map(|&at| &self.points[at * pixels..(at + 1) * pixels]);
        let corrupt: Vec<f32> = corrupt.copied().collect();
        let shape = [examples.len(), channels, height, width];
        let corrupt = Tensor::<4>::from_data(TensorData::new(corrupt, shape), device);
        let pair = Pair::new(data.input(examples, device), corrupt.into())?;
        Ok((pair, data.labels_of(examples, device)))
    }

    /// The true classes of these examples.
    pub(super) fn truth(&self, examples: &[usize]) -> Vec<usize> {
        examples
            .iter()
            .map(|&at| self.opened.data.labels()[at])
            .collect()
    }

    /// The broken examples to rank parts on, and those to restore: every second one each.
    pub(super) fn halves(&self) -> [Vec<usize>; 2] {
        [0, 1].map(|first| self.broken.iter().copied().skip(first).step_by(2).collect())
    }

    /// Does a job with each batch of examples, on worker threads, and gives the results in their order.
    pub(super) fn batches<T: Send>(
        &self,
        examples: &[usize],
        job: impl Fn(&[usize]) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let evaluation = &self.opened.settings.evaluation;
        let batches: Vec<&[usize]> = examples.chunks(evaluation.batch_size.max(1)).collect();
        let workers = Workers::new(evaluation.threads);
        workers.map(batches.len(), |batch| job(batches[batch]))
    }
}
