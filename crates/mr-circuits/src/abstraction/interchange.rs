//! Interchange interventions.

use std::collections::BTreeMap;

use burn::tensor::Device;
use mr_models::{
    Edit, Input, Intervened, Model, ModelError, Region, Rewrite, predictions, run_with_cache,
};

use super::{CausalModel, Subspace};
use crate::error::CircuitError;

/// Where a network is said to hold a variable of a causal model.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// The variable's name.
    pub variable: String,
    /// The site's name.
    pub site: String,
    /// The positions and channels of the site.
    pub region: Region,
    /// The subspace of those channels that holds it, at each of the positions; `None` for all of them.
    pub subspace: Option<Subspace>,
}

/// A causal model and how its inputs are put to a network, which answers at its last position by the class
/// of the value of the model's output.
pub struct Task<'a> {
    /// The causal model.
    pub causal: &'a CausalModel,
    /// The batch of several inputs.
    pub encode: &'a (dyn Fn(&[Vec<usize>], &Device) -> Input + Sync),
}

/// Which runs exchange what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interchange {
    /// The inputs of the run that is changed.
    pub base: Vec<usize>,
    /// By aligned variable, the inputs of the run that it is taken from, or `None` to leave it alone.
    pub sources: Vec<Option<Vec<usize>>>,
}

/// What the causal model and the network answer under the same interchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interchanged {
    /// The causal model's outputs.
    pub expected: Vec<usize>,
    /// The network's answers.
    pub found: Vec<usize>,
}

impl Interchanged {
    /// Whether they agree, interchange by interchange.
    pub fn right(&self) -> Vec<bool> {
        let pairs = self.expected.iter().zip(&self.found);
        pairs.map(|(expected, found)| expected == found).collect()
    }

    /// The interchange intervention accuracy, in `[0, 1]`: the share of interchanges under which they
    /// agree; NaN of none.
    pub fn accuracy(&self) -> f64 {
        let right = self.right();
        right.iter().filter(|&&right| right).count() as f64 / right.len() as f64
    }
}

/// Rewrites the network and the causal model alike (Geiger et al. 2021): where the base run holds a
/// variable it gets what the source run holds, and the model's variable the value that it has there. A
/// network that the model abstracts answers as the model does under every interchange.
///
/// # Errors
/// [`CircuitError::Causal`] for inputs that the model does not have, or another number of sources than
/// variables; [`CircuitError::Model`] for unknown variables or sites.
pub fn interchange(
    model: &dyn Model,
    task: &Task<'_>,
    alignment: &[Aligned],
    interchanges: &[Interchange],
) -> Result<Interchanged, CircuitError> {
    let expected = expected(task.causal, alignment, interchanges)?;
    let device = model.device();
    let bases: Vec<Vec<usize>> = interchanges.iter().map(|one| one.base.clone()).collect();
    let mut edits = Vec::new();
    for (number, aligned) in alignment.iter().enumerate() {
        let site = model.spec().site(&aligned.site)?;
        aligned.region.fits(site)?;
        // Whoever is left alone is its own source.
        let sources: Vec<Vec<usize>> = interchanges
            .iter()
            .map(|one| one.sources[number].as_ref().unwrap_or(&one.base).clone())
            .collect();
        let input = (task.encode)(&sources, &device);
        model.spec().accepts(&input)?;
        let (_, cache) = run_with_cache(model, &input, &[&aligned.site])?;
        let held = aligned.region.cut(cache.get(&aligned.site)?);
        let rewrite = match &aligned.subspace {
            None => Rewrite::patch(held),
            Some(subspace) => Rewrite::patch_within(held, subspace.basis().to_vec()),
        };
        edits.push(Edit::at(&aligned.site, rewrite).within(aligned.region.clone()));
    }
    let changed = Intervened::new(model, edits)?;
    let input = (task.encode)(&bases, &device);
    model.spec().accepts(&input)?;
    let answers = predictions(&changed.logits(&input));
    let found = answers.iter().map(|row| row[row.len() - 1]).collect();
    Ok(Interchanged { expected, found })
}

/// What the causal model answers.
fn expected(
    causal: &CausalModel,
    alignment: &[Aligned],
    interchanges: &[Interchange],
) -> Result<Vec<usize>, CircuitError> {
    let variables = alignment.iter().map(|one| causal.variable(&one.variable));
    let variables: Vec<usize> = variables.collect::<Result<_, _>>()?;
    let mut seen = BTreeMap::new();
    for (number, variable) in variables.iter().enumerate() {
        if seen.insert(*variable, number).is_some() {
            let name = alignment[number].variable.clone();
            let unfit = format!("variable `{name}` is aligned twice");
            return Err(ModelError::Unfit(unfit).into());
        }
    }
    let one = |interchange: &Interchange| {
        let (count, needed) = (interchange.sources.len(), variables.len());
        if count != needed {
            return Err(CircuitError::Causal(format!(
                "an interchange with {count} sources for {needed} aligned variables"
            )));
        }
        let pairs = variables.iter().zip(&interchange.sources);
        let sources: Vec<(usize, &[usize])> = pairs
            .filter_map(|(&variable, source)| Some((variable, source.as_deref()?)))
            .collect();
        causal.interchanged(&interchange.base, &sources)
    };
    interchanges.iter().map(one).collect()
}

#[cfg(test)]
pub(super) mod tests;
