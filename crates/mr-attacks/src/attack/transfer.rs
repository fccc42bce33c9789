//! An attack on another model.

use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::{InputKind, Model, ModelSpec};

use super::Attack;
use crate::error::AttackError;
use crate::threat::ThreatModel;
use crate::victim::Victim;

/// Runs an attack on another model, the source, and proposes what it found there (Szegedy et al.
/// 2014): whether that reaches the goal on the model under attack is judged as ever.
///
/// An attack that stops as soon as the source is fooled transfers less than one that goes on: give
/// it a `stop_early` of false where it has one.
#[derive(Clone)]
pub struct Transfer {
    /// The model that is attacked instead; its weights lie where those of the judged model do.
    pub source: Arc<dyn Model>,
    /// How.
    pub attack: Arc<dyn Attack>,
}

impl Attack for Transfer {
    fn name(&self) -> String {
        format!("transfer-{}", self.attack.name())
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        let source = self.source.spec();
        if source.input != spec.input || source.classes != spec.classes {
            let said = |spec: &ModelSpec| match spec.input {
                InputKind::Real { shape } => format!("{shape:?} to {} classes", spec.classes),
                InputKind::Tokens { .. } => format!("tokens to {} classes", spec.classes),
            };
            return Err(AttackError::Unfit(format!(
                "nothing transfers from a model of {} to one of {}: input and classes must be the same",
                said(source),
                said(spec)
            )));
        }
        threat.fits(source)?;
        self.attack.fits(source, threat)
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let there = victim.of(self.source.as_ref());
        // Divergences are measured from the source's own output.
        let clean = there.clean_logits();
        self.attack.run(&there.with_reference(clean))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::{DataConfig, Dataset, Split, load};
    use mr_models::{Architecture, Mlp, Network};

    use super::*;
    use crate::attack::Pgd;
    use crate::{EvaluationConfig, Goal, Norm, evaluate};

    fn net(hidden: usize, seed: u64) -> Network {
        let mlp = Mlp {
            hidden: vec![hidden],
            ..Mlp::default()
        };
        Network::init(Architecture::Mlp(mlp), seed, &Device::flex()).unwrap()
    }

    fn pgd() -> Arc<dyn Attack> {
        Arc::new(Pgd {
            steps: 5,
            ..Pgd::default()
        })
    }

    /// From a model to itself it is the attack; from another it is that one's, judged here.
    #[test]
    fn from_itself_it_is_the_attack() {
        let target = net(20, 0);
        let data = load(&DataConfig::default(), Split::Test).unwrap();
        let rows: Vec<usize> = (0..40).collect();
        // Labelled as the target sees them, so that there is something to break.
        let logits = target.logits(&data.input(&rows, &Device::flex()));
        let seen = mr_models::predictions(&logits)
            .iter()
            .map(|p| p[0])
            .collect();
        let values = rows.iter().flat_map(|&row| data.image(row)).collect();
        let names = data.class_names().to_vec();
        let data = Dataset::of_floats("clothes", data.shape(), names, values, seen).unwrap();
        let threat = ThreatModel::new(Norm::Linf, 0.02);
        let config = EvaluationConfig {
            keep: true,
            ..EvaluationConfig::default()
        };
        let found = |attack: &dyn Attack| {
            evaluate(
                &target,
                &data,
                &threat,
                &Goal::Untargeted,
                &[attack],
                &config,
            )
            .unwrap()
        };
        let from = |source: Network| {
            found(&Transfer {
                source: Arc::new(source),
                attack: pgd(),
            })
        };
        let own = found(pgd().as_ref());
        let same = from(net(20, 0));
        assert!(own.robust_accuracy() < own.clean_accuracy());
        assert_eq!(same.points, own.points);
        let other = from(net(30, 5));
        assert!(other.robust_accuracy() >= own.robust_accuracy());
        assert_ne!(other.points, own.points);
    }

    #[test]
    fn models_of_other_inputs_or_sites_are_refused() {
        let target = net(20, 0);
        let source = Network::init(Architecture::lenet5(), 0, &Device::flex()).unwrap();
        let attack = Transfer {
            source: Arc::new(source),
            attack: pgd(),
        };
        let threat = ThreatModel::new(Norm::Linf, 0.1);
        attack.fits(target.spec(), &threat).unwrap();
        let site = threat
            .clone()
            .at(mr_models::Place::site("hidden1.hook_pre"));
        assert!(attack.fits(target.spec(), &site).is_err());
        let mlp = Mlp {
            input: [3, 4, 4],
            ..Mlp::default()
        };
        let other = Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap();
        let error = attack.fits(other.spec(), &threat).unwrap_err().to_string();
        assert!(error.contains("[1, 28, 28] to 10 classes"), "{error}");
    }
}
