//! A network and its circuit side by side, for attacks on what they have in common.

use burn::tensor::{Device, Tensor};
use mr_models::objective::kl_divergence;
use mr_models::{Cache, Hook, Input, Labels, Model, ModelSpec, Objective};

use crate::ablation::Ablation;
use crate::circuit::Circuit;
use crate::cut::Cut;
use crate::error::CircuitError;

/// A network beside a circuit of it, as a model that an attack can climb: its only logit, at one position, is
/// KL(network || circuit), summed over positions. Under [`Divergence`] an attack in an epsilon-ball finds the
/// input there for which the circuit explains the network worst.
///
/// Hooks see both runs, the network's and then the circuit's: what one adds at a site is added in both, so that a
/// ball may be around an embedding too, and what one keeps is the circuit's. Under resample ablation, what cut edges carry stays that of the corrupt
/// example, whatever the attack changes.
#[derive(Debug, Clone)]
pub struct Diverging<M> {
    model: M,
    circuit: Cut<M>,
    spec: ModelSpec,
}

impl<M: Model + Clone> Diverging<M> {
    /// A network and one of its circuits.
    ///
    /// # Errors
    /// [`CircuitError::Foreign`] or [`CircuitError::Empty`] if it is none of this network.
    pub fn new(model: M, circuit: &Circuit, ablation: &Ablation) -> Result<Self, CircuitError> {
        circuit.fits(model.spec())?;
        Ok(Self {
            circuit: Cut::new(model.clone(), &circuit.cut_edges(), ablation)?,
            spec: ModelSpec {
                classes: 1,
                ..model.spec().clone()
            },
            model,
        })
    }
}

impl<M: Model> Model for Diverging<M> {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        let network = self.model.run(input, hook);
        let circuit = self.circuit.run(input, hook);
        let [batch, _, _] = network.dims();
        kl_divergence(&network, &circuit).reshape([batch, 1, 1])
    }

    fn is_random(&self) -> bool {
        self.model.is_random()
    }
}

/// The one logit of [`Diverging`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Divergence;

impl Objective for Divergence {
    fn name(&self) -> String {
        "divergence".into()
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, _labels: &Labels) -> Tensor<1> {
        logits
            .clone()
            .slice([0..logits.dims()[0], 0..1, 0..1])
            .flatten(0, 2)
    }
}
