//! The robustness card of a dictionary: what becomes of its latents while the network is under attack.
//!
//! One file a measure: how codes drift ([`Drift`]), what turns single latents on and off ([`Flips`]) and which
//! latents carry the change of the logits ([`Blame`]). All attack the input through [`aim`](crate::aim), so what
//! becomes of an example does not depend on its company.

mod blame;
mod drift;
mod flips;
mod objectives;
mod spot;

use std::sync::Arc;

use mr_models::data::Dataset;
use mr_models::{Model, Place};
use mr_sae::Dictionary;
use serde::{Deserialize, Serialize};

pub use blame::{Blame, Carried};
pub use drift::{Against, Drift, Moved};
pub use flips::{Flip, Flips};
pub use objectives::{CodeShift, Reach};

use crate::aim::aim;
use crate::attack::{ObjectiveAttack, at_least_one};
use crate::error::AttackError;
use crate::evaluate::EvaluationConfig;
use crate::threat::ThreatModel;
use spot::Spot;

/// What a card holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CardConfig {
    /// Radii at which drift is measured, above 0 and rising; the last is the one that flips are searched below
    /// and blame is laid at.
    pub epsilons: Vec<f32>,
    /// How many latents, the most active ones, are tried one by one; 0 for none.
    pub count: usize,
    /// These latents are tried in their place, counted from 0, where any are named.
    pub latents: Vec<usize>,
    /// How often the radius that flips a latent is halved: it is known to `epsilon / 2^halvings`.
    pub halvings: u32,
    /// How many of the strongest latents of an example are compared by Jaccard's index, and how many are named
    /// where blame is laid.
    pub top: usize,
    /// What a nat of `KL(clean || attacked)` costs while codes are moved and the output is held.
    pub hold_output: f32,
    /// What a relative squared change of the codes of 1 costs while the output is moved and codes are held.
    pub hold_codes: f32,
    /// Points on the line from the clean to the adversarial activation that gradients are averaged over.
    pub points: usize,
}

impl Default for CardConfig {
    fn default() -> Self {
        Self {
            epsilons: vec![0.05, 0.1, 0.15, 0.2, 0.25, 0.3],
            count: 16,
            latents: Vec::new(),
            halvings: 5,
            top: 10,
            hold_output: 10.0,
            hold_codes: 10.0,
            points: 16,
        }
    }
}

impl CardConfig {
    /// How many latents of a dictionary are tried one by one.
    pub fn tried(&self, of: usize) -> usize {
        if self.latents.is_empty() {
            self.count.min(of)
        } else {
            self.latents.len()
        }
    }

    /// How many attacks over the data a card takes, of a dictionary of so many latents.
    pub fn attacks(&self, latents: usize) -> usize {
        let flipping = self.tried(latents) * (1 + self.halvings as usize);
        self.epsilons.len() * Against::ALL.len() + flipping
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`AttackError::Setting`].
    pub fn check(&self) -> Result<(), AttackError> {
        let rising = self.epsilons.windows(2).all(|pair| pair[0] < pair[1]);
        let first = self.epsilons.first().is_some_and(|&first| first > 0.0);
        if !(rising && first && self.epsilons.iter().all(|e| e.is_finite())) {
            let valid = "at least one finite radius above 0, in rising order";
            return Err(AttackError::setting(
                "epsilons",
                format!("{:?}", self.epsilons),
                valid,
            ));
        }
        if !(1..=16).contains(&self.halvings) {
            return Err(AttackError::setting("halvings", self.halvings, "1 to 16"));
        }
        at_least_one("top", self.top)?;
        at_least_one("points", self.points)?;
        for (what, weight) in [
            ("hold_output", self.hold_output),
            ("hold_codes", self.hold_codes),
        ] {
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(AttackError::setting(
                    what,
                    weight,
                    "a finite number, at least 0",
                ));
            }
        }
        Ok(())
    }
}

/// What became of a dictionary's latents under attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The clean examples, as a drift of none.
    pub clean: Vec<Moved>,
    /// How codes drift, by what the attack is against and then by radius.
    pub drifts: Vec<Drift>,
    /// What flips single latents, the most active first.
    pub flips: Vec<Flips>,
    /// Which latents carry the change of the logits, for each example that was right and that the attack on the
    /// output at the largest radius makes wrong.
    pub blames: Vec<Blame>,
}

/// Everything that the measures share.
struct Setup<'a> {
    model: &'a dyn Model,
    data: &'a Dataset,
    spot: &'a Spot,
    threat: &'a ThreatModel,
    attack: &'a dyn ObjectiveAttack,
    config: &'a CardConfig,
    running: &'a EvaluationConfig,
}

/// Draws up the card of a dictionary at a site: `threat` says in which norm and box the input may change, its
/// radius is not used. `progress` is told how many attacks over the data are done, of how many; where it says
/// `false` the run stops.
///
/// # Errors
/// [`AttackError`] if settings are out of range, if dictionary, site, threat or data do not fit the model, if the model
/// is right on no example, or if `progress` stops it.
#[expect(
    clippy::too_many_arguments,
    reason = "what is attacked, how, and how it is told"
)]
pub fn card(
    model: &dyn Model,
    data: &Dataset,
    (dictionary, site): (Arc<dyn Dictionary>, &str),
    threat: &ThreatModel,
    attack: &dyn ObjectiveAttack,
    config: &CardConfig,
    running: &EvaluationConfig,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Card, AttackError> {
    config.check()?;
    if threat.place != Place::Input {
        return Err(AttackError::Unfit(
            "a card is about attacks on the input".into(),
        ));
    }
    let spot = Spot::new(dictionary, site, model.spec())?;
    let latents = spot.latents();
    if let Some(latent) = config.latents.iter().find(|&&latent| latent >= latents) {
        let valid = format!("below {latents}: the dictionary's latents are counted from 0");
        return Err(AttackError::setting("latents", latent, valid));
    }
    let of = config.attacks(latents);
    let mut done = 0;
    let mut tell = || {
        done += 1;
        if progress(done, of) {
            Ok(())
        } else {
            Err(AttackError::Stopped)
        }
    };
    let running = EvaluationConfig {
        keep: true,
        ..running.clone()
    };
    let setup = Setup {
        model,
        data,
        spot: &spot,
        threat,
        attack,
        config,
        running: &running,
    };
    let base = drift::Base::of(&setup)?;
    let clean_points = setup.clean_points();
    let clean = drift::moved(&setup, &base, &clean_points)?;
    if clean.iter().all(|one| one.prediction != one.label) {
        return Err(AttackError::Unfit(format!(
            "the network is right on none of {} examples, so no attack has an output to break: \
             is it trained, and are these the data that it was trained on?",
            clean.len()
        )));
    }
    let mut drifts = Vec::new();
    let mut blames = Vec::new();
    for against in Against::ALL {
        for &epsilon in &config.epsilons {
            let points = setup.points(against, epsilon)?;
            let examples = drift::moved(&setup, &base, &points)?;
            if against == Against::Output && config.epsilons.last() == Some(&epsilon) {
                blames = blame::blames(&setup, &examples, &points)?;
            }
            drifts.push(Drift {
                against,
                epsilon,
                examples,
            });
            tell()?;
        }
    }
    let tried = match config.latents.as_slice() {
        [] => base.most_active(config.count),
        named => named.to_vec(),
    };
    let flips = flips::flips(&setup, &tried, &mut tell)?;
    Ok(Card {
        clean,
        drifts,
        flips,
        blames,
    })
}

impl Setup<'_> {
    /// All images as they are, `[example, coordinate]`, row-major.
    fn clean_points(&self) -> Vec<f32> {
        (0..self.data.len())
            .flat_map(|example| self.data.image(example))
            .collect()
    }

    /// Where an attack leads each example, `[example, coordinate]`, row-major.
    fn points(&self, against: Against, epsilon: f32) -> Result<Vec<f32>, AttackError> {
        let threat = self.threat.with_epsilon(epsilon);
        let Some(objective) = against.objective(self.spot, self.config) else {
            return Ok(drift::noise(self, &threat));
        };
        let found = aim(
            self.model,
            self.data,
            &threat,
            self.attack,
            objective.as_ref(),
            self.running,
            &mut |_| true,
        )?;
        Ok(found.points.expect("points were to be kept"))
    }
}

#[cfg(test)]
mod tests;
