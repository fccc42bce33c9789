//! Path patching between layers.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{Site, Wiring};

use crate::layered::{Layered, Linked};
use crate::patching::rerun::Base;
use crate::patching::sweep::Batch;

/// By site, what its readers get more over the edges of one sender `[batch, position, channel]` when the sender
/// sends what it does in the donor's run.
pub(super) fn gained(
    layered: &Layered,
    wiring: &Wiring,
    batch: &Batch<'_>,
    sender: usize,
) -> BTreeMap<String, Tensor<3>> {
    let mut gained = BTreeMap::new();
    let from = [sender];
    for linked in &layered.joints {
        let change = || sent(linked, batch.donor()) - sent(linked, batch.base);
        let device = batch.base.device();
        if linked.joint.writers.contains(&sender)
            && let Some(link) = linked.over(wiring, &device, |_| &from)
        {
            let more = Site::of_map(link.received(change()));
            gained.insert(linked.sites[1].name.clone(), more);
        }
    }
    gained
}

fn sent(linked: &Linked, run: &Base<'_>) -> Tensor<4> {
    let [written, _] = &linked.sites;
    let held = if linked.is_from_input() {
        run.state(0).clone().input().real()
    } else {
        written.as_map(run.activation(&written.name).clone())
    };
    linked.link.sent(held)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::objective::LogitDifference;
    use mr_models::{Labels, Model, floats, values_at};

    use crate::layered::tests::{convnet, pair, resnet};
    use crate::patching::{Direction, PathPatch, Question};
    use crate::{Ablation, CircuitError, Cut};

    #[test]
    fn a_path_of_one_edge_is_that_edge_cut() {
        let labels = Labels::of_classes(&[0, 1], &Device::flex());
        let objective = LogitDifference { more: 1, less: 0 };
        for (net, edges) in [
            (convnet(), ["input.c1->conv1.c2", "conv2.c1->linear1.n3"]),
            (
                resnet(),
                ["conv1.c1->layer1.0.c1", "layer1.0.c0->layer2.0.c3"],
            ),
            (resnet(), ["input.c0->conv1.c1", "layer2.0.c2->logits"]),
        ] {
            let question = Question::new(&net, &objective, &labels);
            let corrupt = Ablation::Resample(pair().corrupt().clone());
            let mut moved = false;
            for name in edges {
                let (from, to) = name.split_once("->").unwrap();
                let patching = PathPatch {
                    direction: Direction::Noise,
                    ..PathPatch::default()
                };
                let run = |patching: PathPatch, from: &str| {
                    let (from, to) = ([from.to_string()], [to.to_string()]);
                    patching.run(question, &pair(), &from, &to, &mut |_, _| {})
                };
                let found = run(patching, from).unwrap();
                let edge = net.spec().wiring.edge(name).unwrap();
                let cut = Cut::new(&net, &[edge], &corrupt).unwrap();
                let expected = values_at(&cut, pair().clean(), &labels, &objective, &[]);
                let expected = floats(expected.unwrap().0);
                for (found, expected) in found.patched[0].iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 1e-5,
                        "{name}: {found}, not {expected}"
                    );
                }
                moved |= found.patched[0] != found.base;
                let through = PathPatch {
                    through_mlps: true,
                    ..patching
                };
                let error = run(through, from).unwrap_err();
                assert!(matches!(error, CircuitError::Unstreamed { .. }), "{error}");
            }
            assert!(moved, "some path does something");
        }
    }

    #[test]
    fn what_no_edge_joins_changes_nothing() {
        let (net, labels) = (resnet(), Labels::of_classes(&[0, 1], &Device::flex()));
        let objective = LogitDifference { more: 1, less: 0 };
        let question = Question::new(&net, &objective, &labels);
        let (from, to) = (["conv1.c0".to_string()], ["layer1.0.c1".to_string()]);
        let found = PathPatch::default().run(question, &pair(), &from, &to, &mut |_, _| {});
        let found = found.unwrap();
        assert_eq!(found.patched[0], found.base);
    }
}
