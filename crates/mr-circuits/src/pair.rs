//! A clean input and its counterfactual.

use mr_models::Input;

use crate::error::CircuitError;

/// Two batches of one shape, example by example: a clean input and a corrupt one, which differ in
/// what is to be explained. An adversarial example and its origin are such a pair.
#[derive(Debug, Clone)]
pub struct Pair {
    clean: Input,
    corrupt: Input,
}

impl Pair {
    /// A pair of batches.
    ///
    /// # Errors
    /// [`CircuitError::Pair`] if their shapes differ.
    pub fn new(clean: Input, corrupt: Input) -> Result<Self, CircuitError> {
        let (a, b) = (shape(&clean), shape(&corrupt));
        if a != b {
            return Err(CircuitError::Pair {
                clean: a,
                corrupt: b,
            });
        }
        Ok(Self { clean, corrupt })
    }

    /// The clean batch.
    pub fn clean(&self) -> &Input {
        &self.clean
    }

    /// The corrupt batch.
    pub fn corrupt(&self) -> &Input {
        &self.corrupt
    }
}

fn shape(input: &Input) -> Vec<usize> {
    match input {
        Input::Real(values) => values.dims().to_vec(),
        Input::Tokens(tokens) => tokens.dims().to_vec(),
    }
}
