//! Direct logit attribution.

use burn::tensor::Tensor;
use mr_models::{Cache, Input, Joined, Model, ModelError, floats, run_with_cache};

use crate::error::CircuitError;
use crate::patching::Question;

/// What each component writes directly to an objective of the logits, by example.
#[derive(Debug, Clone, PartialEq)]
pub struct DirectAttribution {
    /// The writers, in forward order: `input`, `a0.h1`, `m0`, and `a0.bias`, the term that the heads of a
    /// block write together.
    pub components: Vec<String>,
    /// What each adds to the objective, component by component, one value per example.
    pub values: Vec<Vec<f32>>,
    /// What no component adds: terms of the last norm and of the unembedding.
    pub constant: Vec<f32>,
    /// The objective itself.
    pub total: Vec<f32>,
}

impl DirectAttribution {
    /// By how much components and constant miss the objective, the largest over examples.
    pub fn completeness_error(&self) -> f32 {
        let missed = (0..self.total.len()).map(|example| {
            let sum: f32 = self.values.iter().map(|values| values[example]).sum();
            (sum + self.constant[example] - self.total[example]).abs()
        });
        missed.fold(0.0, f32::max)
    }

    /// The mean of each component over examples.
    pub fn means(&self) -> Vec<f32> {
        let mean = |values: &Vec<f32>| values.iter().sum::<f32>() / values.len().max(1) as f32;
        self.values.iter().map(mean).collect()
    }
}

/// What each head and each MLP writes directly to the objective (Elhage et al. 2021, "direct path"; Wang et
/// al. 2022): its own part of the last residual stream through the final norm, whose scale is frozen at
/// that of this run, and the unembedding. As logits are then linear in the stream, the parts add up.
///
/// An objective that is not linear in the logits is taken to first order at the logits of this run.
///
/// # Errors
/// [`CircuitError::Unwired`] for a network without a residual stream whose logits are linear in it;
/// [`CircuitError::Model`] if input or objective do not fit, or the objective reads activations.
pub fn direct_attribution(
    question: Question<'_>,
    input: &Input,
) -> Result<DirectAttribution, CircuitError> {
    let written = Written::of(question, input)?;
    let slope = written.slope(question)?;
    let whole = along(&written.stream, &slope);
    let total = written.value(question);
    let constant = total.iter().zip(&whole).map(|(total, whole)| total - whole);
    Ok(DirectAttribution {
        constant: constant.collect(),
        values: written
            .parts
            .iter()
            .map(|part| along(part, &slope))
            .collect(),
        components: written.names,
        total,
    })
}

/// What a part `[batch, position, channel]` of a stream adds along a slope, by example.
pub(crate) fn along(part: &Tensor<3>, slope: &Tensor<3>) -> Vec<f32> {
    floats((part.clone() * slope.clone()).sum_dim(2).sum_dim(1))
}

/// The last residual stream of a run, and the parts that it is the sum of.
pub(crate) struct Written {
    pub(crate) names: Vec<String>,
    /// `[batch, position, channel]` each.
    pub(crate) parts: Vec<Tensor<3>>,
    stream: Tensor<3>,
    scale: Option<Tensor<3>>,
    logits: Tensor<3>,
}

impl Written {
    pub(crate) fn of(question: Question<'_>, input: &Input) -> Result<Self, CircuitError> {
        question.fits(input)?;
        let (model, objective) = (question.model, question.objective);
        if let Some(site) = objective.sites().first() {
            let reason = format!(
                "logits alone are attributed; `{}` reads {site}",
                objective.name()
            );
            return Err(ModelError::Unfit(reason).into());
        }
        let spec = model.spec();
        let wiring = &spec.wiring;
        let last = match wiring.readers.last() {
            Some(last) if wiring.joined == Joined::Stream => last.site.clone(),
            _ => return Err(unwired(model)),
        };
        let mut sites: Vec<String> = wiring
            .writers
            .iter()
            .map(|port| port.site.clone())
            .collect();
        sites.dedup();
        let outs: Vec<String> = sites.iter().filter_map(|site| together(site)).collect();
        sites.extend(outs);
        sites.push(last.clone());
        let scale = "ln_final.hook_scale";
        let has_scale = spec.site(scale).is_ok();
        sites.extend(has_scale.then(|| scale.into()));
        let (logits, cache) = run_with_cache(model, input, &sites)?;
        let (mut names, mut parts) = (Vec::new(), Vec::new());
        for (at, port) in wiring.writers.iter().enumerate() {
            let all = cache.get(&port.site)?;
            names.push(port.node.clone());
            parts.push(all.clone().slice_dim(2, port.channels.clone()));
            let is_last = wiring
                .writers
                .get(at + 1)
                .is_none_or(|next| next.site != port.site);
            let Some(out) = together(&port.site).filter(|_| is_last) else {
                continue;
            };
            // What the heads of a block write together besides.
            let out = cache.get(&out)?.clone();
            let [batch, positions, width] = out.dims();
            let heads = all
                .clone()
                .reshape([batch, positions, port.channels.end / width, width]);
            let block = port.node.split('.').next().unwrap_or_default();
            names.push(format!("{block}.bias"));
            parts.push(out - heads.sum_dim(2).reshape([batch, positions, width]));
        }
        Ok(Self {
            names,
            parts,
            stream: cache.get(&last)?.clone(),
            scale: has_scale.then(|| cache.get(scale).cloned()).transpose()?,
            logits,
        })
    }

    /// The objective of each example.
    pub(crate) fn value(&self, question: Question<'_>) -> Vec<f32> {
        let cache = Cache::default();
        floats(
            question
                .objective
                .value(&self.logits, &cache, question.labels),
        )
    }

    /// The slope of the objective along a part of the stream, the final norm's scale frozen: one backward
    /// pass through what is linear then.
    pub(crate) fn slope(&self, question: Question<'_>) -> Result<Tensor<3>, CircuitError> {
        let leaf = self.stream.zeros_like().autodiff().require_grad();
        let written = question.model.direct(leaf.clone(), self.scale.as_ref());
        let written = written.ok_or_else(|| unwired(question.model))?;
        let logits = self.logits.clone().autodiff() + written;
        let value = question
            .objective
            .value(&logits, &Cache::default(), question.labels);
        let mut gradients = value.sum().backward();
        let slope = leaf.grad_remove(&mut gradients);
        Ok(slope.unwrap_or_else(|| self.stream.zeros_like()))
    }
}

/// Where the heads of a block write together, of the site where each writes alone.
fn together(site: &str) -> Option<String> {
    let block = site.strip_suffix("attn.hook_result")?;
    Some(format!("{block}hook_attn_out"))
}

fn unwired(model: &dyn Model) -> CircuitError {
    let network = model.spec().name.clone();
    CircuitError::Unwired { network }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::objective::{LogitDifference, by_name};
    use mr_models::{Labels, NormKind, class_tensor};

    use super::*;
    use crate::attribution::tests::{net, pair, shared};

    #[test]
    fn parts_add_up_and_the_constant_is_that_of_the_terms() {
        let labels = Labels::of_classes(&[1, 3], &Device::flex())
            .with_target(class_tensor(&[2, 0], &Device::flex()));
        let objective = by_name("last(answer-difference)").unwrap();
        for net in [
            net(NormKind::Layer),
            net(NormKind::None),
            net(NormKind::Rms),
            shared(),
        ] {
            let question = Question::new(&net, objective.as_ref(), &labels);
            let found = direct_attribution(question, pair().clean()).unwrap();
            assert_eq!(
                found.components[..4],
                ["input", "a0.h0", "a0.h1", "a0.bias"]
            );
            assert_eq!(found.components.len(), 1 + 2 * 4);
            assert!(
                found.completeness_error() < 1e-4,
                "{}",
                found.completeness_error()
            );
            assert!(found.means().iter().any(|mean| mean.abs() > 1e-2));
            // A constant depends on no token.
            let other = direct_attribution(question, pair().corrupt()).unwrap();
            for (one, other) in found.constant.iter().zip(&other.constant) {
                assert!((one - other).abs() < 1e-4, "{one} {other}");
            }
        }
    }

    #[test]
    fn without_a_norm_a_head_does_what_its_ablation_undoes_directly() {
        let net = net(NormKind::None);
        let labels = Labels::of_classes(&[0, 0], &Device::flex());
        let objective = LogitDifference { more: 2, less: 5 };
        let question = Question::new(&net, &objective, &labels);
        let found = direct_attribution(question, pair().clean()).unwrap();
        // Nothing reads the last MLP but the logits.
        let spots = [crate::Spot::whole("blocks.1.hook_mlp_out")];
        let zero = crate::Ablation::Zero;
        let ablated = crate::Sweep::default()
            .ablate(question, pair().clean(), &zero, &spots, &mut |_, _| {})
            .unwrap();
        let mlp = found.values.last().unwrap();
        for (example, value) in mlp.iter().enumerate() {
            let undone = ablated.base[example] - ablated.patched[0][example];
            assert!((value - undone).abs() < 1e-4, "{value} {undone}");
        }
    }

    #[test]
    fn what_has_no_stream_is_named() {
        let mlp = mr_models::Architecture::Mlp(mr_models::Mlp::default());
        let net = mr_models::Network::init(mlp, 0, &Device::flex()).unwrap();
        let labels = Labels::of_classes(&[0], &Device::flex());
        let question = Question::new(&net, &mr_models::objective::Margin, &labels);
        let image = Input::Real(Tensor::zeros([1, 1, 28, 28], &Device::flex()));
        let error = direct_attribution(question, &image).unwrap_err();
        assert!(matches!(error, CircuitError::Unwired { .. }), "{error}");
    }
}
