//! A latent of a dictionary as something that attacks climb.

use std::sync::Arc;

use burn::tensor::Tensor;
use mr_models::objective::Sense;
use mr_models::{Cache, Labels, ModelError, ModelSpec, Objective};

use crate::dictionary::{Dictionary, samples};

/// The mean over positions of one latent of a site's code: to be raised, or lowered.
#[derive(Clone)]
pub struct Latent {
    /// What encodes the site.
    pub dictionary: Arc<dyn Dictionary>,
    /// The site's name.
    pub site: String,
    /// Which latent, counted from 0.
    pub latent: usize,
    /// Whether to raise it or to lower it.
    pub sense: Sense,
}

impl Objective for Latent {
    fn name(&self) -> String {
        let verb = self.sense.verb("raise-latent", "lower-latent");
        format!("{verb}({}, {})", self.site, self.latent)
    }

    fn sites(&self) -> Vec<String> {
        vec![self.site.clone()]
    }

    fn fits(&self, spec: &ModelSpec) -> Result<(), ModelError> {
        let channels = spec.site(&self.site)?.channels;
        let (d_in, d_sae) = (self.dictionary.d_in(), self.dictionary.d_sae());
        if channels != d_in {
            return Err(ModelError::Unfit(format!(
                "a dictionary of {d_in} channels at `{}`, which has {channels}",
                self.site
            )));
        }
        if self.latent >= d_sae {
            return Err(ModelError::Unfit(format!(
                "latent {} does not exist: the dictionary has {d_sae}, counted from 0",
                self.latent
            )));
        }
        Ok(())
    }

    fn value(&self, _logits: &Tensor<3>, cache: &Cache, _labels: &Labels) -> Tensor<1> {
        let activation = cache.expect(&self.site).clone();
        let [batch, positions, _] = activation.dims();
        let code = self.dictionary.encode(samples(activation));
        let latent = code.narrow(1, self.latent, 1).reshape([batch, positions]);
        self.sense.of(latent.mean_dim(1).squeeze_dim(1))
    }
}

/// The terms `raise-latent(SITE, LATENT)` and `lower-latent(SITE, LATENT)` of objectives by name, for
/// [`by_name_with`](mr_models::objective::by_name_with); latents are those of this dictionary.
pub fn latent_terms(
    dictionary: Arc<dyn Dictionary>,
) -> impl Fn(&str, &str) -> Option<Result<Arc<dyn Objective>, String>> {
    move |name, inner| {
        let sense = match name {
            "raise-latent" => Sense::More,
            "lower-latent" => Sense::Less,
            _ => return None,
        };
        let read = inner.rsplit_once(',').and_then(|(site, latent)| {
            let latent = latent.trim().parse().ok()?;
            Some(Latent {
                dictionary: Arc::clone(&dictionary),
                site: site.trim().into(),
                latent,
                sense,
            })
        });
        Some(match read {
            Some(latent) => Ok(Arc::new(latent)),
            None => Err(format!(
                "expected a site and a latent's number, such as {name}(conv1.hook_out, 17), found \
                 `{inner}`"
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{
        Architecture, ConvNet, Input, Network, Place, floats, objective, value_and_grad,
    };

    use super::*;
    use crate::{Arrangement, Relu, Sae, SaeConfig};

    fn latent(latent: usize, d_in: usize, sense: Sense) -> Latent {
        let config = SaeConfig::new(d_in, 12, Relu::default()).arranged(Arrangement::Tied);
        Latent {
            dictionary: Arc::new(Sae::init(config, 1, &Device::flex()).unwrap()),
            site: "conv1.hook_out".into(),
            latent,
            sense,
        }
    }

    fn net() -> Network {
        let net = ConvNet {
            widths: vec![3],
            hidden: vec![4],
            ..ConvNet::default()
        };
        Network::init(Architecture::Convnet(net), 0, &Device::flex()).unwrap()
    }

    #[test]
    fn its_value_is_the_mean_code_and_its_gradient_reaches_the_input() {
        let device = Device::flex();
        let (net, latent) = (net(), latent(5, 3, Sense::More));
        let input = Input::Real(Tensor::ones([2, 1, 28, 28], &device) * 0.5);
        let labels = Labels::of_classes(&[0, 1], &device);
        let at = value_and_grad(&net, &input, &labels, &latent, &[Place::Input]).unwrap();
        let (_, cache) = mr_models::run_with_cache(&net, &input, &["conv1.hook_out"]).unwrap();
        let code = latent
            .dictionary
            .encode(samples(cache.expect("conv1.hook_out").clone()));
        let rows = floats(code.narrow(1, 5, 1));
        let mean = rows.iter().sum::<f32>() / rows.len() as f32;
        let values = floats(at.values.clone());
        assert!((values[0] - mean).abs() < 1e-5 && (values[1] - mean).abs() < 1e-5);
        let steep = floats(at.input().clone()).iter().any(|&slope| slope != 0.0);
        assert_eq!(steep, mean > 0.0, "only an active latent has a slope");
        let terms = latent_terms(Arc::clone(&latent.dictionary));
        let read = |text: &str| objective::by_name_with(text, &terms);
        let sum = read("2 raise-latent( conv1.hook_out,5) - kl").unwrap();
        assert_eq!(sum.name(), "2 raise-latent(conv1.hook_out, 5) - kl");
        assert_eq!(read(&latent.name()).unwrap().name(), latent.name());
        let error = read("lower-latent(conv1.hook_out)")
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("expected a site and a latent's number"),
            "{error}"
        );
    }

    #[test]
    fn what_the_model_or_the_dictionary_lacks_is_told() {
        let net = net();
        let spec = mr_models::Model::spec(&net);
        let error = |latent: Latent| latent.fits(spec).unwrap_err().to_string();
        latent(11, 3, Sense::Less).fits(spec).unwrap();
        assert!(error(latent(12, 3, Sense::Less)).contains("latent 12 does not exist"));
        assert!(error(latent(0, 4, Sense::Less)).contains("dictionary of 4 channels"));
    }
}
