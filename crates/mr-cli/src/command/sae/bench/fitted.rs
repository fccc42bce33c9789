//! The benchmark's fits.

use std::ops::ControlFlow;
use std::sync::Mutex;

use anyhow::{Error, Result};
use burn::tensor::Device;
use mr_models::Workers;
use mr_models::data::Planted;
use mr_sae::{Means, Sae};
use mr_train::{Plan, PlantedStream, fit};

use super::judged::{Judged, judge};
use super::matched::{coefficient, grid};
use super::regime::{COEFFICIENTS, PENALISED, Regime, Size};

/// Streams of a seed's examples: those that are fitted to, and those that are judged on.
const FITTED: u64 = 1;
const JUDGED: u64 = 2;
/// The seed whose features coefficients are sought on; those of the benchmark are below it.
const SOUGHT: u64 = 1_000_000;
/// Examples of a load.
const LOAD: usize = 16_384;

/// Is told how many more fits are done.
pub(super) type Tell<'a> = Mutex<&'a mut (dyn FnMut(usize) + Send)>;

/// Coefficients of the second round, as shares of what the first suggests.
pub(super) const BESIDE: [f64; 2] = [0.85, 1.2];

/// The coefficient of each penalised architecture, and what was tried.
#[derive(Debug, Clone)]
pub(super) struct Coefficient {
    pub(super) kind: &'static str,
    pub(super) value: f64,
    /// Whether it lies between tried ones.
    pub(super) between: bool,
    /// Coefficients and L0s.
    pub(super) tried: Vec<(f64, f64)>,
}

/// Dictionaries that are fitted together, by one thread.
fn fitted(
    regime: &Regime,
    plans: &[Plan],
    seed: u64,
    size: &Size,
    device: &Device,
) -> Result<Vec<Sae>> {
    let planted = Planted::new(regime.planted.clone(), seed)?.stream(FITTED);
    let stream = PlantedStream::new(planted, LOAD.max(size.batch))?;
    let means = Means::Host(Workers::new(1));
    let length = size.length();
    let fitted = fit(plans, &length, &stream, None, means, device, &mut |_| {
        ControlFlow::Continue(())
    })?;
    Ok(fitted.dictionaries.into_iter().map(|one| one.sae).collect())
}

/// Seeks the coefficients at which penalised architectures have the L0 that is wanted, on features that no one is judged on:
/// on a grid, and then beside what its neighbours suggest.
pub(super) fn coefficients(
    regime: &Regime,
    size: &Size,
    device: &Device,
    tell: &Tell<'_>,
) -> Result<Vec<Coefficient>> {
    let penalised = regime.kinds.iter().filter(|kind| PENALISED.contains(kind));
    let mut found: Vec<Coefficient> = penalised
        .map(|&kind| Coefficient {
            kind,
            value: 0.0,
            between: false,
            tried: Vec::new(),
        })
        .collect();
    for round in 0..2 {
        let wanted: Vec<(usize, f64)> = found
            .iter()
            .enumerate()
            .flat_map(|(at, one)| {
                let values = match round {
                    0 => grid(COEFFICIENTS, size.grid),
                    _ => BESIDE.map(|factor| factor * one.value).into(),
                };
                values.into_iter().map(move |value| (at, value))
            })
            .collect();
        let kinds: Vec<&str> = found.iter().map(|one| one.kind).collect();
        let l0s = tried(regime, &kinds, &wanted, size, device, tell)?;
        for ((at, value), l0) in wanted.into_iter().zip(l0s) {
            found[at].tried.push((value, l0));
        }
        for one in &mut found {
            one.tried.sort_by(|a, b| a.0.total_cmp(&b.0));
            (one.value, one.between) = coefficient(&one.tried, regime.l0)?;
        }
    }
    Ok(found)
}

/// The L0 of each of these coefficients, with the place of its kind. Threads share the fits; a fit does not depend on what it
/// shares a thread with.
fn tried(
    regime: &Regime,
    kinds: &[&str],
    wanted: &[(usize, f64)],
    size: &Size,
    device: &Device,
    tell: &Tell<'_>,
) -> Result<Vec<f64>> {
    let judged = Planted::new(regime.planted.clone(), SOUGHT)?.stream(JUDGED);
    let workers = Workers::new(0);
    let each = wanted.len().div_ceil(workers.count()).max(1);
    let parts: Vec<&[(usize, f64)]> = wanted.chunks(each).collect();
    let l0s = workers.map(parts.len(), |part| {
        let plans = parts[part]
            .iter()
            .enumerate()
            .map(|(number, &(at, value))| {
                regime.plan(kinds[at], number.to_string(), value, SOUGHT, size)
            });
        let plans: Vec<Plan> = plans.collect();
        let saes = fitted(regime, &plans, SOUGHT, size, device)?;
        let l0s = saes
            .iter()
            .map(|sae| Ok(judge(sae, &judged, size.judged / 4, device)?[0]));
        let l0s = l0s.collect::<Result<Vec<f64>>>()?;
        told(tell, l0s.len());
        Ok::<_, Error>(l0s)
    })?;
    Ok(l0s.concat())
}

/// The measures of each architecture, in their order, over seeds.
pub(super) fn scores(
    regime: &Regime,
    size: &Size,
    coefficients: &[Coefficient],
    first: u64,
    device: &Device,
    tell: &Tell<'_>,
) -> Result<Vec<Vec<Judged>>> {
    let by_seed = Workers::new(0).map(size.seeds as usize, |number| {
        let seed = first + number as u64;
        let plan = |kind: &&str| {
            let paid = coefficients.iter().find(|one| one.kind == *kind);
            let value = paid.map_or(0.0, |one| one.value);
            regime.plan(kind, (*kind).into(), value, seed, size)
        };
        let plans: Vec<Plan> = regime.kinds.iter().map(plan).collect();
        let saes = fitted(regime, &plans, seed, size, device)?;
        let planted = Planted::new(regime.planted.clone(), seed)?.stream(JUDGED);
        let judged = saes
            .iter()
            .map(|sae| judge(sae, &planted, size.judged, device));
        let judged = judged.collect::<Result<Vec<Judged>>>()?;
        told(tell, judged.len());
        Ok::<_, Error>(judged)
    })?;
    let of_kind = |at: usize| by_seed.iter().map(|judged| judged[at]).collect();
    Ok((0..regime.kinds.len()).map(of_kind).collect())
}

fn told(tell: &Tell<'_>, fits: usize) {
    if let Ok(mut tell) = tell.lock() {
        tell(fits);
    }
}
