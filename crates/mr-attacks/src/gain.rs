//! Gain by place: how far a unit perturbation at each site moves the margin.

use std::collections::BTreeMap;
use std::sync::Mutex;

use burn::tensor::Tensor;
use mr_models::objective::Margin;
use mr_models::{
    Hook, Labels, Model, ModelSpec, Place, Site, Workers, data::Dataset, floats, value_and_grad,
};
use serde::{Deserialize, Serialize};

use crate::aim::{Aim, aim};
use crate::attack::{Attack, ObjectiveAttack};
use crate::error::AttackError;
use crate::evaluate::{EvaluationConfig, Run, fits, lock};
use crate::evaluation::Counts;
use crate::goal::{Goal, Never};
use crate::threat::{Norm, ThreatModel};
use crate::victim::Meter;

/// Where gain is measured, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GainConfig {
    /// The norm of perturbations: Linf, L2 or L1.
    pub norm: Norm,
    /// Where; the input and every site where none is named.
    pub places: Vec<Place>,
    /// Radius of the attack at a place, as a fraction of the mean length of the activation there; 0
    /// for no attack.
    pub fraction: f32,
}

impl Default for GainConfig {
    fn default() -> Self {
        Self {
            norm: Norm::L2,
            places: Vec::new(),
            fraction: 0.1,
        }
    }
}

impl GainConfig {
    /// The places that it means in this model, in the order that it names them, else in forward order.
    ///
    /// # Errors
    /// [`AttackError::Model`] for an unknown site.
    pub fn places(&self, spec: &ModelSpec) -> Result<Vec<Place>, AttackError> {
        if self.places.is_empty() {
            let sites = spec.sites.iter().map(|site| Place::site(&site.name));
            return Ok(std::iter::once(Place::Input).chain(sites).collect());
        }
        for place in &self.places {
            place.fits(spec)?;
        }
        Ok(self.places.clone())
    }

    /// The norm whose unit ball bounds linear functions by [`Gain::slopes`].
    fn dual(&self) -> Result<Norm, AttackError> {
        match self.norm {
            Norm::Linf => Ok(Norm::L1),
            Norm::L2 => Ok(Norm::L2),
            Norm::L1 => Ok(Norm::Linf),
            Norm::L0 => Err(AttackError::Unfit(
                "gain has no meaning in L0, where a change of one coordinate counts 1 whatever its \
                 size; valid norms: Linf, L2, L1"
                    .into(),
            )),
        }
    }

    fn fits(&self) -> Result<(), AttackError> {
        if self.fraction.is_finite() && self.fraction >= 0.0 {
            return Ok(());
        }
        Err(AttackError::setting(
            "fraction",
            self.fraction,
            "a finite number, at least 0",
        ))
    }
}

/// The gain at one place, by example and in the order of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Gain {
    /// Where.
    pub place: Place,
    /// Change of the margin `max_{i != y} z_i - z_y` per unit perturbation, to first order and in the
    /// worst direction: the dual norm of its gradient there.
    pub slopes: Vec<f32>,
    /// Length of the activation, or of the input, in the same norm.
    pub sizes: Vec<f32>,
    /// What an attack there did, if there was one.
    pub attacked: Option<Attacked>,
}

impl Gain {
    /// Of no examples.
    fn nothing_at(place: &Place) -> Self {
        Self {
            place: place.clone(),
            slopes: Vec::new(),
            sizes: Vec::new(),
            attacked: None,
        }
    }

    /// Change of the margin, to first order, for a perturbation as long as the activation itself. Unlike
    /// [`slopes`](Self::slopes) it does not change when a layer is scaled and the next one divided.
    pub fn relative(&self) -> Vec<f32> {
        let both = self.slopes.iter().zip(&self.sizes);
        both.map(|(slope, size)| slope * size).collect()
    }
}

/// What an attack on the margin did at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// The radius, in the norm of the gain.
    pub epsilon: f32,
    /// What became of each example.
    pub examples: Vec<Aim>,
}

impl Attacked {
    /// Share of examples that the model still gets right.
    pub fn robust_accuracy(&self) -> f64 {
        let right = self.examples.iter().filter(|e| e.adversarial == e.label);
        right.count() as f64 / self.examples.len().max(1) as f64
    }
}

/// The gain at each place, and the passes that it took: first-order gains at all places by one pass
/// forward and back, then, where there is a fraction, an attack on the margin at each.
///
/// At the input an attack stays in the box `[0, 1]`; at a site there is none. `progress` is told how much
/// of how much is done, in examples; where it says `false` the run stops.
///
/// # Errors
/// [`AttackError`] if a setting is out of range, or places, attack or data do not fit the model.
pub fn gain(
    model: &dyn Model,
    data: &Dataset,
    gain: &GainConfig,
    attack: &dyn ObjectiveAttack,
    config: &EvaluationConfig,
    progress: &mut (dyn FnMut(usize, usize) -> bool + Send),
) -> Result<(Vec<Gain>, Counts), AttackError> {
    gain.fits()?;
    let places = gain.places(model.spec())?;
    let attacks = if gain.fraction > 0.0 { places.len() } else { 0 };
    let count = data.len();
    let total = count * (1 + attacks);
    let (mut gains, mut counts) = slopes(model, data, gain, &places, config, &mut |done| {
        progress(done, total)
    })?;
    if gain.fraction == 0.0 {
        return Ok((gains, counts));
    }
    for (at, one) in gains.iter_mut().enumerate() {
        let sum: f64 = one.sizes.iter().copied().map(f64::from).sum();
        let epsilon = (f64::from(gain.fraction) * sum / count.max(1) as f64) as f32;
        let threat = ThreatModel::new(gain.norm, epsilon).at(one.place.clone());
        let before = count * (1 + at);
        let found = aim(model, data, &threat, attack, &Margin, config, &mut |done| {
            progress(before + done, total)
        })?;
        counts += found.counts;
        one.attacked = Some(Attacked {
            epsilon,
            examples: found.examples,
        });
    }
    Ok((gains, counts))
}

/// First-order gains, with nothing attacked yet.
fn slopes(
    model: &dyn Model,
    data: &Dataset,
    gain: &GainConfig,
    places: &[Place],
    config: &EvaluationConfig,
    progress: &mut (dyn FnMut(usize) -> bool + Send),
) -> Result<(Vec<Gain>, Counts), AttackError> {
    let (norm, dual) = (ThreatModel::new(gain.norm, 0.0), gain.dual()?);
    let dual = ThreatModel::new(dual, 0.0);
    let goal = Goal::Criterion(std::sync::Arc::new(Never));
    let none: [&dyn Attack; 0] = [];
    fits(model, data, &norm, &goal, &none, config)?;
    let run = Run {
        model,
        data,
        threat: &norm,
        goal: &goal,
        config,
    };
    let all: Vec<usize> = (0..data.len()).collect();
    let batches: Vec<&[usize]> = all.chunks(config.batch_size).collect();
    let told = Mutex::new((0, progress));
    let parts = Workers::new(config.threads).map(batches.len(), |batch| {
        let rows = batches[batch];
        let part = slopes_of_batch(&run, rows, &norm, &dual, places)?;
        let mut told = lock(&told);
        let (done, progress) = &mut *told;
        *done += rows.len();
        if progress(*done) {
            Ok(part)
        } else {
            Err(AttackError::Stopped)
        }
    })?;
    let mut gains: Vec<Gain> = places.iter().map(Gain::nothing_at).collect();
    for part in parts {
        for (gain, more) in gains.iter_mut().zip(part) {
            gain.slopes.extend(more.slopes);
            gain.sizes.extend(more.sizes);
        }
    }
    let count = all.len() as u64;
    let counts = Counts {
        forwards: 2 * count,
        backwards: count,
        not_finite: 0,
    };
    Ok((gains, counts))
}

/// Slopes and sizes of a batch at each place.
fn slopes_of_batch(
    run: &Run<'_>,
    rows: &[usize],
    norm: &ThreatModel,
    dual: &ThreatModel,
    places: &[Place],
) -> Result<Vec<Gain>, AttackError> {
    let meter = Meter::default();
    let (victim, _) = run.victim(rows, &meter)?;
    let victim = victim.in_stream("gain");
    let device = run.model.device();
    let input = run.data.input(rows, &device);
    let labels = Labels::of_classes(&victim.truth(), &device);
    let found = value_and_grad(&victim.drawn(), &input, &labels, &Margin, places)?;
    let mut measuring = Measuring {
        norm,
        places,
        sizes: BTreeMap::new(),
    };
    victim.drawn().run(&input, &mut measuring);
    let sizes = measuring.sizes;
    let each = places.iter().map(|place| {
        let (slopes, sizes) = match place {
            Place::Input => (
                found.input().clone().flatten(1, 3),
                lengths(norm, input.real().flatten(1, 3)),
            ),
            Place::Site(site) => (
                found.site(site).clone().flatten(1, 2),
                sizes.get(site).cloned().unwrap_or_default(),
            ),
        };
        Gain {
            slopes: lengths(dual, slopes),
            sizes,
            ..Gain::nothing_at(place)
        }
    });
    Ok(each.collect())
}

/// The length of each row `[batch, coordinate]`.
fn lengths(norm: &ThreatModel, rows: Tensor<2>) -> Vec<f32> {
    floats(norm.distance(&rows.zeros_like(), &rows))
}

/// Measures activations as they pass, and keeps none.
struct Measuring<'a> {
    norm: &'a ThreatModel,
    places: &'a [Place],
    sizes: BTreeMap<String, Vec<f32>>,
}

impl Hook for Measuring<'_> {
    fn wants(&self, site: &Site) -> bool {
        let is_it = |place: &Place| matches!(place, Place::Site(name) if *name == site.name);
        self.places.iter().any(is_it)
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let sizes = lengths(self.norm, activation.clone().flatten(1, 2));
        self.sizes.insert(site.name.clone(), sizes);
        activation
    }
}

#[cfg(test)]
mod tests;
