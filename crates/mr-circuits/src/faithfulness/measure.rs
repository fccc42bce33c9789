//! Faithfulness.

use burn::tensor::Tensor;
use mr_models::objective::kl_divergence;
use mr_models::{Edge, Input, Labels, Model, Objective, floats, values_at};

use crate::ablation::Ablation;
use crate::circuit::Circuit;
use crate::cut::Cut;
use crate::error::CircuitError;

/// A behaviour, an objective on inputs, of a network and of the same network with every edge cut: what a
/// circuit's behaviour lies between.
pub struct Faithfulness<'a, M> {
    cut: Cut<M>,
    input: &'a Input,
    labels: &'a Labels,
    objective: &'a dyn Objective,
    /// The network's logits.
    reference: Tensor<3>,
    /// The objective of each example of the network.
    pub whole: Vec<f32>,
    /// The objective of each example with every edge cut.
    pub empty: Vec<f32>,
}

/// How faithful one circuit is, by example.
#[derive(Debug, Clone, PartialEq)]
pub struct Faithful {
    /// The objective of each example.
    pub values: Vec<f32>,
    /// KL(network || circuit) of each example, summed over positions.
    pub divergences: Vec<f32>,
    /// `(m(circuit) - m(empty)) / (m(network) - m(empty))` of the batch, with m the sum over examples: 1 where
    /// the circuit does what the network does, 0 where it does what is left with every edge cut (Wang et al.
    /// 2023; Hanna, Pezzelle & Belinkov 2024; MIB, Mueller et al. 2025).
    pub faithfulness: f64,
    /// The same of each example, NaN where the network and the empty circuit agree.
    pub examples: Vec<f64>,
}

impl Faithful {
    /// A tail over the examples: the faithfulness that a share `at` in [0, 1] of them stays below, 0 for the
    /// worst example. Examples without a difference do not count; NaN if there are no others.
    pub fn tail(&self, at: f64) -> f64 {
        let finite = self.examples.iter().copied().filter(|f| f.is_finite());
        percentile(finite.collect(), at)
    }

    /// The divergence that a share `at` in [0, 1] of the examples stays below, 1 for the worst example.
    pub fn divergence(&self, at: f64) -> f64 {
        percentile(
            self.divergences.iter().map(|&kl| f64::from(kl)).collect(),
            at,
        )
    }
}

/// The value below which a share of all lies, the nearest one; NaN of none.
fn percentile(mut all: Vec<f64>, at: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    let last = all.len().saturating_sub(1) as f64;
    let at = (at.clamp(0.0, 1.0) * last).round() as usize;
    all.get(at).copied().unwrap_or(f64::NAN)
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum()
}

impl<'a, M: Model + Clone> Faithfulness<'a, M> {
    /// The behaviour on these inputs, where cut edges carry what the ablation says.
    ///
    /// # Errors
    /// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Model`] if the inputs or the
    /// objective do not fit, [`CircuitError::Behaviour`] if the objective of the whole network and of the
    /// empty one agree, or one is not finite.
    pub fn new(
        model: M,
        input: &'a Input,
        labels: &'a Labels,
        objective: &'a dyn Objective,
        ablation: &Ablation,
    ) -> Result<Self, CircuitError> {
        model.spec().accepts(input)?;
        let reference = model.logits(input);
        let edges = model.spec().wiring.edges();
        let cut = Cut::new(model, &[], ablation)?;
        let mut made = Self {
            cut,
            input,
            labels,
            objective,
            reference,
            whole: Vec::new(),
            empty: Vec::new(),
        };
        (made.whole, _) = made.values(&[])?;
        (made.empty, _) = made.values(&edges)?;
        let (whole, empty) = (sum(&made.whole), sum(&made.empty));
        let difference = whole - empty;
        if difference == 0.0 || !difference.is_finite() {
            return Err(CircuitError::Behaviour { whole, empty });
        }
        Ok(made)
    }

    /// The objective of each example with these edges cut, and its divergence from the network.
    pub(super) fn values(&self, cut: &[Edge]) -> Result<(Vec<f32>, Vec<f32>), CircuitError> {
        let model = self.cut.with(cut);
        let (values, logits) = values_at(&model, self.input, self.labels, self.objective, &[])?;
        Ok((
            floats(values),
            floats(kl_divergence(&self.reference, &logits)),
        ))
    }

    /// Of a circuit.
    ///
    /// # Errors
    /// [`CircuitError::Foreign`] or [`CircuitError::Empty`] if it is none of this network,
    /// [`CircuitError::Divergence`] if its behaviour is not finite.
    pub fn of(&self, circuit: &Circuit) -> Result<Faithful, CircuitError> {
        circuit.fits(self.cut.spec())?;
        self.without(&circuit.cut_edges())
    }

    /// Of the network without these edges, of which none or all may be left.
    ///
    /// # Errors
    /// [`CircuitError::Divergence`] if its behaviour is not finite.
    pub fn without(&self, cut: &[Edge]) -> Result<Faithful, CircuitError> {
        let (values, divergences) = self.values(cut)?;
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(CircuitError::Divergence { value });
        }
        let (whole, empty) = (sum(&self.whole), sum(&self.empty));
        let examples = values.iter().zip(self.whole.iter().zip(&self.empty));
        let examples = examples.map(|(&value, (&whole, &empty))| {
            let [value, whole, empty] = [value, whole, empty].map(f64::from);
            (value - empty) / (whole - empty)
        });
        Ok(Faithful {
            faithfulness: (sum(&values) - empty) / (whole - empty),
            examples: examples.collect(),
            values,
            divergences,
        })
    }
}
