//! Automatic circuit discovery.

use burn::tensor::Tensor;
use mr_models::objective::KlDivergence;
use mr_models::{Edge, Labels, Model, Objective, floats, values_at};

use crate::ablation::Ablation;
use crate::cut::Cut;
use crate::error::CircuitError;
use crate::pair::Pair;

/// The edges that are needed: from the output back, every edge is cut, and stays cut where that raises
/// KL(model || circuit), the mean over the clean batch, by less than `tau` (Conmy et al. 2023, algorithm
/// 1). Edges of readers that nothing reads any more go without being tried.
///
/// What is needed depends on what stands in for a cut edge. Conmy et al. (2023, table 1) give ACDC an area
/// under the curve of .600 and .200 on tracr's x-proportion and reverse where it cuts by another input, and
/// 1.000 where it cuts to zero, against one truth: the edges that are needed under zero ablation, 5 and 10.
/// By another input only 3 and 2 of them are, as the others carry positions and the length, which all inputs
/// share; ACDC finds exactly these, and is counted wrong for it. Against the truth of the ablation that it
/// runs with it is at 1.000 both times ([`mr_models::compiled`] has both truths).
///
/// One run per edge. `progress` is told how many edges of how many are done.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Threshold`] for a `tau` that is
/// not above 0.
pub fn acdc<M: Model + Clone>(
    model: M,
    pair: &Pair,
    ablation: &Ablation,
    tau: f32,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Edge>, CircuitError> {
    if tau.is_nan() || tau <= 0.0 {
        return Err(CircuitError::Threshold { tau });
    }
    let whole = model.logits(pair.clean());
    let [batch, positions, _] = whole.dims();
    let truth = Tensor::zeros([batch, positions], &model.device());
    let cut = Cut::new(model, &[], ablation)?;
    let labels = Labels::of_classes(&vec![0; batch], &cut.device()).with_reference(whole);
    let labels = Labels { truth, ..labels };
    let distance = |edges: &[Edge]| -> Result<f32, CircuitError> {
        let objective: &dyn Objective = &KlDivergence;
        let (values, _) = values_at(&cut.with(edges), pair.clean(), &labels, objective, &[])?;
        Ok(floats(values).iter().sum::<f32>() / batch.max(1) as f32)
    };
    let wiring = cut.spec().wiring.clone();
    let mut edges = wiring.edges();
    edges.reverse();
    let count = edges.len();
    let (mut gone, mut kept) = (Vec::new(), Vec::<Edge>::new());
    let mut now = 0.0;
    for (done, edge) in edges.into_iter().enumerate() {
        let node = &wiring.readers[edge.reader].node;
        let is_read = node == "logits"
            || kept
                .iter()
                .any(|kept| wiring.writers[kept.writer].node == *node);
        gone.push(edge);
        if is_read {
            let then = distance(&gone)?;
            if then - now < tau {
                now = then;
            } else {
                gone.pop();
                kept.push(edge);
            }
        }
        progress(done + 1, count);
    }
    kept.reverse();
    Ok(kept)
}

/// Every edge that [`acdc`] keeps at some of these thresholds, scored by the highest at which it does: a
/// ranking, for a curve over all sizes of circuit. An edge that is never kept has no score.
///
/// # Errors
/// Those of [`acdc`].
pub fn acdc_sweep<M: Model + Clone>(
    model: M,
    pair: &Pair,
    ablation: &Ablation,
    taus: &[f32],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<(Edge, f32)>, CircuitError> {
    let mut taus = taus.to_vec();
    taus.sort_by(|a, b| b.total_cmp(a));
    let mut scores: Vec<(Edge, f32)> = Vec::new();
    let runs = taus.len();
    for (run, tau) in taus.into_iter().enumerate() {
        let mut at = |done, of| progress(run * of + done, runs * of);
        for edge in acdc(model.clone(), pair, ablation, tau, &mut at)? {
            if scores.iter().all(|(found, _)| *found != edge) {
                scores.push((edge, tau));
            }
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use mr_models::NormKind;
    use mr_models::objective::kl_divergence;

    use super::*;
    use crate::attribution::tests::{net, pair};

    fn found(tau: f32, ablation: &Ablation) -> (Vec<Edge>, f32) {
        let (net, pair) = (net(NormKind::Layer), pair());
        let kept = acdc(&net, &pair, ablation, tau, &mut |_, _| {}).unwrap();
        let all = net.spec().wiring.edges();
        let rest: Vec<Edge> = all
            .into_iter()
            .filter(|edge| !kept.contains(edge))
            .collect();
        let cut = Cut::new(&net, &rest, ablation).unwrap();
        let left = kl_divergence(&net.logits(pair.clean()), &cut.logits(pair.clean()));
        (kept, floats(left).iter().sum::<f32>() / 2.0)
    }

    #[test]
    fn what_is_kept_does_what_the_net_does() {
        let resampled = Ablation::Resample(pair().corrupt().clone());
        for ablation in [&Ablation::Zero, &resampled] {
            let (few, far) = found(1e-2, ablation);
            let (many, near) = found(1e-5, ablation);
            assert!(few.len() < many.len(), "{} of {}", few.len(), many.len());
            assert!(near <= far, "{near} of {far}");
            assert!(near < 1e-5 * 72.0, "{near}");
        }
        assert!(found(f32::INFINITY, &Ablation::Zero).0.is_empty());
    }

    #[test]
    fn equal_runs_need_no_edge() {
        let net = net(NormKind::Layer);
        let same = Pair::new(pair().clean().clone(), pair().clean().clone()).unwrap();
        let itself = Ablation::Resample(same.clean().clone());
        assert!(
            acdc(&net, &same, &itself, 1e-6, &mut |_, _| {})
                .unwrap()
                .is_empty()
        );
        let error = acdc(&net, &same, &itself, 0.0, &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("above 0"));
    }
}
