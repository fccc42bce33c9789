//! A linear map from a site to names.

use mr_models::objective::{Direction, Sense};
use mr_models::{Edit, ModelError, ModelSpec, Rewrite};
use serde::{Deserialize, Serialize};

use super::Positions;
use crate::error::CircuitError;

/// How a probe was fitted, which says what its weights mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// Ridge regression on indicators of the classes.
    Linear,
    /// Multinomial logistic regression: scores are logits (Alain & Bengio 2016).
    #[default]
    Logistic,
    /// The nearest class mean: weights are the means, less that of all samples; the difference of two means
    /// is the direction.
    MeanDifference,
    /// The same with the within-class covariance taken out: what Marks & Tegmark (2023, section 5) call
    /// the probe of the mass mean for identically distributed data, which is Fisher's discriminant.
    MassMean,
    /// A concept activation vector: the normal of the logistic boundary between a concept and the rest
    /// (Kim et al. 2018).
    Cav,
}

impl ProbeKind {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Logistic => "logistic",
            Self::MeanDifference => "mean-difference",
            Self::MassMean => "mass-mean",
            Self::Cav => "cav",
        }
    }
}

/// A linear read-out of a site: a score for each output, of which the largest is its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// How it was fitted.
    pub kind: ProbeKind,
    /// The site that it reads.
    pub site: String,
    /// The positions that it reads there.
    pub positions: Positions,
    /// What its outputs are called.
    pub outputs: Vec<String>,
    width: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    means: Option<Vec<f32>>,
}

/// A probe's answers about labelled samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The output with the largest score, of equal ones the first, sample by sample.
    pub predicted: Vec<usize>,
    /// Whether it is the label.
    pub right: Vec<bool>,
    /// Minus the log of the softmax of the label's score, in nats. Scores are logits in logistic probes
    /// only; elsewhere this is a number without a meaning of its own.
    pub log_loss: Vec<f64>,
}

impl Probe {
    /// A probe with weights `[output, feature]` and a bias for each output.
    ///
    /// # Errors
    /// [`CircuitError::Probe`] if their numbers do not agree, or one is not finite.
    pub fn new(
        kind: ProbeKind,
        site: impl Into<String>,
        positions: Positions,
        outputs: Vec<String>,
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Self, CircuitError> {
        let (count, biases) = (outputs.len(), bias.len());
        if count == 0
            || biases != count
            || weights.is_empty()
            || !weights.len().is_multiple_of(count)
        {
            return Err(CircuitError::Probe(format!(
                "{} weights and {biases} biases are not those of a probe with {count} outputs",
                weights.len()
            )));
        }
        finite(&weights)?;
        finite(&bias)?;
        Ok(Self {
            kind,
            site: site.into(),
            positions,
            width: weights.len() / count,
            outputs,
            weights,
            bias,
            means: None,
        })
    }

    /// The same with the mean of each class `[output, feature]`, whose difference is then its direction:
    /// a mass mean is read by one vector and steered by another.
    ///
    /// # Errors
    /// [`CircuitError::Probe`] if they are not as many as the weights, or one is not finite.
    pub fn with_means(self, means: Vec<f32>) -> Result<Self, CircuitError> {
        if means.len() != self.weights.len() {
            return Err(CircuitError::Probe(format!(
                "{} values are not {} means of {} features",
                means.len(),
                self.outputs.len(),
                self.width
            )));
        }
        finite(&means)?;
        let means = Some(means);
        Ok(Self { means, ..self })
    }

    /// Features of a sample.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Weights `[output, feature]`.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// One bias for each output.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Class means `[output, feature]`, where it has any.
    pub fn means(&self) -> Option<&[f32]> {
        self.means.as_deref()
    }

    /// Scores `[sample, output]` of samples `[sample, feature]`, computed in double precision.
    ///
    /// # Panics
    /// If the samples have another width.
    pub fn scores(&self, samples: &[f32]) -> Vec<f64> {
        assert_eq!(samples.len() % self.width, 0, "samples of {}", self.width);
        let mut scores = Vec::with_capacity(samples.len() / self.width * self.outputs.len());
        for sample in samples.chunks_exact(self.width) {
            for (weights, &bias) in self.weights.chunks_exact(self.width).zip(&self.bias) {
                let products = weights.iter().zip(sample);
                let sum: f64 = products.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                scores.push(sum + f64::from(bias));
            }
        }
        scores
    }

    /// Its answers about samples `[sample, feature]` with a label each.
    ///
    /// # Panics
    /// If the samples have another width, are not as many as the labels, or a label is no output.
    pub fn judge(&self, samples: &[f32], labels: &[usize]) -> Judged {
        let scores = self.scores(samples);
        let count = self.outputs.len();
        assert_eq!(
            scores.len(),
            labels.len() * count,
            "a label for each sample"
        );
        let mut judged = Judged {
            predicted: Vec::with_capacity(labels.len()),
            right: Vec::with_capacity(labels.len()),
            log_loss: Vec::with_capacity(labels.len()),
        };
        for (row, &label) in scores.chunks_exact(count).zip(labels) {
            let mut best = 0;
            for (output, score) in row.iter().enumerate() {
                if *score > row[best] {
                    best = output;
                }
            }
            let sum: f64 = row.iter().map(|score| (score - row[best]).exp()).sum();
            judged.predicted.push(best);
            judged.right.push(best == label);
            judged.log_loss.push(row[best] + sum.ln() - row[label]);
        }
        judged
    }

    /// The output of this name.
    ///
    /// # Errors
    /// [`CircuitError::Model`] with near matches.
    pub fn output(&self, name: &str) -> Result<usize, CircuitError> {
        let mut names = self.outputs.iter();
        names.position(|output| output == name).ok_or_else(|| {
            let valid = self.outputs.iter().map(String::as_str);
            ModelError::unknown("output of the probe", name, valid).into()
        })
    }

    /// The direction of an output, one value per feature and not scaled: its weights less the mean of the
    /// others', so that of two outputs one's is minus the other's. Where there are class means, their
    /// difference.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn direction(&self, output: usize) -> Vec<f32> {
        let rows = self.means.as_ref().unwrap_or(&self.weights);
        let row = |at: usize| &rows[at * self.width..(at + 1) * self.width];
        let count = self.outputs.len();
        assert!(output < count, "output {output} of {count}");
        let share = 1.0 / (count.max(2) - 1) as f64;
        let one = |feature: usize| {
            let others = (0..count).filter(|&at| at != output);
            let others: f64 = others.map(|at| f64::from(row(at)[feature])).sum();
            (f64::from(row(output)[feature]) - others * share) as f32
        };
        (0..self.width).map(one).collect()
    }

    /// What an attack climbs to move examples along an output's direction, or against it.
    ///
    /// # Errors
    /// Those of [`fits`](Self::fits), and [`CircuitError::Probe`] where the direction is not one of the
    /// site's channels.
    pub fn objective(
        &self,
        spec: &ModelSpec,
        output: usize,
        sense: Sense,
    ) -> Result<Direction, CircuitError> {
        self.fits(spec)?;
        Ok(Direction {
            site: self.site.clone(),
            region: self.positions.region(spec.site(&self.site)?)?,
            vector: self.direction(output),
            sense,
        })
    }

    /// The edit that adds an output's direction, scaled to length 1 and times a strength.
    ///
    /// # Errors
    /// As [`objective`](Self::objective), and for a direction of length 0.
    pub fn steer(
        &self,
        spec: &ModelSpec,
        output: usize,
        strength: f32,
    ) -> Result<Edit, CircuitError> {
        let direction = unit(self.direction(output))?;
        let add = Rewrite::Add {
            direction,
            strength,
        };
        self.edit(spec, add)
    }

    /// The edit that removes what an activation has along an output's direction.
    ///
    /// # Errors
    /// As [`steer`](Self::steer).
    pub fn erase(&self, spec: &ModelSpec, output: usize) -> Result<Edit, CircuitError> {
        let direction = unit(self.direction(output))?;
        let keep = false;
        self.edit(spec, Rewrite::Project { direction, keep })
    }

    fn edit(&self, spec: &ModelSpec, rewrite: Rewrite) -> Result<Edit, CircuitError> {
        self.fits(spec)?;
        let region = self.positions.region(spec.site(&self.site)?)?;
        Ok(Edit::at(&self.site, rewrite).within(region))
    }

    /// Checks that a model has the site, as wide as the probe reads it.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site, [`CircuitError::Probe`] for one of another size.
    pub fn fits(&self, spec: &ModelSpec) -> Result<(), CircuitError> {
        let site = spec.site(&self.site)?;
        self.positions.fits(site)?;
        let [_, width] = self.positions.size(site);
        if width != self.width {
            return Err(CircuitError::Probe(format!(
                "the probe reads {} features of `{}`, which has {width} ({} positions read as `{}`, {} \
                 channels)",
                self.width, self.site, site.positions, self.positions, site.channels
            )));
        }
        Ok(())
    }
}

fn unit(direction: Vec<f32>) -> Result<Vec<f32>, CircuitError> {
    let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Err(CircuitError::Probe(format!(
            "the direction has length {length}, must be finite and above 0"
        )));
    }
    Ok(direction.into_iter().map(|v| v / length).collect())
}

pub(super) fn finite(values: &[f32]) -> Result<(), CircuitError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(CircuitError::Probe(format!(
            "weight {at} of the probe is {}, must be finite",
            values[at]
        ))),
    }
}

#[cfg(test)]
mod tests;
