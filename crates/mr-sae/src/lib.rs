//! Sparse dictionaries of a network's activations: what they are, apart from how they are fitted
//! (`mr-train` fits them) and what is counted in them (`mr-metrics` counts).
//!
//! A [`Dictionary`] writes an activation of `d_in` channels as a non-negative code of `d_sae`
//! latents and back. The one here, [`Tied`], is what effective features (Bereska et al. 2025) are
//! measured with.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mr_sae::{Dictionary, Tied, samples};
//!
//! let device = Device::flex();
//! let dictionary = Tied::init(8, 32, 0, &device)?;
//! // A convolution's map: 2 images of 49 positions. Positions are samples.
//! let map = Tensor::<3>::ones([2, 49, 8], &device);
//! let code = dictionary.encode(samples(map));
//! assert_eq!(code.dims(), [98, 32]);
//! assert_eq!(dictionary.decode(code).dims(), [98, 8]);
//! # Ok::<(), mr_sae::SaeError>(())
//! ```

mod dictionary;
mod error;
mod latent;
mod tied;

pub use dictionary::{Dictionary, samples};
pub use error::SaeError;
pub use latent::{Latent, latent_terms};
pub use tied::{Penalty, Reduction, Tied};
