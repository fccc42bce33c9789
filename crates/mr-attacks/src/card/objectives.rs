//! What attacks on codes climb.

use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::{Cache, Labels, Objective};
use mr_sae::{Dictionary, samples};

/// How far the codes of a site have moved from those of the clean example: `|z - z0|^2 / |z0|^2`, over positions
/// and latents. It is flat at the clean example: an attack has to start elsewhere.
#[derive(Clone)]
pub struct CodeShift {
    /// What encodes the site.
    pub dictionary: Arc<dyn Dictionary>,
    /// The site's name.
    pub site: String,
}

impl Objective for CodeShift {
    fn name(&self) -> String {
        format!("code-shift({})", self.site)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn references(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    /// # Panics
    /// If the labels carry no activation of the site.
    fn value(&self, _logits: &Tensor<3>, cache: &Cache, labels: &Labels) -> Tensor<1> {
        let clean = labels
            .activations
            .get(&self.site)
            .expect("a shift is measured from the labels' activation of its site");
        let codes = |x: &Tensor<3>| {
            let [batch, positions, _] = x.dims();
            let codes = self.dictionary.encode(samples(x.clone()));
            codes.reshape([batch, positions * self.dictionary.d_sae()])
        };
        let (clean, now) = (codes(clean), codes(cache.expect(&self.site)));
        let square = |z: Tensor<2>| z.square().sum_dim(1).squeeze_dim::<1>(1);
        // An example without a latent that is on has no scale of its own.
        let scale = square(clean.clone()).clamp_min(1e-6);
        square(now - clean) / scale
    }
}

/// How close a latent of a site is to being on: the largest of its readings over positions.
#[derive(Clone)]
pub struct Reach {
    /// What encodes the site.
    pub dictionary: Arc<dyn Dictionary>,
    /// The site's name.
    pub site: String,
    /// Which latent, counted from 0.
    pub latent: usize,
}

impl Objective for Reach {
    fn name(&self) -> String {
        format!("reach({}, {})", self.site, self.latent)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn value(&self, _logits: &Tensor<3>, cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let x = cache.expect(&self.site).clone();
        let [batch, positions, _] = x.dims();
        let readings = self.dictionary.readings(samples(x));
        let one = readings.narrow(1, self.latent, 1);
        one.reshape([batch, positions]).max_dim(1).squeeze_dim(1)
    }
}
