//! What is asked of runs.

use mr_models::{Input, Labels, Model, Objective};

use crate::error::CircuitError;

/// An objective, asked of a model's runs.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// What is read of each run.
    pub objective: &'a dyn Objective,
    /// What it is measured against, one for each example.
    pub labels: &'a Labels,
}

impl<'a> Question<'a> {
    /// The objective, of this model and these labels.
    pub fn new(model: &'a dyn Model, objective: &'a dyn Objective, labels: &'a Labels) -> Self {
        Self {
            model,
            objective,
            labels,
        }
    }

    /// Checks that it can be asked of these examples.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the input or the objective does not fit the model, [`CircuitError::Random`] if it draws
    /// random numbers,
    /// [`CircuitError::Labels`] if there is another number of labels.
    pub fn fits(&self, input: &Input) -> Result<(), CircuitError> {
        let spec = self.model.spec();
        spec.accepts(input)?;
        self.objective.fits(spec)?;
        if self.model.is_random() {
            return Err(CircuitError::Random {
                network: spec.name.clone(),
            });
        }
        let (labels, examples) = (self.labels.truth.dims()[0], input.batch());
        if labels != examples {
            return Err(CircuitError::Labels { labels, examples });
        }
        Ok(())
    }
}
