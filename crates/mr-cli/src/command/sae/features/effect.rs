//! What latents do to logits.

use anyhow::Result;
use burn::tensor::Tensor;
use mr_models::{
    Cache, Input, Labels, Model, ModelError, Objective, Place, floats, run_with_cache,
    value_and_grad,
};
use mr_sae::{Arrangement, Dictionary};

use super::super::placed::Placed;

/// Classes whose gradients are worth their price.
const CLASSES: usize = 256;

/// How an effect was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Along the residual stream and the unembedding.
    Direct,
    /// By the gradient of logits.
    Gradient,
}

/// What a unit of each latent adds to each logit, `[latent, class]`.
pub(super) struct Effects {
    pub(super) way: Way,
    values: Vec<f32>,
    classes: usize,
}

/// One class's logit, the mean over positions.
#[derive(Debug)]
struct Logit(usize);

impl Objective for Logit {
    fn name(&self) -> String {
        format!("logit({})", self.0)
    }

    fn value(&self, logits: &Tensor<3>, _cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let [batch, _, _] = logits.dims();
        logits
            .clone()
            .narrow(2, self.0, 1)
            .mean_dim(1)
            .reshape([batch])
    }
}

impl Effects {
    /// The effects of a dictionary's latents. Where what it writes reaches the logits by a residual stream: directly, with the
    /// last norm's scale at its mean over these examples (Elhage et al. 2021). Elsewhere the gradient of each logit at the
    /// site, the mean over examples and positions. None where neither can be had: by gradient, more than 256 classes.
    pub(super) fn of(placed: &Placed<'_>, input: &Input) -> Result<Option<Self>> {
        let spec = placed.network.spec();
        let (site, classes) = (spec.site(&placed.writes)?, spec.classes);
        let directions = placed.sae.directions();
        let directions = match placed.sae.config().arrangement {
            // The first part of a crosscoder is what is at its first site.
            Arrangement::Crosscoder { .. } => directions.narrow(1, 0, site.channels),
            _ => directions,
        };
        if let Some(values) = direct(placed, &directions, input)? {
            return Ok(Some(Self {
                way: Way::Direct,
                values,
                classes,
            }));
        }
        if classes > CLASSES {
            return Ok(None);
        }
        let device = placed.network.device();
        let labels = Labels::of_classes(&vec![0; input.batch()], &device);
        let place = Place::site(&placed.writes);
        let slope = |class| -> Result<Tensor<2>, ModelError> {
            let places = std::slice::from_ref(&place);
            let found = value_and_grad(placed.network, input, &labels, &Logit(class), places)?;
            let slope = found.site(&placed.writes).clone();
            Ok(slope.mean_dim(0).mean_dim(1).reshape([1, site.channels]))
        };
        let slopes: Vec<_> = (0..classes).map(slope).collect::<Result<_, _>>()?;
        let values = floats(directions.matmul(Tensor::cat(slopes, 0).transpose()));
        Ok(Some(Self {
            way: Way::Gradient,
            values,
            classes,
        }))
    }

    /// A latent's effect on each class.
    pub(super) fn latent(&self, latent: usize) -> &[f32] {
        &self.values[latent * self.classes..(latent + 1) * self.classes]
    }
}

/// By the residual stream, where there is one.
fn direct(placed: &Placed<'_>, directions: &Tensor<2>, input: &Input) -> Result<Option<Vec<f32>>> {
    const SCALE: &str = "ln_final.hook_scale";
    let network = placed.network;
    let [latents, channels] = directions.dims();
    // One example each: of several positions an image's network reads one.
    let change: Tensor<3> = directions.clone().unsqueeze_dim(1);
    let stream = if placed.writes.ends_with("hook_resid_pre") {
        Some(change)
    } else {
        network.carried(&placed.writes, 0..channels, change)
    };
    let Some(stream) = stream else {
        return Ok(None);
    };
    let scale = if network.spec().site(SCALE).is_ok() {
        let (_, cache) = run_with_cache(network, input, &[SCALE])?;
        let scale = cache.get(SCALE)?.clone().mean_dim(0).mean_dim(1);
        Some(scale.expand([latents, 1, 1]))
    } else {
        None
    };
    Ok(network.direct(stream, scale.as_ref()).map(floats))
}
