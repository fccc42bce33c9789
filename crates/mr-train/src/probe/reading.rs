//! What sites hold over examples, as samples for probes.

use std::sync::atomic::{AtomicUsize, Ordering};

use mr_circuits::Positions;
use mr_models::{Input, Model, floats, run_with_cache};

use crate::dictionary::Activations;
use crate::error::TrainError;
use crate::pools::Pools;

/// Examples that one thread runs at a time.
const BATCH: usize = 64;

/// Samples of a site, example by example.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The site's name.
    pub site: String,
    /// The samples.
    pub samples: Activations,
    /// Samples of each example.
    pub per_example: usize,
}

/// Runs a model over `count` examples once and keeps what these sites hold, as the positions say. `input`
/// gives the batch of some examples; all have one length. `progress` is told how many examples are done,
/// from any thread.
///
/// # Errors
/// [`TrainError::Data`] for no examples, or an activation that is not finite, naming its site;
/// [`TrainError::Model`] for an unknown site or an input that the model does not take;
/// [`TrainError::Circuit`] for a position that a site lacks.
pub fn read_sites(
    model: &dyn Model,
    count: usize,
    input: &(dyn Fn(&[usize]) -> Input + Sync),
    sites: &[String],
    positions: Positions,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Labelled>, TrainError> {
    if count == 0 {
        return Err(TrainError::Data("no examples to probe".into()));
    }
    for site in sites {
        positions.fits(model.spec().site(site)?)?;
    }
    let done = AtomicUsize::new(0);
    let pools = Pools::new(rayon::current_num_threads())?;
    let parts = pools.map(count.div_ceil(BATCH), |batch| {
        let rows: Vec<usize> = (batch * BATCH..count.min((batch + 1) * BATCH)).collect();
        let input = input(&rows);
        model.spec().accepts(&input)?;
        let (_, cache) = run_with_cache(model, &input, sites)?;
        let of = |site: &String| -> Result<_, TrainError> {
            let activation = cache.get(site)?.clone();
            if let Positions::Only(at) = positions
                && at >= activation.dims()[1]
            {
                let have = activation.dims()[1];
                return Err(TrainError::Data(format!(
                    "position {at} of `{site}`: these examples have {have}, counted from 0"
                )));
            }
            let samples = positions.samples(activation);
            Ok((samples.dims(), floats(samples)))
        };
        let found: Result<Vec<_>, TrainError> = sites.iter().map(of).collect();
        progress(done.fetch_add(rows.len(), Ordering::Relaxed) + rows.len());
        found
    });
    let parts: Vec<Vec<([usize; 2], Vec<f32>)>> = parts.into_iter().collect::<Result<_, _>>()?;
    let of = |(number, site): (usize, &String)| {
        let width = parts[0][number].0[1];
        let rows: usize = parts.iter().map(|part| part[number].0[0]).sum();
        let mut values = Vec::with_capacity(rows * width);
        for part in &parts {
            values.extend_from_slice(&part[number].1);
        }
        let samples = Activations::new(values, width)
            .map_err(|error| TrainError::Data(format!("`{site}`: {error}")))?;
        Ok(Labelled {
            site: site.clone(),
            samples,
            per_example: rows / count,
        })
    };
    sites.iter().enumerate().map(of).collect()
}
