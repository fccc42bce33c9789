//! The benchmark's fits.

use std::ops::ControlFlow;
use std::sync::Mutex;

use anyhow::Result;
use burn::tensor::Device;
use mr_models::Workers;
use mr_models::data::Planted;
use mr_sae::Means;
use mr_train::{FitProgress, Plan, PlantedStream, fit};

use super::judged::{Judged, judge};
use super::regime::{Regime, Size};

/// Streams of a seed's examples: those that are fitted to, and those that are judged on.
const FITTED: u64 = 1;
const JUDGED: u64 = 2;
/// Examples of a load.
const LOAD: usize = 16_384;

/// The measures of each architecture over seeds: by regime, architecture and seed. Threads share regimes and seeds, the longest
/// first; all dictionaries of a seed are fitted to the same examples by one thread. `tell` is called after every step.
pub(super) fn scores(
    regimes: &[Regime],
    size: &Size,
    first: u64,
    device: &Device,
    tell: &mut (dyn FnMut() + Send),
) -> Result<Vec<Vec<Vec<Judged>>>> {
    let seeds = size.seeds as usize;
    let tell = Mutex::new(tell);
    let done = Workers::new(0).map(regimes.len() * seeds, |job| {
        let regime = &regimes[job / seeds];
        let seed = first.wrapping_add((job % seeds) as u64);
        let mut step = || {
            if let Ok(mut tell) = tell.lock() {
                tell();
            }
        };
        of_seed(regime, size, seed, device, &mut step)
    })?;
    let each = regimes.iter().zip(done.chunks(seeds));
    let by_kind = each.map(|(regime, by_seed)| {
        let of_kind = |at: usize| by_seed.iter().map(|judged| judged[at]).collect();
        (0..regime.kinds.len()).map(of_kind).collect()
    });
    Ok(by_kind.collect())
}

/// The measures of each architecture on the features of one seed.
fn of_seed(
    regime: &Regime,
    size: &Size,
    seed: u64,
    device: &Device,
    tell: &mut dyn FnMut(),
) -> Result<Vec<Judged>> {
    let planted = Planted::new(regime.planted.clone(), seed)?;
    let stream = PlantedStream::new(planted.clone().stream(FITTED), LOAD.max(size.batch))?;
    let plans = regime
        .kinds
        .iter()
        .map(|kind| regime.plan(kind, seed, size));
    let plans: Vec<Plan> = plans.collect();
    let means = Means::Host(Workers::new(1));
    let mut go_on = |_: FitProgress<'_>| {
        tell();
        ControlFlow::Continue(())
    };
    let length = size.length();
    let fitted = fit(&plans, &length, &stream, None, means, device, &mut go_on)?;
    let planted = planted.stream(JUDGED);
    let each = fitted.dictionaries.iter();
    each.map(|one| judge(&one.sae, &planted, size.judged, device))
        .collect()
}
