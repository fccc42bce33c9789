//! Sparse dictionaries of a network's activations: what they are, apart from how they are fitted
//! (`mr-train` fits them) and what is counted in them (`mr-metrics` counts).
//!
//! A [`Dictionary`] writes an activation of `d_in` channels as a non-negative code of `d_sae`
//! latents and back. [`Sae`] is one by its [`SaeConfig`]: a [`Kind`] says how latents activate, an
//! [`Arrangement`] what is read and written. [`open`] and [`write_saelens`] exchange them.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mr_sae::{Dictionary, Sae, SaeConfig, TopK, samples};
//!
//! let device = Device::flex();
//! let sae = Sae::init(SaeConfig::new(8, 32, TopK::new(4)), 0, &device)?;
//! // A convolution's map: 2 images of 49 positions. Positions are samples.
//! let map = Tensor::<3>::ones([2, 49, 8], &device);
//! let code = sae.encode(samples(map));
//! assert_eq!(code.dims(), [98, 32]);
//! assert_eq!(sae.decode(code).dims(), [98, 8]);
//! # Ok::<(), mr_sae::SaeError>(())
//! ```

mod config;
mod decoder;
mod dictionary;
mod error;
mod files;
mod fold;
mod geometric_median;
mod initial;
mod kind;
mod latent;
mod layout;
mod loss;
mod normalization;
mod revival;
mod sae;
mod splice;
mod step;

pub use config::{Arrangement, SaeConfig};
pub use decoder::{off_rows, unit_rows};
pub use dictionary::{Dictionary, samples};
pub use error::SaeError;
pub use files::{Format, Opened, open, write_saelens};
pub use geometric_median::geometric_median;
pub use initial::Initial;
pub use kind::{BatchTopK, Gated, JumpRelu, Kind, L0Penalty, Matryoshka, Relu, TopK};
pub use latent::{Latent, latent_terms};
pub use loss::{Loss, Strength};
pub use normalization::Normalization;
pub use revival::Revival;
pub use sae::Sae;
pub use splice::{ErrorTerm, LatentChange, LatentEdit, Splice, Spliced};
pub use step::{Codes, Means, Step};
