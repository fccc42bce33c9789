//! Attacks on networks and on what is inside them, and an evaluation that judges them.
//!
//! A [`ThreatModel`] says what an attacker may change (a norm, a radius, a box, and a [`Place`]: the
//! input or any site of the network), a [`Goal`] what it wants, an [`Attack`] how it searches, and
//! [`evaluate`] whether it got there: it alone projects what an attack returns, judges it by a fresh
//! forward pass, and counts. Decisions do not depend on batch size, batch order or thread count.
//!
//! ```
//! use burn::tensor::Device;
//! use mr_attacks::{Evaluation, EvaluationConfig, Goal, Norm, Pgd, ThreatModel, evaluate};
//! use mr_models::{Architecture, Mlp, Network, data};
//!
//! let mlp = Mlp { hidden: vec![16], ..Mlp::default() };
//! let net = Network::init(Architecture::Mlp(mlp), 0, &Device::flex())?;
//! let test = data::load(&data::DataConfig::default(), data::Split::Test)?.take(20)?;
//! let threat = ThreatModel::new(Norm::Linf, 0.1);
//! let pgd = Pgd { steps: 5, ..Pgd::default() };
//! let config = EvaluationConfig::default();
//! let found: Evaluation = evaluate(&net, &test, &threat, &Goal::Untargeted, &[&pgd], &config)?;
//! assert!(found.robust_accuracy() <= found.clean_accuracy());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aim;
mod attack;
mod card;
mod certified;
mod checklist;
mod error;
mod evaluate;
mod evaluation;
mod fit;
mod flags;
mod gain;
mod goal;
mod journal;
mod patch;
mod probe;
mod randomness;
mod table;
mod threat;
mod transformation;
mod universal;
mod victim;

pub use aim::{Aim, Aims, aim};
pub use attack::{
    Aimed, Apgd, Attack, AttackConfig, AutoAttack, Bim, CarliniWagner, Ddn, DeepFool, Direction,
    Fab, Fgsm, Fixed, Fmn, HopSkipJump, LaidPatch, MiFgsm, MinimalBy, ObjectiveAttack, Pgd,
    Schedule, Square, Transfer, Version,
};
pub use card::{
    Against, Blame, Card, CardConfig, Carried, CodeShift, Drift, Flip, Flips, Moved, Reach, card,
};
pub use certified::{
    Certificate, Certificates, Certifier, CertifierConfig, CertifyProgress, Crown, Ibp, Interval,
    Smoothing, certify, lower_confidence, worst_margins,
};
pub use checklist::{Checklist, ChecklistConfig, Examined, Item, Stand, Verdict, run_checklist};
pub use error::AttackError;
pub use evaluate::{EvaluationConfig, Progress, Watch, evaluate, evaluate_with};
pub use evaluation::{Attempt, Counts, Evaluation, Judged};
pub use fit::{FitConfig, FitProgress};
pub use flags::{Flag, flags_of_attacks, flags_of_model, flags_of_result};
pub use gain::{Attacked, Gain, GainConfig, gain};
pub use goal::{Criterion, Goal, Never, Targets};
pub use journal::Journal;
pub use mr_models::Place;
pub use patch::{Patch, PatchPlace, fit_patch};
pub use probe::Probe;
pub use randomness::{Draw, uniform};
pub use threat::{Area, Norm, ThreatModel};
pub use transformation::{
    Corruption, CorruptionKind, Fate, Picture, Search, Spatial, SpatialFamily, Transformation,
    TransformationConfig, Transformed, Tried, evaluate_transformations,
};
pub use universal::fit_universal;
pub use victim::{Climb, Geometry, Meter, Scores, Victim};
