//! A coefficient of sparsity that follows the number of active latents.

use serde::{Deserialize, Serialize};

/// Steps that the running L0 reaches back over.
const MEMORY: f64 = 20.0;
/// The share of a fit in which the coefficient changes by the factor that L0 is off by: the integral part of the control.
const INTEGRAL: f64 = 0.03;
/// The power of that factor which the coefficient is multiplied by at once: the proportional part.
const PROPORTIONAL: f64 = 1.0;
/// What is acted on of the logarithm of that factor at most.
const MOST: f64 = 1.0;
/// The share of its top below which a falling learning rate no longer speeds the integral part up.
const SLOW: f64 = 0.1;
/// The logarithm of the largest coefficient, and of the smallest's inverse: where L0 follows none, none is to overflow.
const FURTHEST: f64 = 25.0;
/// The last share of a fit, in which the coefficient stays what it was on average over as many steps before.
const FIXED: f64 = 0.03;

/// Proportional and integral control of the coefficient's logarithm by that of L0, for which papers search grids of
/// coefficients. What is wanted falls geometrically from the L0 of the first batch, as k does for kinds with a k: a coefficient
/// that comes down on L0 too fast leaves latents dead whose features no other latent then finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Steering {
    /// The L0 of the first batch.
    first: f64,
    /// The logarithm of the running L0 over the wanted one.
    off: f64,
    /// The logarithm of the coefficient, without the proportional part.
    log: f64,
    /// Logarithms of coefficients over the steps before the last share, and how many.
    sum: f64,
    count: u32,
}

impl Steering {
    /// A coefficient that begins here.
    pub(super) fn new(coefficient: f32) -> Self {
        Self {
            first: 0.0,
            off: 0.0,
            log: f64::from(coefficient).ln(),
            sum: 0.0,
            count: 0,
        }
    }

    /// The coefficient of the next step.
    pub(super) fn coefficient(&self) -> f32 {
        (self.log + PROPORTIONAL * self.off).exp() as f32
    }

    /// Learns the L0 of a step's batch; `fallen` is the share of the way from the first L0 to the wanted one that is to be
    /// behind. Where the learning rate falls, to this `pace` of its top, L0 follows the coefficient the more slowly, and the
    /// coefficient has to lead by more.
    pub(super) fn learn(
        &mut self,
        l0: f64,
        wanted: f64,
        [fallen, pace]: [f64; 2],
        [step, steps]: [usize; 2],
    ) {
        let fixed = (FIXED * steps as f64) as usize;
        if step >= steps - fixed {
            return;
        }
        if step == 0 {
            self.first = l0.max(wanted);
        }
        let goal = wanted * (self.first / wanted).powf(1.0 - fallen);
        let off = (l0 / goal).ln().clamp(-MOST, MOST);
        self.off += (off - self.off) / MEMORY.min(step as f64 + 1.0);
        self.log += self.off / (INTEGRAL * steps as f64 * pace.max(SLOW));
        self.log = self.log.clamp(-FURTHEST, FURTHEST);
        if step + 2 * fixed >= steps {
            self.sum += self.log + PROPORTIONAL * self.off;
            self.count += 1;
        }
        if step + fixed + 1 == steps && self.count > 0 {
            self.log = self.sum / f64::from(self.count);
            self.off = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steers latents whose number is some power of the coefficient, which it nears by a share a step.
    fn steered(first: f32, power: f64, steps: usize) -> Vec<(f64, f32)> {
        let mut steering = Steering::new(first);
        let mut l0: f64 = 50.0;
        (0..steps)
            .map(|step| {
                let coefficient = steering.coefficient();
                let rest = 10.0 * f64::from(coefficient).powf(-power);
                l0 *= (rest / l0).powf(0.05);
                let fallen = (step as f64 / (0.3 * steps as f64)).min(1.0);
                steering.learn(l0, 4.0, [fallen, 1.0], [step, steps]);
                (l0, coefficient)
            })
            .collect()
    }

    #[test]
    fn what_is_wanted_is_arrived_at_and_kept() {
        for (first, power) in [(1.0, 1.0), (0.05, 0.7), (20.0, 1.5)] {
            let way = steered(first, power, 2000);
            let (l0, coefficient) = way[1999];
            assert!((l0 / 4.0 - 1.0).abs() < 0.01, "{first}, {power}: {l0}");
            // 10 c^-p is 4 there.
            let expected = 2.5f64.powf(1.0 / power) as f32;
            assert!((coefficient / expected - 1.0).abs() < 0.02, "{coefficient}");
            let last = &way[1940..];
            assert!(last.iter().all(|(_, one)| *one == coefficient));
            if first < expected {
                // It comes from above and does not fall through.
                let least = way.iter().map(|(l0, _)| *l0).fold(f64::INFINITY, f64::min);
                assert!(least > 3.4, "{first}, {power}: {least}");
            }
        }
    }

    #[test]
    fn a_batch_without_any_active_latent_moves_it_by_a_bounded_step() {
        let mut steering = Steering::new(2.0);
        assert_eq!(steering.coefficient(), 2.0);
        steering.learn(0.0, 4.0, [1.0, 1.0], [0, 100]);
        let expected = 2.0 * f64::exp(-PROPORTIONAL - 1.0 / (INTEGRAL * 100.0));
        assert!((f64::from(steering.coefficient()) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_coefficient_that_nothing_follows_stays_finite() {
        let mut steering = Steering::new(1.0);
        for step in 0..20_000 {
            steering.learn(50.0, 4.0, [1.0, 0.1], [step, 20_000]);
        }
        let largest = steering.coefficient();
        assert!(largest.is_finite() && largest > 1e10, "{largest}");
    }
}
