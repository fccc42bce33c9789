//! Latents as detectors of known features.

use super::recovery::Match;
use crate::error::{MetricError, same_length};
use crate::host::samples;

/// How well latents say whether their features are on, gathered batch by batch.
///
/// SynthSAEBench (Chanin & Garriga-Alonso 2026) gives each latent the feature nearest to it,
/// [`Recovery::nearest`](super::Recovery::nearest), and averages over latents, dead ones among them; of the
/// one-to-one matching the same measures are about features instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    pairs: Vec<(usize, usize)>,
    widths: [usize; 2],
    counts: Vec<Counts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    both: u64,
    latent: u64,
    feature: u64,
}

/// One latent, or the mean over latents, as a detector. Ratios without a denominator are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Detector {
    /// The share of the samples that the latent is active on whose feature is on.
    pub precision: f64,
    /// The share of the samples whose feature is on that the latent is active on.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
}

impl Detection {
    /// Nothing yet, of these pairs among so many latents and features.
    ///
    /// # Errors
    /// If there is no pair, or one names a latent or feature that is not there.
    pub fn new(matches: &[Match], latents: usize, features: usize) -> Result<Self, MetricError> {
        let pairs: Vec<_> = matches.iter().map(|m| (m.latent, m.feature)).collect();
        if pairs.is_empty() {
            return Err(MetricError::Empty {
                what: "the matching".into(),
            });
        }
        if let Some((latent, feature)) = pairs
            .iter()
            .find(|(latent, feature)| *latent >= latents || *feature >= features)
        {
            return Err(MetricError::Setting {
                what: "a pair of latent and feature".into(),
                value: format!("{latent}, {feature}"),
                valid: format!("below {latents} and {features}"),
            });
        }
        Ok(Self {
            counts: vec![Counts::default(); pairs.len()],
            pairs,
            widths: [latents, features],
        })
    }

    /// Adds codes `[sample, latent]` and the true coefficients of the same samples, `[sample, feature]`.
    /// A latent or a feature is on where it is not 0.
    ///
    /// # Errors
    /// If they are not of the same whole samples, or one is NaN or infinite.
    pub fn add(&mut self, codes: &[f32], coefficients: &[f32]) -> Result<(), MetricError> {
        let codes = samples("codes", codes, self.widths[0])?;
        let truths = samples("coefficients", coefficients, self.widths[1])?;
        same_length(
            "samples of codes and coefficients",
            codes.len(),
            truths.len(),
        )?;
        for (code, truth) in codes.zip(truths) {
            for (&(latent, feature), counts) in self.pairs.iter().zip(&mut self.counts) {
                let (fires, on) = (code[latent] != 0.0, truth[feature] != 0.0);
                counts.both += u64::from(fires && on);
                counts.latent += u64::from(fires);
                counts.feature += u64::from(on);
            }
        }
        Ok(())
    }

    /// Each pair, in the order of the matching.
    pub fn each(&self) -> Vec<Detector> {
        let ratio = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        self.counts
            .iter()
            .map(|counts| Detector {
                precision: ratio(counts.both, counts.latent),
                recall: ratio(counts.both, counts.feature),
                f1: ratio(2 * counts.both, counts.latent + counts.feature),
            })
            .collect()
    }

    /// The mean over pairs; F1 is the mean of F1, not that of the means.
    pub fn mean(&self) -> Detector {
        let each = self.each();
        let mean = |of: fn(&Detector) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
        Detector {
            precision: mean(|one| one.precision),
            recall: mean(|one| one.recall),
            f1: mean(|one| one.f1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(latent: usize, feature: usize) -> Match {
        Match {
            latent,
            feature,
            cosine: 1.0,
        }
    }

    #[test]
    fn precision_recall_and_f1_by_hand() {
        let pairs = [pair(0, 1), pair(1, 0), pair(2, 2)];
        let mut detection = Detection::new(&pairs, 3, 3).unwrap();
        // Latent 0 fires on samples 0, 1, 2; feature 1 is on in 0, 3: precision 1/3, recall 1/2, F1 2/5.
        // Latent 1 always agrees. Latent 2 is dead.
        let codes = [1., 1., 0., 2., 0., 0., 1., 1., 0., 0., 0., 0.];
        let truth = [1., 1., 0., 0., 0., 1., 1., 0., 0., 0., 3., 0.];
        detection.add(&codes[..6], &truth[..6]).unwrap();
        detection.add(&codes[6..], &truth[6..]).unwrap();
        let each = detection.each();
        assert_eq!((each[0].precision, each[0].recall), (1.0 / 3.0, 0.5));
        assert_eq!(each[0].f1, 0.4);
        assert_eq!(each[1].f1, 1.0);
        assert_eq!(each[2], Detector::default());
        let mean = detection.mean();
        assert!((mean.f1 - 1.4 / 3.0).abs() < 1e-12);
        assert!((mean.recall - 0.5).abs() < 1e-12);
    }

    #[test]
    fn samples_have_to_be_the_same() {
        let mut detection = Detection::new(&[pair(0, 0)], 1, 2).unwrap();
        assert!(detection.add(&[1.0, 0.0], &[1.0, 0.0]).is_err());
        assert!(detection.add(&[f32::INFINITY], &[1.0, 0.0]).is_err());
        assert!(Detection::new(&[pair(1, 0)], 1, 2).is_err());
        assert!(Detection::new(&[], 1, 2).is_err());
    }
}
