//! Any attack in a ball as one that looks for the smallest perturbation.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Place, floats};
use serde::{Deserialize, Serialize};

use super::nearest::{Nearest, usual_radius};
use super::{Attack, AttackConfig, Pgd, above_zero};
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// How often the first radius is doubled at a site, where no box says how far there is to go.
const DOUBLINGS: u32 = 10;

/// Steps at most: the radii lie on a grid of so many bits.
const BITS: usize = 24;

/// Looks for the smallest ball in which an attack succeeds, for each example: doubles a first radius
/// until it does, then bisects. Under a bounded threat the first radius is the threat's, and nothing is
/// doubled.
///
/// A victim has one radius for its whole batch, so all examples take their radii from one grid of
/// `2^steps` parts of their largest radius, and the attack runs on those of one radius at a time. Which
/// radii an example is tried at depends on its own successes alone. A success that lies well inside its ball
/// shrinks the search to the next radius of the grid. The attack is assumed to succeed in any larger ball;
/// where it does not, the smallest distance seen counts all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MinimalBy {
    /// The attack, which searches inside a ball.
    pub attack: Box<AttackConfig>,
    /// Bisections; the radius is known to one part in `2^steps` of the first that did.
    pub steps: usize,
    /// The first radius, in pixel units; by default .3 in Linf, 1 in L2, 5 in L1 and 5 coordinates in L0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f32>,
}

impl Default for MinimalBy {
    fn default() -> Self {
        Self {
            attack: Box::new(AttackConfig::Pgd(Pgd::default())),
            steps: 10,
            start: None,
        }
    }
}

/// The radii that are left for an example: above `failed` and below `did`, in parts of the largest.
#[derive(Debug, Clone, Copy)]
struct Bracket {
    row: usize,
    doublings: u32,
    failed: u32,
    did: u32,
}

impl MinimalBy {
    fn first(&self, threat: &ThreatModel) -> f32 {
        if threat.is_unbounded() {
            self.start.unwrap_or(usual_radius(threat.norm))
        } else {
            threat.epsilon
        }
    }

    /// How often the first radius may be doubled: until it reaches across the box.
    fn doublings(&self, threat: &ThreatModel, width: usize) -> u32 {
        if !threat.is_unbounded() {
            return 0;
        }
        let Place::Input = threat.place else {
            return DOUBLINGS;
        };
        let [low, high] = threat.bounds;
        let across = match threat.norm {
            Norm::Linf => high - low,
            Norm::L2 => (high - low) * (width as f32).sqrt(),
            Norm::L1 => (high - low) * width as f32,
            Norm::L0 => width as f32,
        };
        let doublings = (f64::from(across) / f64::from(self.first(threat))).log2();
        doublings.ceil().max(0.0) as u32
    }

    /// Runs the attack at one radius, enters its successes, and gives the distance of each.
    fn attempt(
        &self,
        victim: &Victim<'_>,
        rows: &[usize],
        radius: f32,
        nearest: &mut Nearest,
    ) -> Result<Vec<Option<f32>>, AttackError> {
        let threat = victim.threat().with_epsilon(radius);
        let part = victim.select(rows);
        let part = part.under(&threat);
        let proposed = self.attack.attack().run(&part)?;
        let points = threat.project(part.origin(), proposed);
        let reached = part.reached(&part.logits(&points));
        let width = points.dims()[1];
        let points = floats(points);
        let entered = rows.iter().zip(points.chunks(width)).zip(reached);
        Ok(entered
            .map(|((&row, point), reached)| {
                if reached {
                    return Some(nearest.offer(row, point));
                }
                nearest.leave(row, point);
                None
            })
            .collect())
    }

    /// Tries every example at its own radius, those of one radius together.
    fn round(
        &self,
        victim: &Victim<'_>,
        brackets: &mut [Bracket],
        radius: impl Fn(&Bracket) -> f32,
        nearest: &mut Nearest,
        mut learn: impl FnMut(&mut Bracket, Option<f32>),
    ) -> Result<(), AttackError> {
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, bracket) in brackets.iter().enumerate() {
            // Radii are above 0, where the order of bits is that of numbers.
            groups
                .entry(radius(bracket).to_bits())
                .or_default()
                .push(at);
        }
        for (radius, group) in groups {
            let rows: Vec<usize> = group.iter().map(|&at| brackets[at].row).collect();
            let found = self.attempt(victim, &rows, f32::from_bits(radius), nearest)?;
            for (&at, distance) in group.iter().zip(found) {
                learn(&mut brackets[at], distance);
            }
        }
        Ok(())
    }
}

impl Attack for MinimalBy {
    fn name(&self) -> String {
        format!("binary-search({})", self.attack.attack().name())
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        if self.steps == 0 || self.steps > BITS {
            return Err(AttackError::setting(
                "steps",
                self.steps,
                format!("from 1 to {BITS}"),
            ));
        }
        if let Some(start) = self.start {
            above_zero("start", start)?;
        }
        let first = threat.with_epsilon(self.first(threat));
        self.attack.attack().fits(spec, &first)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let threat = victim.threat();
        let first = self.first(threat);
        let parts = 1u32 << self.steps;
        let mut nearest = Nearest::new(victim);
        let mut open: Vec<Bracket> = (0..victim.examples().len())
            .map(|row| Bracket {
                row,
                doublings: 0,
                failed: 0,
                did: 0,
            })
            .collect();
        let largest = |bracket: &Bracket| first * (bracket.doublings as f32).exp2();
        let did = |bracket: &mut Bracket, distance: f32| {
            let part = (distance / largest(bracket) * parts as f32).ceil();
            bracket.did = (part as u32).clamp(1, parts);
        };
        let mut brackets: Vec<Bracket> = Vec::new();
        for doublings in 0..=self.doublings(threat, victim.origin().dims()[1]) {
            self.round(
                victim,
                &mut open,
                largest,
                &mut nearest,
                |bracket, found| {
                    if let Some(distance) = found {
                        did(bracket, distance);
                        bracket.failed = if doublings > 0 { parts / 2 } else { 0 };
                    } else {
                        bracket.doublings += 1;
                    }
                },
            )?;
            brackets.extend(open.iter().filter(|bracket| bracket.did > 0));
            open.retain(|bracket| bracket.did == 0);
        }
        let middle = |bracket: &Bracket| u32::midpoint(bracket.failed, bracket.did);
        loop {
            brackets.retain(|b| b.did > b.failed + 1 && !nearest.closed(b.row));
            if brackets.is_empty() {
                return Ok(nearest.finish(victim));
            }
            let radius = |b: &Bracket| largest(b) * (middle(b) as f32 / parts as f32);
            self.round(
                victim,
                &mut brackets,
                radius,
                &mut nearest,
                |bracket, found| {
                    let tried = middle(bracket);
                    match found {
                        Some(distance) => {
                            did(bracket, distance);
                            bracket.did = bracket.did.clamp(bracket.failed, tried);
                        }
                        None => bracket.failed = tried,
                    }
                },
            )?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Fgsm;
    use crate::attack::tests::{finds_the_smallest, finds_the_target, refused};

    #[test]
    fn the_smallest_ball_is_found_from_far_below_and_above() {
        let pgd = Pgd {
            steps: 10,
            objective: "margin".into(),
            random_start: false,
            ..Pgd::default()
        };
        for norm in [Norm::Linf, Norm::L2] {
            for start in [0.001, 0.1, 3.0] {
                let search = MinimalBy {
                    attack: Box::new(AttackConfig::Pgd(pgd.clone())),
                    start: Some(start),
                    ..MinimalBy::default()
                };
                finds_the_smallest(&search, norm, 0.03);
                finds_the_target(&search, norm, 0.03);
            }
        }
    }

    #[test]
    fn a_start_that_is_hardly_a_number_is_doubled_until_it_does() {
        let search = MinimalBy {
            attack: Box::new(AttackConfig::Fgsm(Fgsm::default())),
            start: Some(f32::MIN_POSITIVE),
            ..MinimalBy::default()
        };
        finds_the_smallest(&search, Norm::Linf, 0.01);
    }

    #[test]
    fn files_nest_the_attack() {
        let json = r#"{"type": "binary-search", "steps": 5, "attack": {"type": "fgsm"}}"#;
        let config: AttackConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.attack().name(), "binary-search(fgsm)");
        let again = serde_json::to_string(&config).unwrap();
        assert_eq!(
            serde_json::from_str::<AttackConfig>(&again).unwrap(),
            config
        );
    }

    #[test]
    fn senseless_settings_are_refused() {
        let fgsm = MinimalBy {
            attack: Box::new(AttackConfig::Fgsm(Fgsm::default())),
            ..MinimalBy::default()
        };
        let steps = MinimalBy {
            steps: 40,
            ..fgsm.clone()
        };
        assert_eq!(
            refused(&steps, Norm::L2),
            "steps is 40, must be from 1 to 24"
        );
        let start = MinimalBy {
            start: Some(f32::NAN),
            ..fgsm
        };
        assert_eq!(
            refused(&start, Norm::L2),
            "start is NaN, must be a finite number above 0"
        );
        let inner = MinimalBy {
            attack: Box::new(AttackConfig::Pgd(Pgd {
                steps: 0,
                ..Pgd::default()
            })),
            ..MinimalBy::default()
        };
        assert_eq!(refused(&inner, Norm::L2), "steps is 0, must be at least 1");
    }
}
