//! Automatic circuit discovery.

use std::path::Path;

use burn::tensor::Tensor;
use mr_models::objective::kl_divergence;
use mr_models::{Cache, Edge, Input, Model, State, floats};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::journal::Journal;
use crate::ablation::Ablation;
use crate::attribution::EdgeScores;
use crate::circuit::Circuit;
use crate::cut::Cut;
use crate::error::CircuitError;
use crate::pair::Pair;

/// What became of one edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Decision {
    edge: String,
    kept: bool,
    /// By how much cutting it raised the divergence; 0 where nothing read it.
    change: f32,
    /// The divergence of the circuit after the decision.
    now: f32,
}

/// The circuit of the edges that are needed: from the output back, every edge is cut, and stays cut where
/// that raises KL(model || circuit), the mean over the clean batch, by less than `tau` (Conmy et al. 2023,
/// algorithm 1). Edges of readers that nothing reads any more go without being tried. An edge's score is by
/// how much cutting it raised the divergence.
///
/// What is needed depends on what stands in for a cut edge. Conmy et al. (2023, table 1) give ACDC an area
/// under the curve of .600 and .200 on tracr's x-proportion and reverse where it cuts by another input, and
/// 1.000 where it cuts to zero, against one truth: the edges that are needed under zero ablation, 5 and 10.
/// By another input only 3 and 2 of them are, as the others carry positions and the length, which all inputs
/// share; ACDC finds exactly these, and is counted wrong for it. Against the truth of the ablation that it
/// runs with it is at 1.000 both times ([`mr_models::compiled`] has both truths).
///
/// One run per edge, and only from the stage of its reader on, since everything before it is still whole.
/// With a `journal`, decisions are written into that file, and a discovery that was killed goes on there, to
/// the same circuit. `progress` is told how many edges of how many are done.
///
/// # Errors
/// [`CircuitError::Unwired`] if the network has no edges, [`CircuitError::Threshold`] for a `tau` that is
/// not above 0, [`CircuitError::Divergence`] if the divergence is not finite, [`CircuitError::Journal`] if
/// the journal is that of another discovery.
pub fn acdc<M: Model + Clone>(
    model: M,
    pair: &Pair,
    ablation: &Ablation,
    tau: f32,
    journal: Option<&Path>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Circuit, CircuitError> {
    if tau.is_nan() || tau <= 0.0 {
        return Err(CircuitError::Threshold { tau });
    }
    model.spec().accepts(pair.clean())?;
    let cut = Cut::new(&model, &[], ablation)?;
    let front = Front::of(&model, pair.clean())?;
    let whole = model.logits(pair.clean());
    let wiring = model.spec().wiring.clone();
    let mut edges = wiring.edges();
    edges.reverse();
    let (mut journal, done) = match journal {
        Some(path) => {
            let about = json!({
                "discovery": "acdc",
                "network": model.spec().name,
                "edges": edges.len(),
                "tau": tau,
                "ablation": ablation.name(),
                // Of other weights or inputs they are others.
                "logits": digest(&whole),
            });
            let (journal, done) = Journal::open::<Decision>(path, &about)?;
            (Some(journal), done)
        }
        None => (None, Vec::new()),
    };
    let mut search = Search {
        read: vec![false; wiring.writers.len()],
        gone: Vec::new(),
        now: 0.0,
    };
    let distance = |gone: &[Edge], reader: usize| -> Result<f32, CircuitError> {
        let logits = front.logits(&cut.with(gone), wiring.readers[reader].stage);
        let values = floats(kl_divergence(&whole, &logits));
        let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
        if !mean.is_finite() {
            return Err(CircuitError::Divergence { value: mean });
        }
        Ok(mean)
    };
    let count = edges.len();
    let (mut kept, mut scores) = (Vec::new(), Vec::new());
    for (at, edge) in edges.into_iter().enumerate() {
        let name = wiring.name(edge);
        let decision = match done.get(at) {
            Some(known) if known.edge == name => known.clone(),
            _ => {
                let node = &wiring.readers[edge.reader].node;
                let mut own = wiring.writers.iter().zip(&search.read);
                // What writes nothing is an output.
                let is_output = !own.clone().any(|(port, _)| port.node == *node);
                let is_read = is_output || own.any(|(port, read)| port.node == *node && *read);
                search.gone.push(edge);
                let then = if is_read {
                    distance(&search.gone, edge.reader)?
                } else {
                    search.now
                };
                search.gone.pop();
                let change = then - search.now;
                let kept = is_read && change >= tau;
                Decision {
                    edge: name,
                    kept,
                    change,
                    now: if kept { search.now } else { then },
                }
            }
        };
        if let Some(journal) = &mut journal
            && at >= done.len()
        {
            journal.add(&decision)?;
        }
        search.take(edge, &decision);
        if decision.kept {
            kept.push(edge);
        }
        scores.push((edge, decision.change));
        progress(at + 1, count);
    }
    scores.reverse();
    Circuit::new(EdgeScores { wiring, scores }, &kept)
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
        for edge in acdc(model.clone(), pair, ablation, tau, None, &mut at)?.kept() {
            if scores.iter().all(|(found, _)| *found != edge) {
                scores.push((edge, tau));
            }
        }
    }
    Ok(scores)
}

/// Where the search stands.
struct Search {
    /// By writer, whether something reads it.
    read: Vec<bool>,
    gone: Vec<Edge>,
    now: f32,
}

impl Search {
    fn take(&mut self, edge: Edge, decision: &Decision) {
        if decision.kept {
            self.read[edge.writer] = true;
        } else {
            self.gone.push(edge);
        }
        self.now = decision.now;
    }
}

/// The clean run of the whole network: the state before each stage, and what was written.
struct Front<'a> {
    input: &'a Input,
    states: Vec<State>,
    written: Cache,
}

impl<'a> Front<'a> {
    fn of(model: &dyn Model, input: &'a Input) -> Result<Self, CircuitError> {
        let spec = model.spec();
        let mut front = Self {
            input,
            states: Vec::new(),
            written: Cache::default(),
        };
        if model.stages() != spec.stages() {
            return Ok(front);
        }
        // Channels of an input are no site.
        let sites = spec.wiring.writers.iter().map(|port| port.site.as_str());
        let sites: Vec<&str> = sites.filter(|site| spec.site(site).is_ok()).collect();
        front.written = Cache::of(spec, &sites)?;
        let mut state = State::Input(input.clone());
        for stage in 0..model.stages() {
            front.states.push(state.clone());
            state = model.run_stages(stage..stage + 1, state, &mut front.written);
        }
        Ok(front)
    }

    /// The logits where nothing is cut before this stage.
    fn logits<M: Model>(&self, cut: &Cut<M>, stage: usize) -> Tensor<3> {
        match self.states.get(stage) {
            Some(state) => cut.resumed(stage, state.clone(), self.input, &self.written),
            None => cut.logits(self.input),
        }
    }
}

/// FNV-1a (Fowler, Noll & Vo) of the bits: no other run is to be taken for this one by mistake.
fn digest(logits: &Tensor<3>) -> String {
    let bytes = floats(logits.clone()).into_iter();
    let bytes = bytes.flat_map(|value| value.to_bits().to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use mr_models::NormKind;

    use super::*;
    use crate::attribution::tests::{net, pair};
    use crate::layered::tests::{self as layered, convnet, resnet};

    fn found(tau: f32, ablation: &Ablation) -> (Vec<Edge>, f32) {
        let (net, pair) = (net(NormKind::Layer), pair());
        let found = acdc(&net, &pair, ablation, tau, None, &mut |_, _| {}).unwrap();
        let kept = found.kept();
        let cut = Cut::new(&net, &found.cut_edges(), ablation).unwrap();
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

    /// What goes on from a stage is what begins anew, where everything before it is whole.
    #[test]
    fn a_run_from_a_stage_on_is_a_whole_run() {
        for net in [convnet(), resnet()] {
            let pair = layered::pair();
            let wiring = &net.spec().wiring;
            let edges = wiring.edges();
            let other = Ablation::Resample(pair.corrupt().clone());
            let cut = Cut::new(&net, &[], &other).unwrap();
            let front = Front::of(&net, pair.clean()).unwrap();
            for (at, edge) in edges.iter().enumerate().step_by(5) {
                let cut = cut.with(&edges[at..]);
                let stage = wiring.readers[edge.reader].stage;
                let found = floats(front.logits(&cut, stage));
                assert_eq!(found, floats(cut.logits(pair.clean())), "{stage}");
            }
        }
    }

    #[test]
    fn equal_runs_need_no_edge() {
        let net = net(NormKind::Layer);
        let same = Pair::new(pair().clean().clone(), pair().clean().clone()).unwrap();
        let itself = Ablation::Resample(same.clean().clone());
        assert!(
            acdc(&net, &same, &itself, 1e-6, None, &mut |_, _| {})
                .unwrap()
                .is_empty()
        );
        let error = acdc(&net, &same, &itself, 0.0, None, &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("above 0"));
    }

    #[test]
    fn a_killed_discovery_goes_on_to_the_same_circuit() {
        let (net, pair) = (net(NormKind::Layer), pair());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let run = |tau: f32, journal: Option<&Path>| {
            let mut runs = 0;
            let found = acdc(&net, &pair, &Ablation::Zero, tau, journal, &mut |_, _| {
                runs += 1;
            });
            found.map(|found| (found, runs))
        };
        let (whole, count) = run(1e-3, None).unwrap();
        assert!(!whole.is_empty() && whole.len() < whole.edges());
        assert_eq!(run(1e-3, Some(&path)).unwrap(), (whole.clone(), count));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), count + 1);
        // Killed within a line.
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert_eq!(run(1e-3, Some(&path)).unwrap().0, whole);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let error = run(1e-2, Some(&path)).unwrap_err().to_string();
        assert!(error.contains("another discovery"), "{error}");
    }
}
