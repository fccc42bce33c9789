//! Which parts of a network carry a difference between two inputs.
//!
//! A [`Pair`] is a clean input and a counterfactual: in robustness, the same image attacked. Where
//! the activation of one run, patched into the other, moves an objective, that spot carries the
//! difference: a [`Sweep`] asks this of any spots, in either [`Direction`].
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mr_circuits::{Direction, Grid, Pair, Question, Sweep};
//! use mr_models::{Architecture, Labels, Mlp, Model, Network, objective};
//!
//! let device = Device::flex();
//! let net = Network::init(Architecture::Mlp(Mlp::default()), 0, &device)?;
//! let clean = Tensor::<4>::ones([1, 1, 28, 28], &device) * 0.2;
//! let pair = Pair::new(clean.clone().into(), (clean + 0.1).into())?;
//! let labels = Labels::of_classes(&[3], &device);
//! let question = Question::new(&net, &objective::Margin, &labels);
//! let layers = Grid::sites(net.spec(), &["linear1.hook_out"])?.spots();
//! let found = Sweep::default().patch(question, &pair, Direction::Denoise, &layers, &mut |_, _| {})?;
//! // A layer that everything passes through carries the whole difference.
//! assert!((found.restored(0, 0) - 1.0).abs() < 1e-3);
//! # Ok::<(), mr_circuits::CircuitError>(())
//! ```
//!
//! A transformer's heads and MLPs write to one residual stream and read from it, so that every pair of a
//! writer and a later reader is an edge. [`edge_attribution`] scores all of them by one backward pass
//! (EAP) or a few (EAP-IG), [`acdc`] keeps those that are needed, and [`Cut`] is the network without some
//! of them: again a model, which is attacked and evaluated like any other.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use mr_circuits::{Ablation, Cut, Pair, Path, edge_attribution};
//! use mr_models::{Architecture, Labels, Model, Network, Transformer, objective};
//!
//! let device = Device::flex();
//! let net = Network::init(Architecture::Transformer(Transformer::default()), 0, &device)?;
//! let tokens = |all: [i64; 3]| mr_models::Input::Tokens(Tensor::<1, Int>::from_ints(all, &device).unsqueeze());
//! let pair = Pair::new(tokens([1, 2, 3]), tokens([1, 5, 3]))?;
//! let labels = Labels::of_classes(&[0], &device);
//! let difference = objective::LogitDifference { more: 2, less: 5 };
//! let scores = edge_attribution(&net, &pair, &labels, &difference, Path::Inputs(5))?;
//! let (strongest, score) = &scores.ranked()[0];
//! println!("{strongest} moves the difference by {score}");
//!
//! let edge = net.spec().wiring.edge(strongest)?;
//! let without = Cut::new(&net, &[edge], &Ablation::Resample(pair.corrupt().clone()))?;
//! assert_eq!(without.logits(pair.clean()).dims(), net.logits(pair.clean()).dims());
//! # Ok::<(), mr_circuits::CircuitError>(())
//! ```
//!
//! What a site *holds* is asked by a [`Probe`] or a [`TreeProbe`], which `mr-train` fits. Whether a network
//! *uses* it as a [`CausalModel`] says, is asked by rewriting both alike ([`interchange`]), by exchanging all
//! that is said not to matter ([`scrub`]), and of a subspace by what is left of its effect without the part
//! that nothing reads ([`split_effect`]).

mod ablation;
mod abstraction;
mod adam;
mod at_positions;
mod attribution;
mod circuit;
mod cut;
mod damage;
mod discovery;
mod error;
mod faithfulness;
mod features;
mod heads;
mod layered;
mod lens;
mod pair;
mod patching;
mod probe;
mod self_repair;
mod truth;
mod visualize;

pub use ablation::{Ablation, optimal_ablation};
pub use abstraction::{
    Aligned, CausalModel, Claim, Interchange, Interchanged, Scrubbed, Split, Subspace, Task,
    interchange, scrub, split_effect,
};
pub use at_positions::{Asked, AtPositions};
pub use attribution::{
    EdgeScores, IntegratedGradients, NodeScore, Path, atp_star, edge_attribution,
    integrated_gradients, node_attribution,
};
pub use circuit::{
    Circuit, Difference, Null, Overlaps, Ranking, description_length, difference, drawing, overlaps,
};
pub use cut::Cut;
pub use damage::{
    Damage, EdgeDamage, Front, Integration, Orders, Part, Restored, damage, edge_damage, restore,
    restore_edges, restore_own,
};
pub use discovery::{MaskConfig, Pressure, acdc, acdc_sweep, learned_masks};
pub use error::CircuitError;
pub use faithfulness::{
    Curve, Divergence, Diverging, FRACTIONS, Faithful, Faithfulness, Incompleteness, Need, Point,
    completeness, curve, minimality, random_faithfulness, smallest,
};
pub use features::{
    Ablated, DictionaryAt, FeatureAblation, FeatureEdge, FeatureEffect, FeatureFaithfulness,
    FeatureNode, active_nodes, feature_edges, feature_effects, feature_faithfulness,
    shuffled_nodes,
};
pub use heads::{HeadScore, head_scores};
pub use lens::{DirectAttribution, Reading, Streams, TunedLens, direct_attribution};
pub use pair::Pair;
pub use patching::{Direction, Grid, Patches, PathPatch, Progress, Question, Spot, Sweep};
pub use probe::{
    Judged, Origin, Positions, Probe, ProbeKind, SavedProbe, Sensitivity, TreeMeasure, TreeProbe,
    concept_sensitivity,
};
pub use self_repair::{Repair, self_repair};
pub use truth::edge_auroc;
pub use visualize::{
    Concept, ConceptImages, Dissected, Visual, VisualConfig, concept_images, dissect, visualize,
};
