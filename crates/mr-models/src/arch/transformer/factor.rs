//! What heads read and write, by way of their queries, keys, values and mixed values.

use burn::tensor::Tensor;

use super::config::{NormKind, Placement, Transformer};
use crate::factor::{Factor, Normed};
use crate::weights::Weights;

impl Transformer {
    /// Of a site that single heads read or write.
    pub(crate) fn factor(&self, weights: &Weights, site: &str) -> Option<Factor> {
        let (layer, name) = site.strip_prefix("blocks.")?.split_once('.')?;
        let at = |name: &str| format!("blocks.{layer}.{name}");
        if name == "attn.hook_result" {
            return Some(Factor {
                site: at("attn.hook_z"),
                weight: weights.get(&at("attn.W_O")),
                norm: None,
            });
        }
        let slot = name.strip_prefix("hook_")?.strip_suffix("_input")?;
        if self.placement == Placement::Post || !["q", "k", "v"].contains(&slot) {
            return None;
        }
        let weight: Tensor<3> = weights.get(&at(&format!("attn.W_{}", slot.to_uppercase())));
        let site = at(&format!("attn.hook_{slot}"));
        if self.norm == NormKind::None {
            let norm = None;
            return Some(Factor { site, weight, norm });
        }
        let scale: Tensor<1> = weights.get(&at("ln1.w"));
        Some(Factor {
            site,
            weight: weight * scale.reshape([1, self.d_model, 1]),
            norm: Some(Normed {
                site: at("hook_resid_pre"),
                is_centred: self.norm == NormKind::Layer,
                epsilon: self.epsilon,
            }),
        })
    }
}
