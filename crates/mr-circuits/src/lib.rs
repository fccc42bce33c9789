//! Which parts of a network carry a difference between two inputs.
//!
//! A [`Pair`] is a clean input and a counterfactual: in robustness, the same image attacked. Where
//! the activation of one run, patched into the other, moves an objective, that site carries the
//! difference: [`patch_sites`] asks this of any sites, in either [`Direction`].
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mr_circuits::{Direction, Pair, patch_sites};
//! use mr_models::{Architecture, Labels, Mlp, Network, Region, objective};
//!
//! let device = Device::flex();
//! let net = Network::init(Architecture::Mlp(Mlp::default()), 0, &device)?;
//! let clean = Tensor::<4>::ones([1, 1, 28, 28], &device) * 0.2;
//! let pair = Pair::new(clean.clone().into(), (clean + 0.1).into())?;
//! let labels = Labels::of_classes(&[3], &device);
//! let sites = [("linear1.hook_out".to_string(), Region::default())];
//! let found = patch_sites(&net, &pair, &labels, &objective::Margin, &sites, Direction::Denoise)?;
//! // A layer that everything passes through carries the whole difference.
//! assert!((found[0].restored(0) - 1.0).abs() < 1e-3);
//! # Ok::<(), mr_circuits::CircuitError>(())
//! ```

mod attribution;
mod error;
mod pair;
mod patching;

pub use attribution::{EdgeScores, Path, edge_attribution};
pub use error::CircuitError;
pub use pair::Pair;
pub use patching::{Direction, Patched, patch_sites};
