//! Nested dictionaries.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{BatchTopK, Rule, Vector};
use crate::config::SaeConfig;
use crate::error::SaeError;
use crate::loss::Pass;
use crate::sae::Sae;

/// [`BatchTopK`] whose first latents have to reconstruct alone, too: the loss adds the squared error of
/// each prefix of `widths` to that of the whole (Bussmann et al. 2025, equation 6). General features
/// settle in the first latents, and a special one does not absorb a part of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matryoshka {
    /// Active latents of a sample, on average; above 0, at most `d_sae`.
    pub k: f32,
    /// Whether latents are compared in units of their decoder norms.
    #[serde(default = "super::top_k::rescaled")]
    pub rescale: bool,
    /// How much of the running threshold a batch replaces, from 0 to 1.
    #[serde(default = "super::batch_top_k::hundredth")]
    pub rate: f32,
    /// Latents of each prefix, rising, below `d_sae`; the whole comes without saying.
    pub widths: Vec<usize>,
}

impl Matryoshka {
    /// So many active latents on average and these prefixes, with SAELens's defaults.
    pub fn new(k: f32, widths: Vec<usize>) -> Self {
        let BatchTopK { rescale, rate, .. } = BatchTopK::new(k);
        Self {
            k,
            rescale,
            rate,
            widths,
        }
    }

    /// The same without prefixes.
    pub fn flat(&self) -> BatchTopK {
        BatchTopK {
            k: self.k,
            rescale: self.rescale,
            rate: self.rate,
        }
    }
}

impl Rule for Matryoshka {
    fn check(&self, config: &SaeConfig) -> Result<(), SaeError> {
        let bounded = self.widths.iter().all(|w| (1..config.d_sae).contains(w));
        if !bounded || !self.widths.is_sorted_by(|a, b| a < b) || self.widths.is_empty() {
            let valid = format!(
                "one or more rising numbers from 1 to below d_sae, which is {}",
                config.d_sae
            );
            return Err(SaeError::setting(
                "widths",
                format!("{:?}", self.widths),
                valid,
            ));
        }
        self.flat().check(config)
    }

    fn vectors(&self) -> Vec<Vector> {
        self.flat().vectors()
    }

    fn rescales(&self) -> bool {
        self.rescale
    }

    fn codes(
        &self,
        sae: &Sae,
        projection: &Tensor<2>,
        pre: Tensor<2>,
        training: bool,
    ) -> Tensor<2> {
        self.flat().codes(sae, projection, pre, training)
    }

    fn auxiliary(&self, pass: &Pass) -> Option<Tensor<1>> {
        let directions = pass.sae.read_directions();
        let mut start = 0;
        let mut written: Option<Tensor<2>> = None;
        let mut total: Option<Tensor<1>> = None;
        for &width in &self.widths {
            let codes = pass.codes.clone().narrow(1, start, width - start);
            let part = codes.matmul(directions.clone().narrow(0, start, width - start));
            let sum = match written {
                Some(written) => written + part,
                None => pass.sae.with_bias(part),
            };
            let error = pass.squared_error(sum.clone());
            total = Some(match total {
                Some(total) => total + error,
                None => error,
            });
            written = Some(sum);
            start = width;
        }
        total
    }
}
