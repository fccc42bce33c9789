//! Self-repair: what later parts make up for when a head or an MLP is ablated.

use mr_models::{Edit, Input, Intervened, Model, ModelError, OfLength, Region, Rewrite};

use crate::ablation::Ablation;
use crate::error::CircuitError;
use crate::lens::direct::{Written, along};
use crate::patching::{Progress, Question};

/// What ablating one writer does to an objective, by example.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    /// The writer: `a0.h1` or `m0`.
    pub node: String,
    /// Change of the objective over the direct path alone, the final norm's scale frozen.
    pub direct: Vec<f32>,
    /// Change of the objective when the writer is ablated.
    pub total: Vec<f32>,
    /// What other writers change directly in answer, by their names in forward order: above 0 where they
    /// make up for a loss of the ablated one.
    pub answers: Vec<(String, Vec<f32>)>,
}

impl Repair {
    /// Change of the objective over all other paths, `total - direct`. Where it has the other sign than
    /// the direct effect, the network repairs itself.
    pub fn indirect(&self) -> Vec<f32> {
        let pairs = self.total.iter().zip(&self.direct);
        pairs.map(|(total, direct)| total - direct).collect()
    }

    /// The part of the indirect effect that no other writer has: the final norm divides by another scale.
    pub fn by_norm(&self) -> Vec<f32> {
        let indirect = self.indirect();
        let of = |(example, indirect): (usize, &f32)| {
            indirect
                - self
                    .answers
                    .iter()
                    .map(|(_, values)| values[example])
                    .sum::<f32>()
        };
        indirect.iter().enumerate().map(of).collect()
    }

    /// Share of the direct effect that is repaired, `-indirect / direct`, as a ratio of sums over examples.
    pub fn share(&self) -> f32 {
        let sum = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>();
        (-sum(&self.indirect()) / sum(&self.direct)) as f32
    }
}

/// Ablates each writer in turn, and splits what that does to the objective into the direct effect, what
/// every other writer changes in answer, and the final norm (McGrath et al. 2023, section 3; Rushing &
/// Nanda 2024, who name the norm's share). Effects are changes of the objective: what the ablated run has
/// more than the plain one.
///
/// We ablate over all positions, and freeze the norm's scale at that of the plain run.
///
/// # Errors
/// Those of [`direct_attribution`](crate::direct_attribution), and [`CircuitError::Model`] for an unknown
/// writer, with near matches.
pub fn self_repair(
    question: Question<'_>,
    input: &Input,
    ablation: &Ablation,
    nodes: &[String],
    progress: &mut Progress<'_>,
) -> Result<Vec<Repair>, CircuitError> {
    let plain = Written::of(question, input)?;
    let slope = plain.slope(question)?;
    let before = plain.value(question);
    let sized;
    let model: &dyn Model = match input {
        Input::Tokens(tokens) => {
            sized = OfLength::new(question.model, tokens.dims()[1])?;
            &sized
        }
        Input::Real(_) => question.model,
    };
    let wiring = &model.spec().wiring;
    let mut found = Vec::new();
    for (done, node) in nodes.iter().enumerate() {
        let known = || wiring.writers.iter().map(|port| port.node.as_str());
        let at = known().position(|known| known == node);
        let at = at.ok_or_else(|| ModelError::unknown("writer", node, known()))?;
        let port = &wiring.writers[at];
        let values = ablation.at(model, &[&port.site])?;
        let values = values[&port.site]
            .clone()
            .slice_dim(2, port.channels.clone());
        let [examples, _, width] = values.dims();
        let positions = model.spec().site(&port.site)?.positions;
        let values = values.expand([examples, positions, width]);
        let region = Region::channels(port.channels.clone());
        let edit = Edit::at(&port.site, Rewrite::patch(values)).within(region);
        let ablated = Intervened::new(model, vec![edit])?;
        let ablated = Question {
            model: &ablated,
            ..question
        };
        let changed = Written::of(ablated, input)?;
        let after = changed.value(ablated);
        let mut repair = Repair {
            node: node.clone(),
            direct: Vec::new(),
            total: after
                .iter()
                .zip(&before)
                .map(|(after, before)| after - before)
                .collect(),
            answers: Vec::new(),
        };
        let parts = changed.parts.into_iter().zip(&plain.parts);
        for (name, (after, before)) in plain.names.iter().zip(parts) {
            let change = along(&(after - before.clone()), &slope);
            if name == node {
                repair.direct = change;
            } else {
                repair.answers.push((name.clone(), change));
            }
        }
        progress(done + 1, nodes.len());
        found.push(repair);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::objective::{LogitDifference, by_name};
    use mr_models::{
        Architecture, Labels, Network, NormKind, Positions, Transformer, TransformerInput,
        class_tensor,
    };

    use super::*;
    use crate::attribution::tests::{net, pair};

    /// Two heads that write the same on sequences of one token, where a head is a linear map: that of
    /// block 0 copies what the token holds to the output, that of block 1 adds `backup` times what is
    /// missing there.
    fn redundant(backup: f32) -> Network {
        let transformer = Transformer {
            input: TransformerInput::Tokens {
                vocabulary: 2,
                context: 1,
                token_types: 0,
            },
            layers: 2,
            d_model: 2,
            heads: 1,
            d_head: 1,
            d_mlp: 0,
            norm: NormKind::None,
            final_norm: false,
            positions: Positions::None,
            biases: false,
            ..Transformer::default()
        };
        let mut named = vec![(
            "embed.W_E".to_string(),
            vec![2, 2],
            vec![1.0, 0.0, 2.0, 0.0],
        )];
        for (layer, reads) in [[1.0, 0.0], [backup, -backup]].into_iter().enumerate() {
            let mut push = |name: &str, shape: &[usize], values: Vec<f32>| {
                named.push((
                    format!("blocks.{layer}.attn.{name}"),
                    shape.to_vec(),
                    values,
                ));
            };
            push("W_Q", &[1, 2, 1], vec![0.0; 2]);
            push("W_K", &[1, 2, 1], vec![0.0; 2]);
            push("W_V", &[1, 2, 1], reads.to_vec());
            push("W_O", &[1, 1, 2], vec![0.0, 1.0]);
        }
        named.push(("unembed.W_U".into(), vec![2, 2], vec![0.0, 0.0, 1.0, 0.0]));
        let architecture = Architecture::Transformer(transformer);
        Network::with_weights(architecture, named, &Device::flex()).unwrap()
    }

    fn repaired(backup: f32, node: &str) -> Repair {
        let device = Device::flex();
        let net = redundant(backup);
        let labels = Labels::of_classes(&[0, 0], &device);
        let objective = LogitDifference { more: 0, less: 1 };
        let question = Question::new(&net, &objective, &labels);
        let input = Input::of_tokens(&[vec![0], vec![1]], &device).unwrap();
        let nodes = [node.to_string()];
        let found = self_repair(question, &input, &Ablation::Zero, &nodes, &mut |_, _| {});
        found.unwrap().remove(0)
    }

    #[test]
    fn a_backup_head_makes_up_for_what_it_can() {
        // The tokens hold 1 and 2, and so do the logits.
        for (backup, total) in [(0.0, [-1.0, -2.0]), (0.5, [-0.5, -1.0]), (1.0, [0.0, 0.0])] {
            let found = repaired(backup, "a0.h0");
            assert_eq!(found.direct, [-1.0, -2.0]);
            assert_eq!(found.total, total);
            assert_eq!(found.indirect(), [1.0 + total[0], 2.0 + total[1]]);
            assert_eq!(found.share(), backup);
            assert_eq!(found.by_norm(), [0.0, 0.0]);
            let answers = found
                .answers
                .iter()
                .find(|(name, _)| name == "a1.h0")
                .unwrap();
            assert_eq!(answers.1, found.indirect());
        }
        // The backup itself writes nothing as long as the other does: nothing is lost with it.
        let found = repaired(1.0, "a1.h0");
        assert_eq!((found.direct, found.total), (vec![0.0; 2], vec![0.0; 2]));
    }

    #[test]
    fn the_parts_of_the_effect_add_up_under_a_norm() {
        let device = Device::flex();
        let net = net(NormKind::Layer);
        let labels =
            Labels::of_classes(&[1, 3], &device).with_target(class_tensor(&[2, 0], &device));
        let objective = by_name("last(answer-difference)").unwrap();
        let question = Question::new(&net, objective.as_ref(), &labels);
        let nodes = ["a0.h1".to_string(), "m0".to_string(), "m1".to_string()];
        let mean = Ablation::Mean(pair().corrupt().clone());
        let found = self_repair(question, pair().clean(), &mean, &nodes, &mut |_, _| {}).unwrap();
        for repair in &found {
            let shares = repair
                .answers
                .iter()
                .filter(|(name, _)| name == "input" || name.ends_with("bias"));
            // Nothing upstream, and no term, answers.
            assert!(
                shares
                    .flat_map(|(_, values)| values)
                    .all(|value| value.abs() < 1e-5)
            );
            assert!(repair.by_norm().iter().all(|value| value.is_finite()));
        }
        // Nothing comes after the last MLP but the norm.
        let last = &found[2];
        assert!(
            last.answers
                .iter()
                .flat_map(|(_, values)| values)
                .all(|value| value.abs() < 1e-5)
        );
        let error = self_repair(
            question,
            pair().clean(),
            &mean,
            &["a9.h1".into()],
            &mut |_, _| {},
        );
        assert!(error.unwrap_err().to_string().contains("did you mean a"));
    }
}
