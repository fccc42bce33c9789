//! The logit lens.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use mr_models::{Idle, Input, Model, ModelError, State, floats, run_with_cache};

use crate::error::CircuitError;

/// The residual streams of a run: before every block, and after the last.
pub struct Streams<'a> {
    model: &'a dyn Model,
    names: Vec<String>,
    values: Vec<Tensor<3>>,
    logits: Tensor<3>,
}

/// What is read off one stream at one position of one example.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The most probable classes with their probabilities, the first one first.
    pub top: Vec<(usize, f32)>,
    /// Entropy of the distribution, in nats.
    pub entropy: f32,
    /// KL from the distribution of the whole network to this one, in nats.
    pub divergence: f32,
}

impl<'a> Streams<'a> {
    /// Runs a transformer and keeps its streams.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the model has no blocks that can be left out, or does not take the input.
    pub fn of(model: &'a dyn Model, input: &Input) -> Result<Self, CircuitError> {
        let spec = model.spec();
        spec.accepts(input)?;
        let mut names = Vec::new();
        while let Ok(site) = spec.site(&format!("blocks.{}.hook_resid_pre", names.len())) {
            names.push(site.name.clone());
        }
        if names.is_empty() || model.stages() != spec.stages() {
            let reason = format!(
                "the {} has no residual stream that its head could read early",
                spec.name
            );
            return Err(ModelError::Unfit(reason).into());
        }
        let last = names.len() - 1;
        let ends = ["hook_normalized_resid_post", "hook_resid_post"];
        let ends = ends.map(|end| format!("blocks.{last}.{end}"));
        names.extend(ends.into_iter().find(|name| spec.site(name).is_ok()));
        let (logits, cache) = run_with_cache(model, input, &names)?;
        let values = names.iter().map(|name| Ok(cache.get(name)?.clone()));
        Ok(Self {
            model,
            values: values.collect::<Result<_, CircuitError>>()?,
            names,
            logits,
        })
    }

    /// The sites of the streams.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The streams `[batch, position, channel]`.
    pub fn values(&self) -> &[Tensor<3>] {
        &self.values
    }

    /// The logits of the whole network `[batch, position, class]`.
    pub fn logits(&self) -> &Tensor<3> {
        &self.logits
    }

    /// The logits that the network's head reads off a stream (nostalgebraist 2020), such as one of
    /// [`values`](Self::values): `[batch, position, class]`.
    pub fn unembedded(&self, stream: Tensor<3>) -> Tensor<3> {
        let stages = self.model.stages();
        let head = stages - 1..stages;
        self.model
            .run_stages(head, State::Sequence(stream), &mut Idle)
            .logits()
    }

    /// What logits say, at each position of each example, with so many of the most probable classes.
    pub fn read(&self, logits: &Tensor<3>, top: usize) -> Vec<Vec<Reading>> {
        let [_, positions, classes] = logits.dims();
        let of = |logits: &Tensor<3>| floats(log_softmax(logits.clone(), 2));
        let (now, whole) = (of(logits), of(&self.logits));
        let readings = now
            .chunks(classes)
            .zip(whole.chunks(classes))
            .map(|(now, whole)| {
                let mut order: Vec<usize> = (0..classes).collect();
                order.sort_by(|&a, &b| now[b].total_cmp(&now[a]).then(a.cmp(&b)));
                let sum = |term: &dyn Fn(usize) -> f64| (0..classes).map(term).sum::<f64>() as f32;
                let p = |log: f32| f64::from(log).exp();
                // A class of probability 0 adds nothing.
                let times = |p: f64, value: f64| if p > 0.0 { p * value } else { 0.0 };
                Reading {
                    top: order.iter().take(top).map(|&c| (c, now[c].exp())).collect(),
                    entropy: sum(&|c| times(p(now[c]), -f64::from(now[c]))),
                    divergence: sum(&|c| {
                        times(p(whole[c]), f64::from(whole[c]) - f64::from(now[c]))
                    }),
                }
            });
        let readings: Vec<Reading> = readings.collect();
        readings
            .chunks(positions)
            .map(<[Reading]>::to_vec)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use mr_models::NormKind;

    use super::*;
    use crate::attribution::tests::{net, pair};

    #[test]
    fn the_last_stream_says_what_the_network_says() {
        let net = net(NormKind::Layer);
        let streams = Streams::of(&net, pair().clean()).unwrap();
        assert_eq!(streams.names().len(), 3);
        let last = streams.unembedded(streams.values()[2].clone());
        assert_eq!(floats(last.clone()), floats(streams.logits().clone()));
        let readings = streams.read(&last, 3);
        assert_eq!((readings.len(), readings[0].len()), (2, 6));
        for reading in readings.iter().flatten() {
            assert!(reading.divergence.abs() < 1e-6);
            assert!(reading.entropy > 0.0 && reading.entropy <= 7.0_f32.ln() + 1e-5);
            assert!(reading.top[0].1 >= reading.top[1].1);
        }
        let first = streams.unembedded(streams.values()[0].clone());
        let first = streams.read(&first, 1);
        assert!(first[0][5].divergence > 1e-4);
    }

    #[test]
    fn a_certain_reading_has_no_entropy() {
        let net = net(NormKind::Layer);
        let mut streams = Streams::of(&net, pair().clean()).unwrap();
        let device = streams.logits.device();
        streams.logits = Tensor::from_floats([[[0.0, f32::NEG_INFINITY]]], &device);
        let half = Tensor::<3>::from_floats([[[1.0, 1.0]]], &device);
        let reading = &streams.read(&half, 2)[0][0];
        assert!((reading.entropy - 2.0_f32.ln()).abs() < 1e-6);
        assert!((reading.divergence - 2.0_f32.ln()).abs() < 1e-6);
        assert_eq!(reading.top, [(0, 0.5), (1, 0.5)]);
        let certain = streams.logits.clone();
        assert_eq!(streams.read(&certain, 1)[0][0].entropy, 0.0);
    }
}
