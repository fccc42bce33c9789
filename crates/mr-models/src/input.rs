//! What goes into a model.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::ModelError;
use crate::hook::run_with_cache;
use crate::model::Model;
use crate::objective::Objective;

/// A batch for a model.
#[derive(Debug, Clone)]
pub enum Input {
    /// `[batch, channel, height, width]`; images are in `[0, 1]`, feature vectors have height and
    /// width 1.
    Real(Tensor<4>),
    /// Token indices `[batch, position]`.
    Tokens(Tensor<2, Int>),
}

impl Input {
    /// Sequences of tokens as a batch.
    ///
    /// # Errors
    /// [`ModelError::Unfit`] if their lengths differ.
    pub fn of_tokens(sequences: &[Vec<usize>], device: &Device) -> Result<Self, ModelError> {
        let length = sequences.first().map_or(0, Vec::len);
        let mut others = sequences.iter().enumerate();
        if let Some((at, other)) = others.find(|(_, sequence)| sequence.len() != length) {
            return Err(ModelError::Unfit(format!(
                "sequence {at} has {} tokens, the first {length}: a batch has one length",
                other.len()
            )));
        }
        let tokens: Vec<i64> = sequences
            .iter()
            .flatten()
            .map(|&token| token as i64)
            .collect();
        let data = TensorData::new(tokens, [sequences.len(), length]);
        Ok(Self::Tokens(Tensor::<2, Int>::from_data(data, device)))
    }

    /// Number of examples.
    pub fn batch(&self) -> usize {
        match self {
            Self::Real(values) => values.dims()[0],
            Self::Tokens(tokens) => tokens.dims()[0],
        }
    }

    /// Where the batch lies.
    pub fn device(&self) -> Device {
        match self {
            Self::Real(values) => values.device(),
            Self::Tokens(tokens) => tokens.device(),
        }
    }

    /// The real values `[batch, channel, height, width]`.
    ///
    /// # Panics
    /// If the batch holds tokens: an architecture asks only for the kind its spec names.
    pub fn real(&self) -> Tensor<4> {
        match self {
            Self::Real(values) => values.clone(),
            Self::Tokens(_) => panic!("this model takes real values, not tokens"),
        }
    }

    /// The examples at these indices, in this order.
    pub fn select(&self, examples: Tensor<1, Int>) -> Self {
        match self {
            Self::Real(values) => Self::Real(values.clone().select(0, examples)),
            Self::Tokens(tokens) => Self::Tokens(tokens.clone().select(0, examples)),
        }
    }
}

impl From<Tensor<4>> for Input {
    fn from(values: Tensor<4>) -> Self {
        Self::Real(values)
    }
}

/// What the examples of a batch are judged against; classes are `[batch, position]`.
#[derive(Debug, Clone)]
pub struct Labels {
    /// The true classes.
    pub truth: Tensor<2, Int>,
    /// The classes that a targeted attack wants.
    pub target: Option<Tensor<2, Int>>,
    /// Logits `[batch, position, class]` that a divergence is measured from, or what a
    /// reconstruction should be.
    pub reference: Option<Tensor<3>>,
    /// Activations by site that a shift of features is measured from, each
    /// `[batch, position, channel]`: those of the clean examples.
    pub activations: BTreeMap<String, Tensor<3>>,
    /// Which classes answer an example where: 1 for a right one, -1 for a wrong one, 0 for every other,
    /// `[batch, position, class]`.
    pub answers: Option<Tensor<3>>,
}

impl Labels {
    /// True classes of a batch of one-position examples, on `device`.
    pub fn of_classes(classes: &[usize], device: &Device) -> Self {
        Self {
            truth: class_tensor(classes, device),
            target: None,
            reference: None,
            activations: BTreeMap::new(),
            answers: None,
        }
    }

    /// With right and wrong answers, `[batch, position, class]`.
    pub fn with_answers(mut self, answers: Tensor<3>) -> Self {
        self.answers = Some(answers);
        self
    }

    /// With the classes that a targeted attack wants.
    pub fn with_target(mut self, target: Tensor<2, Int>) -> Self {
        self.target = Some(target);
        self
    }

    /// With logits that a divergence is measured from, `[batch, position, class]`.
    pub fn with_reference(mut self, reference: Tensor<3>) -> Self {
        self.reference = Some(reference);
        self
    }

    /// With what the objective compares a run with, taken from this run: its logits, and its activations at
    /// the [references](Objective::references).
    ///
    /// # Errors
    /// [`ModelError`] if the input does not fit the model, or there is no such site.
    pub fn with_run(
        mut self,
        model: &dyn Model,
        input: &Input,
        objective: &dyn Objective,
    ) -> Result<Self, ModelError> {
        model.spec().accepts(input)?;
        let (logits, cache) = run_with_cache(model, input, &objective.references())?;
        let found = cache.iter().map(|(site, at)| (site.into(), at.clone()));
        self.activations.extend(found);
        self.reference = Some(logits);
        Ok(self)
    }

    /// Checks that there is a true class, and a target if there are any, of each example and position.
    pub(crate) fn have_classes(&self, who: &str, logits: [usize; 3]) -> Result<(), ModelError> {
        let [batch, positions, _] = logits;
        let given = [Some(&self.truth), self.target.as_ref()];
        match given
            .into_iter()
            .flatten()
            .find(|all| all.dims() != [batch, positions])
        {
            None => Ok(()),
            Some(all) => {
                let [examples, of_each] = all.dims();
                Err(ModelError::Unfit(format!(
                    "{who}: classes of {examples} examples at {of_each} positions each, for {batch} examples of \
                     {positions} positions; at the last position alone it is last({who})"
                )))
            }
        }
    }

    /// Checks that there is something of the shape of the logits.
    pub(crate) fn have(
        who: &str,
        what: &str,
        given: Option<&Tensor<3>>,
        logits: [usize; 3],
    ) -> Result<(), ModelError> {
        let found = match given {
            None => "are none".to_string(),
            Some(given) if given.dims() == logits => return Ok(()),
            Some(given) => format!("have shape {:?}", given.dims()),
        };
        Err(ModelError::Unfit(format!(
            "{who}: the {what} {found}, must have the shape of the logits, {logits:?}"
        )))
    }

    /// The labels of the examples at these indices, in this order.
    pub fn select(&self, examples: Tensor<1, Int>) -> Self {
        Self {
            truth: self.truth.clone().select(0, examples.clone()),
            target: self
                .target
                .clone()
                .map(|target| target.select(0, examples.clone())),
            reference: self
                .reference
                .clone()
                .map(|reference| reference.select(0, examples.clone())),
            activations: self
                .activations
                .iter()
                .map(|(site, all)| (site.clone(), all.clone().select(0, examples.clone())))
                .collect(),
            answers: self
                .answers
                .clone()
                .map(|answers| answers.select(0, examples.clone())),
        }
    }
}

/// Classes as `[batch, 1]`.
pub fn class_tensor(classes: &[usize], device: &Device) -> Tensor<2, Int> {
    let values: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
    Tensor::<1, Int>::from_data(values.as_slice(), device).reshape([classes.len(), 1])
}
