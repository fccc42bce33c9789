//! Carlini and Wagner's attack.

use burn::tensor::Tensor;
use mr_models::{ModelSpec, Objective, objective};
use serde::{Deserialize, Serialize};

use super::nearest::{Nearest, Walk, Walker};
use super::{Attack, ObjectiveAttack, above_zero, at_least_one, in_norms};
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::Victim;

/// Keeps pixels at the ends of the box movable: there the hyperbolic tangent is flat.
const SCALE: f32 = 1.0 - 1e-6;

/// How far the variable has to come in a search: a black or white pixel starts 7 from grey.
const REACH: f32 = 10.0;

/// Adam's (Kingma & Ba 2015).
const BETAS: [f32; 2] = [0.9, 0.999];
const FLOOR: f32 = 1e-8;

/// A loss that falls by less than this share between two looks is not falling.
const PROGRESS: f32 = 1e-4;

/// The largest constant that a search has not given up on.
const MOST: f32 = 1e10;

/// L2 attack (Carlini & Wagner 2017, "Towards evaluating the robustness of neural networks"): Adam on
/// `||x - x0||^2 + c max(confidence - margin, 0)`, with `x` a hyperbolic tangent so that it stays in the
/// box, and a search for the smallest `c` that succeeds. L2 only.
///
/// Each example has its own `c`, and stops its own search where its loss no longer falls, at one of
/// ten looks: the authors' code and its descendants stop when no example of the batch improves. At a site
/// there is no box: then `x` is the variable itself. 1,000 steps a search, not the authors' 10,000, as
/// most searches are over by then. Steps and learning rate go together: the variable of a black or white
/// pixel starts where the tangent is flat, and where steps times rate does not bring it out nothing
/// moves. On an adversarially trained LeNet5, whose images are mostly black, 200 steps of .01 break one
/// image in four and 200 of .05 or 1,000 of .01 all but one in fifty, so fewer steps get a larger rate.
///
/// Aimed at another objective, the second term holds as long as the goal is not reached or the
/// objective is below `confidence`; for the margin that is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CarliniWagner {
    /// Searches for the constant, at most, for each example.
    pub searches: usize,
    /// Steps of each search at most, of one pass each.
    pub steps: usize,
    /// Adam's learning rate: how far the variable moves in a step. By default .01, or 10 / steps if that
    /// is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f32>,
    /// The first constant.
    pub initial_constant: f32,
    /// By how much the margin has to be above 0.
    pub confidence: f32,
    /// Whether a search whose loss no longer falls ends early.
    pub abort_early: bool,
}

impl Default for CarliniWagner {
    fn default() -> Self {
        Self {
            searches: 9,
            steps: 1000,
            learning_rate: None,
            initial_constant: 1e-3,
            confidence: 0.0,
            abort_early: true,
        }
    }
}

/// What the variable is and how it gives a point.
#[derive(Clone, Copy)]
enum Space {
    /// `middle + half tanh w`.
    Box { middle: f32, half: f32 },
    /// `w`.
    Free,
}

impl Space {
    fn of(bounds: Option<[f32; 2]>) -> Self {
        match bounds {
            Some([low, high]) => Self::Box {
                middle: 0.5 * (low + high),
                half: 0.5 * (high - low),
            },
            None => Self::Free,
        }
    }

    fn variable(self, x: f32) -> f32 {
        match self {
            Self::Box { middle, half } => {
                ((x - middle) / half * SCALE).clamp(-SCALE, SCALE).atanh()
            }
            Self::Free => x,
        }
    }

    fn point(self, w: f32) -> f32 {
        match self {
            Self::Box { middle, half } => middle + half * w.tanh(),
            Self::Free => w,
        }
    }

    /// The slope of [`point`](Self::point), where that is `x`.
    fn slope(self, x: f32) -> f32 {
        match self {
            Self::Box { middle, half } => {
                let tanh = (x - middle) / half;
                half * (1.0 - tanh * tanh)
            }
            Self::Free => 1.0,
        }
    }
}

/// An example with its own constant.
struct Seeker {
    row: usize,
    start: Vec<f32>,
    variable: Vec<f32>,
    point: Vec<f32>,
    moments: [Vec<f32>; 2],
    constant: f32,
    lowest: f32,
    highest: f32,
    /// Whether this search succeeded.
    found: bool,
    /// The loss at the last look.
    before: f32,
    stuck: bool,
}

impl Walker for Seeker {
    fn row(&self) -> usize {
        self.row
    }

    fn point(&self) -> &[f32] {
        &self.point
    }
}

impl Seeker {
    fn new(row: usize, origin: &[f32], space: Space, constant: f32) -> Self {
        let start: Vec<f32> = origin.iter().map(|&x| space.variable(x)).collect();
        let zeros = vec![0.0; origin.len()];
        Self {
            row,
            point: zeros.clone(),
            variable: zeros.clone(),
            moments: [zeros.clone(), zeros],
            start,
            constant,
            lowest: 0.0,
            highest: MOST,
            found: false,
            before: f32::INFINITY,
            stuck: false,
        }
    }

    /// Back to the clean point.
    fn restart(&mut self, space: Space) {
        self.variable.copy_from_slice(&self.start);
        for (x, &w) in self.point.iter_mut().zip(&self.variable) {
            *x = space.point(w);
        }
        self.moments.iter_mut().for_each(|moment| moment.fill(0.0));
        (self.found, self.before, self.stuck) = (false, f32::INFINITY, false);
    }

    /// Adam's next step down the loss; `weight` is that of the objective's gradient.
    fn step(
        &mut self,
        rate: f32,
        count: i32,
        space: Space,
        origin: &[f32],
        weight: f32,
        gradient: &[f32],
    ) {
        let corrections = BETAS.map(|beta| 1.0 - beta.powi(count));
        let rate = rate / corrections[0];
        let scale = corrections[1].sqrt();
        let [first, second] = &mut self.moments;
        for i in 0..origin.len() {
            let x = self.point[i];
            let slope = space.slope(x) * (2.0 * (x - origin[i]) - weight * gradient[i]);
            first[i] += (1.0 - BETAS[0]) * (slope - first[i]);
            second[i] += (1.0 - BETAS[1]) * (slope * slope - second[i]);
            self.variable[i] -= rate * first[i] / (second[i].sqrt() / scale + FLOOR);
            self.point[i] = space.point(self.variable[i]);
        }
    }

    /// The constant of the next search: between the largest that failed and the smallest that did not.
    fn next_constant(&mut self) {
        if self.found {
            self.highest = self.highest.min(self.constant);
        } else {
            self.lowest = self.lowest.max(self.constant);
        }
        if self.highest < MOST {
            self.constant = 0.5 * (self.lowest + self.highest);
        } else {
            self.constant *= 10.0;
        }
    }
}

impl CarliniWagner {
    fn rate(&self) -> f32 {
        let usual = (REACH / self.steps as f32).max(0.01);
        self.learning_rate.unwrap_or(usual)
    }

    /// One search of each example with its constant.
    fn search(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
        seekers: Vec<Seeker>,
        space: Space,
        nearest: &mut Nearest,
    ) -> Result<Vec<Seeker>, AttackError> {
        let mut walk = Walk::new(victim, seekers);
        let mut done = Vec::new();
        let between_looks = (self.steps / 10).max(1);
        for step in 0..self.steps {
            if walk.is_empty() {
                break;
            }
            let seen = walk.climb(objective)?;
            let looks = self.abort_early && step % between_looks == 0;
            for (i, seeker) in walk.walkers.iter_mut().enumerate() {
                let missing = self.confidence - seen.values[i];
                let holds = !seen.reached[i] || missing > 0.0;
                if !holds {
                    nearest.offer(seeker.row, &seeker.point);
                    seeker.found = true;
                }
                let weight = if holds { seeker.constant } else { 0.0 };
                let origin = nearest.origin(seeker.row);
                if looks {
                    let change = seeker
                        .point
                        .iter()
                        .zip(origin)
                        .map(|(x, o)| (x - o) * (x - o));
                    let loss = change.sum::<f32>() + weight * missing.max(0.0);
                    seeker.stuck = loss > seeker.before * (1.0 - PROGRESS);
                    seeker.before = loss;
                }
                if !seeker.stuck {
                    let count = step as i32 + 1;
                    seeker.step(self.rate(), count, space, origin, weight, seen.gradient(i));
                }
            }
            done.extend(walk.release(|seeker| seeker.stuck || nearest.closed(seeker.row)));
        }
        walk.end(nearest);
        done.extend(walk.walkers);
        done.sort_by_key(|seeker| seeker.row);
        Ok(done)
    }
}

impl Attack for CarliniWagner {
    fn name(&self) -> String {
        "carlini-wagner".into()
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        in_norms("carlini-wagner", threat, &[Norm::L2])?;
        at_least_one("searches", self.searches)?;
        at_least_one("steps", self.steps)?;
        if let Some(rate) = self.learning_rate {
            above_zero("learning_rate", rate)?;
        }
        above_zero("initial_constant", self.initial_constant)?;
        if !(self.confidence.is_finite() && self.confidence >= 0.0) {
            return Err(AttackError::setting(
                "confidence",
                self.confidence,
                "a finite number, at least 0",
            ));
        }
        Ok(objective::Margin.fits(spec)?)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        self.run_on(victim, &objective::Margin)
    }
}

impl ObjectiveAttack for CarliniWagner {
    fn run_on(
        &self,
        victim: &Victim<'_>,
        objective: &dyn Objective,
    ) -> Result<Tensor<2>, AttackError> {
        let space = Space::of(victim.threat().in_box());
        let mut nearest = Nearest::new(victim);
        let seeker =
            |row: usize| Seeker::new(row, nearest.origin(row), space, self.initial_constant);
        let mut seekers: Vec<Seeker> = nearest.open().into_iter().map(seeker).collect();
        for search in 0..self.searches {
            seekers.retain(|seeker| !nearest.closed(seeker.row));
            if seekers.is_empty() {
                break;
            }
            for seeker in &mut seekers {
                // A long search ends with the constant that is known to do, as the authors' does.
                if search >= 9 && search + 1 == self.searches {
                    seeker.constant = seeker.highest;
                }
                seeker.restart(space);
            }
            seekers = self.search(victim, objective, seekers, space, &mut nearest)?;
            seekers.iter_mut().for_each(Seeker::next_constant);
        }
        Ok(nearest.finish(victim))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::tests::{
        finds_the_smallest, finds_the_smallest_at_the_logits, finds_the_target, judge, net, refused,
    };
    use crate::goal::Goal;

    #[test]
    fn a_linear_net_is_broken_near_the_smallest_distance() {
        finds_the_smallest(&CarliniWagner::default(), Norm::L2, 0.02);
        finds_the_target(&CarliniWagner::default(), Norm::L2, 0.02);
        finds_the_smallest_at_the_logits(&CarliniWagner::default(), Norm::L2, 0.02);
    }

    /// A known fault of others: the inverse hyperbolic tangent of 1 is infinite, and stays so.
    #[test]
    fn pixels_at_the_ends_of_the_box_move() {
        let space = Space::of(Some([0.0, 1.0]));
        for x in [0.0, 1.0] {
            let mut seeker = Seeker::new(0, &[x], space, 1.0);
            seeker.restart(space);
            assert!(seeker.variable[0].is_finite());
            assert!((seeker.point[0] - x).abs() < 1e-6);
            let inwards = if x == 0.0 { 1.0 } else { -1.0 };
            for step in 0..1000 {
                seeker.step(0.01, step + 1, space, &[x], 1.0, &[inwards]);
            }
            // The loss (x - x0)^2 - (x - x0) inwards is least half-way.
            assert!((seeker.point[0] - 0.5).abs() < 0.05, "{}", seeker.point[0]);
        }
    }

    #[test]
    fn fewer_steps_are_longer() {
        let rate = |steps| {
            let few = CarliniWagner {
                steps,
                ..CarliniWagner::default()
            };
            few.rate()
        };
        assert_eq!([200, 1000, 10_000].map(rate), [0.05, 0.01, 0.01]);
        // From black to the other side of the box.
        let space = Space::of(Some([0.0, 1.0]));
        for steps in [50, 1000] {
            let mut seeker = Seeker::new(0, &[0.0], space, 1.0);
            seeker.restart(space);
            for step in 0..steps {
                seeker.step(rate(steps), step as i32 + 1, space, &[0.0], 10.0, &[1.0]);
            }
            assert!(seeker.point[0] > 0.9, "{steps}: {}", seeker.point[0]);
        }
    }

    #[test]
    fn confidence_is_a_margin() {
        let sure = CarliniWagner {
            confidence: 0.5,
            ..CarliniWagner::default()
        };
        let threat = ThreatModel::unbounded(Norm::L2);
        let found = judge(&sure, &threat, &Goal::Untargeted).unwrap();
        // The margin grows by 5 for each unit of length: (1 + .5) / 5.
        let distance = found.examples[0].distance.unwrap();
        assert!((0.3..0.306).contains(&distance), "{distance}");
    }

    #[test]
    fn senseless_settings_are_refused() {
        let default = CarliniWagner::default();
        assert_eq!(
            refused(&default, Norm::L1),
            "carlini-wagner knows the norms L2, not L1"
        );
        let confidence = CarliniWagner {
            confidence: -1.0,
            ..default.clone()
        };
        assert!(refused(&confidence, Norm::L2).starts_with("confidence is -1"));
        let steps = CarliniWagner {
            steps: 0,
            ..default.clone()
        };
        assert_eq!(refused(&steps, Norm::L2), "steps is 0, must be at least 1");
        let mut spec = mr_models::Model::spec(&net()).clone();
        spec.classes = 1;
        assert!(
            default
                .fits(&spec, &ThreatModel::unbounded(Norm::L2))
                .is_err()
        );
    }
}
