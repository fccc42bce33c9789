//! What about a model or a result should make one doubt an evaluation: the flags of `AutoAttack`
//! (Croce & Hein 2020, and the checks of its reference implementation).

use std::fmt;

use mr_models::data::Dataset;
use mr_models::objective::{CrossEntropy, Dlr};
use mr_models::{
    Idle, Input, Labels, Model, ModelSpec, Objective, Place, floats, predictions, value_and_grad,
};
use serde::{Deserialize, Serialize};

use crate::attack::AttackConfig;
use crate::error::AttackError;
use crate::evaluation::Evaluation;

/// A reason to doubt what an evaluation says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "flag", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Flag {
    /// Two passes over the same examples differ.
    Randomized {
        /// Largest difference of two logit vectors scaled to length 1.
        difference: f32,
    },
    /// The outputs are probabilities, not logits.
    Probabilities,
    /// Some gradients are exactly 0, or no numbers.
    ZeroGradients {
        /// Examples without a gradient.
        zero: usize,
        /// Examples looked at.
        examples: usize,
    },
    /// The search without gradients found what the attacks before it missed.
    SquareGains {
        /// By how much it lowered the robust accuracy.
        gain: f64,
    },
    /// Some passes gave NaN or an infinity, which attacks neither follow nor count as success.
    NotFinite {
        /// Passes of one example whose logits, objective or gradient did, and proposals that held them.
        passes: u64,
    },
    /// The difference of logits ratio needs more classes.
    FewClasses {
        /// Classes of the model.
        classes: usize,
        /// Classes that the ratio needs.
        needed: usize,
    },
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Randomized { difference } => write!(
                f,
                "the model is random (two passes differ by {difference:.2e}): use autoattack with \
                 version rand, which averages gradients over several passes"
            ),
            Self::Probabilities => f.write_str(
                "the outputs look like probabilities, not logits: a softmax saturates and hides \
                 gradients, so attack the logits",
            ),
            Self::ZeroGradients { zero, examples } => write!(
                f,
                "{zero} of {examples} examples have no gradient at all: attacks by gradient may miss \
                 what others find"
            ),
            Self::SquareGains { gain } => write!(
                f,
                "square lowered the robust accuracy by {:.2} points after the attacks by gradient: \
                 the gradients may be masked; give square more queries, or adapt an attack",
                100.0 * gain
            ),
            Self::NotFinite { passes } => write!(
                f,
                "{passes} passes gave NaN or an infinity, as logits, objective or gradient: attacks went \
                 on without them, and may miss what a model of finite numbers shows"
            ),
            Self::FewClasses { classes, needed } => write!(
                f,
                "the difference of logits ratio needs {needed} classes, the model has {classes}: \
                 cross-entropy is climbed instead"
            ),
        }
    }
}

/// Passes of which two may not differ.
const PASSES: u64 = 5;
/// How far two passes' logits, scaled to length 1, may lie apart.
const DIFFERENCE: f32 = 1e-4;
/// How far from 1 probabilities may sum, and from [0, 1] they may lie.
const PROBABILITY: f32 = 1e-5;
/// Share of examples that a search without gradients may find after the others.
const GAIN: f64 = 0.002;

/// Looks at the first `examples` of the data: whether the model is random, its outputs are
/// probabilities, or its gradients 0.
///
/// # Errors
/// [`AttackError::Model`] if the model does not take the data.
pub fn flags_of_model(
    model: &dyn Model,
    data: &Dataset,
    examples: usize,
) -> Result<Vec<Flag>, AttackError> {
    let rows: Vec<usize> = (0..data.len().min(examples)).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let device = model.device();
    let input = data.input(&rows, &device);
    let labels = data.labels_of(&rows, &device);
    let mut flags = Vec::new();
    let passes: Vec<Logits> = (0..if model.is_random() { PASSES } else { 2 })
        .map(|pass| Logits::of(model, &input, pass))
        .collect();
    let difference = largest_difference(&passes);
    let first = &passes[0];
    if difference > DIFFERENCE || passes.iter().any(|pass| pass.predicted != first.predicted) {
        flags.push(Flag::Randomized { difference });
    }
    if first.rows().all(is_distribution) {
        flags.push(Flag::Probabilities);
    }
    let right = rows.iter().zip(&first.predicted);
    let right: Vec<bool> = right
        .map(|(&row, predicted)| predicted.last() == Some(&data.labels()[row]))
        .collect();
    let zero = zero_gradients(model, &input, &labels, &right)?;
    if zero > 0 {
        flags.push(Flag::ZeroGradients {
            zero,
            examples: rows.len(),
        });
    }
    Ok(flags)
}

/// Which of these attacks climb another objective than they were asked to, for want of classes.
pub fn flags_of_attacks(spec: &ModelSpec, attacks: &[AttackConfig]) -> Vec<Flag> {
    let mut flags = Vec::new();
    for attack in attacks {
        let AttackConfig::Apgd(apgd) = attack else {
            continue;
        };
        if apgd.asks_for_dlr() && apgd.objective_on(spec) != "dlr" {
            let flag = Flag::FewClasses {
                classes: spec.classes,
                needed: if apgd.targets > 0 { 4 } else { 3 },
            };
            if !flags.contains(&flag) {
                flags.push(flag);
            }
        }
    }
    flags
}

/// Whether passes gave what is no finite number, and whether the search without gradients found what
/// the attacks by gradient missed.
pub fn flags_of_result(evaluation: &Evaluation) -> Vec<Flag> {
    let mut flags = Vec::new();
    let passes = evaluation.counts.not_finite;
    if passes > 0 {
        flags.push(Flag::NotFinite { passes });
    }
    let attempts = &evaluation.attempts;
    let square = attempts.iter().position(|a| a.attack == "square");
    if let Some(at @ 1..) = square {
        let count = evaluation.examples.len().max(1) as f64;
        let gain = (attempts[at - 1].robust - attempts[at].robust) as f64 / count;
        if gain > GAIN {
            flags.push(Flag::SquareGains { gain });
        }
    }
    flags
}

struct Logits {
    values: Vec<f32>,
    classes: usize,
    predicted: Vec<Vec<usize>>,
}

impl Logits {
    fn of(model: &dyn Model, input: &Input, pass: u64) -> Self {
        let keys: Vec<u64> = (0..input.batch() as u64)
            .map(|row| row * PASSES + pass)
            .collect();
        let logits = model.run_drawn(input, &keys, &mut Idle);
        Self {
            classes: logits.dims()[2],
            predicted: predictions(&logits),
            values: floats(logits),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.classes)
    }
}

fn largest_difference(passes: &[Logits]) -> f32 {
    let scaled = |row: &[f32]| -> Vec<f32> {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter().map(|v| v / (length + 1e-10)).collect()
    };
    let mut largest = 0.0_f32;
    for (i, one) in passes.iter().enumerate() {
        for other in &passes[i + 1..] {
            for (a, b) in one.rows().zip(other.rows()) {
                let apart = scaled(a)
                    .iter()
                    .zip(scaled(b))
                    .map(|(a, b)| (a - b) * (a - b))
                    .sum::<f32>()
                    .sqrt();
                largest = largest.max(apart);
            }
        }
    }
    largest
}

/// Whether an output is one of probabilities.
pub(crate) fn is_distribution(row: &[f32]) -> bool {
    let inside = |v: &f32| *v > -PROBABILITY && *v < 1.0 + PROBABILITY;
    row.iter().all(inside) && (row.iter().sum::<f32>() - 1.0).abs() < PROBABILITY
}

/// Whether a gradient leads anywhere: NaN leads nowhere either.
fn has_direction(gradient: &[f32]) -> bool {
    gradient.iter().all(|v| v.is_finite()) && gradient.iter().any(|&v| v != 0.0)
}

/// Examples that are right and whose gradient at the input is 0, of the objective that attacks climb;
/// where the truth has the third largest logit, the ratio is flat by its definition.
fn zero_gradients(
    model: &dyn Model,
    input: &Input,
    labels: &Labels,
    right: &[bool],
) -> Result<usize, AttackError> {
    let objective: &dyn Objective = if model.spec().classes < 3 {
        &CrossEntropy
    } else {
        &Dlr
    };
    let found = value_and_grad(model, input, labels, objective, &[Place::Input])?;
    let gradient: Vec<f32> = floats(found.input().clone());
    let width = gradient.len() / input.batch();
    Ok(gradient
        .chunks(width)
        .zip(right)
        .filter(|(row, right)| **right && !has_direction(row))
        .count())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::{DataConfig, Split, load};
    use mr_models::{Architecture, Mlp, Network};

    use super::*;
    use crate::attack::Apgd;
    use crate::evaluation::{Attempt, Counts};

    fn net(classes: usize) -> Network {
        let mlp = Mlp {
            hidden: vec![8],
            classes,
            ..Mlp::default()
        };
        Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap()
    }

    #[test]
    fn an_honest_model_raises_no_flag() {
        let data = load(&DataConfig::default(), Split::Test).unwrap();
        assert_eq!(flags_of_model(&net(10), &data, 40).unwrap(), []);
    }

    #[test]
    fn what_softmax_gives_is_told_from_logits() {
        assert!(is_distribution(&[0.2, 0.8, 0.0]));
        assert!(!is_distribution(&[0.2, 0.9, 0.0]));
        assert!(!is_distribution(&[-0.2, 1.2, 0.0]));
    }

    #[test]
    fn dlr_for_want_of_classes_is_told_once() {
        let attacks = [
            AttackConfig::Apgd(Apgd::default()),
            AttackConfig::Apgd(Apgd::targeted()),
            AttackConfig::Apgd(Apgd::targeted()),
        ];
        let flag = Flag::FewClasses {
            classes: 3,
            needed: 4,
        };
        assert_eq!(flags_of_attacks(net(3).spec(), &attacks), [flag]);
        assert_eq!(flags_of_attacks(net(4).spec(), &attacks), []);
    }

    #[test]
    fn square_after_the_others_may_gain_a_little() {
        let attempt = |attack: &str, robust| Attempt {
            attack: attack.into(),
            attacked: 0,
            broken: 0,
            robust,
        };
        let found = |after: usize| {
            let one = crate::Judged {
                index: 0,
                label: 0,
                clean: 0,
                adversarial: 0,
                success: false,
                distance: None,
                attack: None,
            };
            Evaluation {
                examples: vec![one; 1000],
                attempts: vec![attempt("apgd-ce", 500), attempt("square", after)],
                counts: Counts::default(),
                points: None,
            }
        };
        assert_eq!(flags_of_result(&found(498)), []);
        assert_eq!(
            flags_of_result(&found(497)),
            [Flag::SquareGains { gain: 0.003 }]
        );
    }
}
