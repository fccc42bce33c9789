//! `AutoAttack`: four or more attacks, each on what those before it left.

use burn::tensor::Tensor;
use mr_models::ModelSpec;
use serde::{Deserialize, Serialize};

use super::{Apgd, Attack, AttackConfig, Fab, Square};
use crate::error::AttackError;
use crate::threat::{Norm, ThreatModel};
use crate::victim::{Victim, put_some, rows_where};

/// An ensemble of attacks whose settings nobody has to tune (Croce & Hein 2020, "Reliable evaluation
/// of adversarial robustness with an ensemble of diverse parameter-free attacks"; for L1 Croce & Hein
/// 2021, "Mind the box").
///
/// [`evaluate`](crate::evaluate) takes its [members](Self::members) one by one and counts for each;
/// run as one attack it does the same within a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoAttack {
    /// Which attacks it holds.
    pub version: Version,
    /// Whether members follow the quirks of the authors' code instead of what it means: one draw of
    /// Square for a whole batch, and the first review of APGD. Decisions then depend on the batch.
    pub compat: bool,
}

/// Which attacks an [`AutoAttack`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// APGD on cross-entropy, targeted APGD, targeted FAB, Square: what leaderboards report.
    #[default]
    Standard,
    /// More restarts and also APGD on DLR and untargeted FAB.
    Plus,
    /// For random models: APGD on cross-entropy and on DLR, gradients averaged over 20 passes.
    Rand,
}

impl AutoAttack {
    /// The attacks in the order that they run.
    pub fn members(&self, norm: Norm) -> Vec<AttackConfig> {
        let compat = self.compat;
        let apgd = |restarts| Apgd {
            restarts,
            compat,
            ..Apgd::default()
        };
        let dlr = |restarts| Apgd {
            restarts,
            compat,
            ..Apgd::dlr()
        };
        let targets = if norm == Norm::L1 { 5 } else { 9 };
        let apgd_t = Apgd {
            targets,
            compat,
            ..Apgd::targeted()
        };
        let fab = |restarts| Fab {
            restarts,
            ..Fab::default()
        };
        let fab_t = Fab {
            targets: 9,
            ..Fab::default()
        };
        let square = Square {
            compat,
            ..Square::default()
        };
        match self.version {
            Version::Standard => vec![
                AttackConfig::Apgd(apgd(if norm == Norm::L1 { 5 } else { 1 })),
                AttackConfig::Apgd(apgd_t),
                AttackConfig::Fab(fab_t),
                AttackConfig::Square(square),
            ],
            Version::Plus => vec![
                AttackConfig::Apgd(apgd(5)),
                AttackConfig::Apgd(dlr(5)),
                AttackConfig::Fab(fab(5)),
                AttackConfig::Square(square),
                AttackConfig::Apgd(Apgd {
                    targets: 9,
                    ..apgd_t
                }),
                AttackConfig::Fab(fab_t),
            ],
            Version::Rand => [apgd(1), dlr(1)]
                .map(|apgd| AttackConfig::Apgd(Apgd { eot: 20, ..apgd }))
                .into(),
        }
    }
}

impl Attack for AutoAttack {
    fn name(&self) -> String {
        match self.version {
            Version::Standard => "autoattack".into(),
            Version::Plus => "autoattack-plus".into(),
            Version::Rand => "autoattack-rand".into(),
        }
    }

    fn fits(&self, spec: &ModelSpec, threat: &ThreatModel) -> Result<(), AttackError> {
        let members = self.members(threat.norm);
        members
            .iter()
            .try_for_each(|member| member.attack().fits(spec, threat))
    }

    fn run(&self, victim: &Victim<'_>) -> Result<Tensor<2>, AttackError> {
        let mut found = victim.origin().clone();
        let mut open: Vec<usize> = (0..victim.examples().len()).collect();
        for member in self.members(victim.threat().norm) {
            if open.is_empty() {
                break;
            }
            let part = victim.select(&open);
            let points = member.attack().run(&part)?;
            let points = victim.threat().project(part.origin(), points);
            let reached = part.reached(&part.logits(&points));
            found = put_some(&found, &open, &rows_where(&reached, true), &points);
            open = rows_where(&reached, false)
                .into_iter()
                .map(|row| open[row])
                .collect();
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(version: Version, norm: Norm) -> Vec<String> {
        let ensemble = AutoAttack {
            version,
            compat: false,
        };
        let members = ensemble.members(norm);
        members
            .iter()
            .map(|member| member.attack().name())
            .collect()
    }

    #[test]
    fn the_versions_are_the_papers() {
        let standard = ["apgd-ce", "apgd-t", "fab-t", "square"];
        assert_eq!(names(Version::Standard, Norm::Linf), standard);
        assert_eq!(names(Version::Standard, Norm::L1), standard);
        let plus = ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"];
        assert_eq!(names(Version::Plus, Norm::L2), plus);
        assert_eq!(names(Version::Rand, Norm::Linf), ["apgd-ce", "apgd-dlr"]);
    }

    #[test]
    fn l1_has_more_restarts_and_fewer_targets() {
        let members = AutoAttack::default().members(Norm::L1);
        let (AttackConfig::Apgd(first), AttackConfig::Apgd(second)) = (&members[0], &members[1])
        else {
            panic!("APGD comes first: {members:?}");
        };
        assert_eq!((first.restarts, first.targets), (5, 0));
        assert_eq!((second.restarts, second.targets), (1, 5));
    }
}
