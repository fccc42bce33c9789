//! Randomised smoothing.

use burn::tensor::{Tensor, TensorData};
use mr_models::{Input, Model, Network, predictions};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::Certifier;
use super::certificate::{Batch, Certificate};
use super::confidence::{coin, lower_confidence, quantile};
use crate::attack::bounded;
use crate::error::AttackError;
use crate::evaluate::check_finite;
use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel};

/// Randomised smoothing (Cohen et al. 2019, "Certified adversarial robustness via randomized
/// smoothing"): the class that a network gives most often to an example with Gaussian noise. If that
/// has a probability of at least p, no perturbation shorter than `sigma Phi^-1(p)` in L2 changes it.
///
/// What is certified is this smoothed classifier, not the network; each certificate holds with
/// probability `1 - alpha`. The noise leaves the box of pixels, as the theorem needs. An Linf ball
/// lies in the L2 ball that is `sqrt(coordinates)` times as large, an L1 ball in that of its own
/// radius, and an L0 ball in that of `sqrt(epsilon)` times the box's width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smoothing {
    /// Standard deviation of the noise, in pixel units; the network should be trained with it.
    pub sigma: f64,
    /// Noisy copies that pick the class.
    pub n0: usize,
    /// Noisy copies that its probability is estimated from. The authors take 100,000; 1,000, the
    /// default, is what a processor does in bearable time, and proves radii up to 2.5 sigma.
    pub n: usize,
    /// How probable a wrong certificate may be.
    pub alpha: f64,
    /// Noisy copies that run together; does not change the result.
    pub batch: usize,
}

impl Default for Smoothing {
    fn default() -> Self {
        Self {
            sigma: 0.25,
            n0: 100,
            n: 1000,
            alpha: 0.001,
            batch: 250,
        }
    }
}

/// What noise is drawn for: the first copies pick the class, others estimate its probability.
#[derive(Clone, Copy)]
enum Purpose {
    Selection = 0,
    Estimation = 1,
}

impl Smoothing {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`AttackError::Setting`].
    pub fn validate(&self) -> Result<(), AttackError> {
        if !(self.sigma.is_finite() && self.sigma > 0.0) {
            let valid = "a finite number above 0";
            return Err(AttackError::setting("sigma", self.sigma, valid));
        }
        for (what, value) in [("n0", self.n0), ("n", self.n), ("batch", self.batch)] {
            // Each copy has a number of 32 bits.
            if value == 0 || value > u32::MAX as usize {
                return Err(AttackError::setting(what, value, "from 1 to 4294967295"));
            }
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(AttackError::setting("alpha", self.alpha, "in (0, 1)"));
        }
        Ok(())
    }

    /// The radius that `count` of [`n`](Self::n) copies prove, in L2; `None` to abstain.
    pub fn radius(&self, count: usize) -> Option<f64> {
        let p = lower_confidence(count, self.n, self.alpha);
        (p > 0.5).then(|| self.sigma * quantile(p))
    }

    /// Whether a certificate of this method holds against a threat of another radius as well: noise has
    /// to be drawn but once for a whole curve. `coordinates` are those of an example.
    pub fn certifies(&self, one: &Certificate, threat: &ThreatModel, coordinates: usize) -> bool {
        let needed = enclosing(threat, coordinates);
        one.clean == Some(one.label) && one.radius.is_some_and(|radius| radius > needed)
    }

    /// The smoothed classifier's class, where the most frequent one is so with confidence
    /// `1 - alpha` by a test on the two most frequent (Cohen et al. 2019, PREDICT); `None` to
    /// abstain. `counts` are by class, out of any number of copies.
    pub fn verdict(&self, counts: &[usize]) -> Option<usize> {
        let best = most(counts);
        let others = counts
            .iter()
            .enumerate()
            .filter(|(class, _)| *class != best);
        let second = others.map(|(_, &count)| count).max().unwrap_or(0);
        let surely = coin(counts[best], counts[best] + second) <= self.alpha;
        surely.then_some(best)
    }

    /// The smoothed classifier's class of an example `[1, channel, height, width]` by its number and
    /// a seed, from [`n`](Self::n) copies; `None` where it abstains.
    ///
    /// # Errors
    /// [`AttackError::NotFinite`] for logits that are not numbers.
    pub fn predict(
        &self,
        model: &dyn Model,
        image: &Tensor<4>,
        example: u64,
        seed: u64,
    ) -> Result<Option<usize>, AttackError> {
        let counts = self.counts(model, image, example, seed, Purpose::Estimation)?;
        Ok(self.verdict(&counts))
    }

    /// How often each class is given to noisy copies of an example.
    fn counts(
        &self,
        model: &dyn Model,
        image: &Tensor<4>,
        example: u64,
        seed: u64,
        purpose: Purpose,
    ) -> Result<Vec<usize>, AttackError> {
        let [_, channels, height, width] = image.dims();
        let size = channels * height * width;
        let copies = match purpose {
            Purpose::Selection => self.n0,
            Purpose::Estimation => self.n,
        };
        let mut counts = vec![0; model.spec().classes];
        let all: Vec<u32> = (0..copies as u32).collect();
        for some in all.chunks(self.batch) {
            let mut noise = Vec::with_capacity(some.len() * size);
            let mut keys = Vec::with_capacity(some.len());
            for &copy in some {
                let draw = Draw {
                    seed,
                    attack: "smoothing",
                    restart: purpose as u32,
                    step: copy,
                };
                let mut rng = draw.rng(example);
                noise.extend((0..size).map(|_| {
                    let normal: f32 = StandardNormal.sample(&mut rng);
                    normal
                }));
                keys.push(u64::from(copy) ^ example.rotate_left(32));
            }
            let shape = [some.len(), channels, height, width];
            let noise = Tensor::<4>::from_data(TensorData::new(noise, shape), &image.device());
            let noisy = Input::Real(image.clone() + noise * self.sigma);
            let logits = model.run_drawn(&noisy, &keys, &mut mr_models::Idle);
            check_finite(&logits, &[example])?;
            for row in predictions(&logits) {
                counts[row[0]] += 1;
            }
        }
        Ok(counts)
    }
}

/// The most frequent class, the lowest of several.
fn most(counts: &[usize]) -> usize {
    let mut best = 0;
    for (class, &count) in counts.iter().enumerate() {
        if count > counts[best] {
            best = class;
        }
    }
    best
}

/// The radius of the smallest L2 ball around a threat's.
fn enclosing(threat: &ThreatModel, coordinates: usize) -> f64 {
    let epsilon = f64::from(threat.epsilon);
    let [low, high] = threat.bounds;
    match threat.norm {
        Norm::L2 | Norm::L1 => epsilon,
        Norm::Linf => epsilon * (coordinates as f64).sqrt(),
        Norm::L0 => epsilon.sqrt() * f64::from(high - low),
    }
}

impl Certifier for Smoothing {
    fn name(&self) -> &'static str {
        "smoothing"
    }

    fn fits(&self, network: &Network, threat: &ThreatModel) -> Result<(), AttackError> {
        self.validate()?;
        threat.fits(network.spec())?;
        bounded("smoothing", threat)?;
        if threat.place != mr_models::Place::Input {
            return Err(AttackError::Unfit(
                "smoothing certifies perturbations of the input, not of a site".into(),
            ));
        }
        Ok(())
    }

    fn rows(&self, _network: &Network, _batch_size: usize) -> usize {
        1
    }

    fn certificates(&self, batch: &Batch<'_>) -> Result<Vec<Certificate>, AttackError> {
        let coordinates = batch.input.dims()[1..].iter().product();
        let logits = batch.network.logits(&Input::Real(batch.input.clone()));
        batch.check_finite(&logits)?;
        let certificate = |(i, &example): (usize, &u64)| {
            let image = batch.input.clone().narrow(0, i, 1);
            let counts = |purpose| self.counts(batch.network, &image, example, batch.seed, purpose);
            let class = most(&counts(Purpose::Selection)?);
            let radius = self.radius(counts(Purpose::Estimation)?[class]);
            let mut one = Certificate {
                index: example,
                label: batch.labels[i],
                clean: radius.map(|_| class),
                certified: false,
                margin: None,
                radius,
            };
            one.certified = self.certifies(&one, batch.threat, coordinates);
            Ok(one)
        };
        batch.numbers.iter().enumerate().map(certificate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smoothing(sigma: f64, n: usize) -> Smoothing {
        Smoothing {
            sigma,
            n,
            ..Smoothing::default()
        }
    }

    #[test]
    fn a_certificate_holds_up_to_its_radius() {
        let one = |clean| Certificate {
            index: 0,
            label: 3,
            clean,
            certified: true,
            margin: None,
            radius: Some(0.5),
        };
        let holds = |norm, epsilon, clean| {
            let threat = ThreatModel::new(norm, epsilon);
            Smoothing::default().certifies(&one(clean), &threat, 16)
        };
        assert!(holds(Norm::L2, 0.49, Some(3)) && !holds(Norm::L2, 0.5, Some(3)));
        // An Linf ball of 16 coordinates reaches 4 times as far in L2.
        assert!(holds(Norm::Linf, 0.12, Some(3)) && !holds(Norm::Linf, 0.13, Some(3)));
        assert!(!holds(Norm::L2, 0.1, Some(4)) && !holds(Norm::L2, 0.1, None));
    }

    #[test]
    fn radii_of_known_counts() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.unwrap();
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        };
        near(smoothing(0.25, 1000).radius(990), 0.494_502);
        near(smoothing(0.5, 100_000).radius(100_000), 1.905_728);
        assert_eq!(smoothing(0.25, 1000).radius(501), None);
    }

    #[test]
    fn a_class_is_named_only_where_it_surely_leads() {
        let of = |counts: &[usize]| smoothing(0.25, 1000).verdict(counts);
        assert_eq!(of(&[10, 980, 10]), Some(1));
        assert_eq!(of(&[499, 501]), None);
        // 11 of 11: 2 / 2^11 < .001; 10 of 10: 2 / 2^10 > .001.
        assert_eq!(of(&[0, 11]), Some(1));
        assert_eq!(of(&[0, 10]), None);
    }

    #[test]
    fn balls_lie_in_larger_ones() {
        let radius = |norm, epsilon| enclosing(&ThreatModel::new(norm, epsilon), 16);
        assert_eq!(radius(Norm::L2, 0.5), 0.5);
        assert_eq!(radius(Norm::L1, 0.5), 0.5);
        assert_eq!(radius(Norm::Linf, 0.5), 2.0);
        assert_eq!(radius(Norm::L0, 4.0), 2.0);
    }
}
