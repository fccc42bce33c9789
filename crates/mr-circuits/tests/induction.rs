//! A network that learned to go on with sequences that repeat themselves: its induction heads are found by
//! what they look at, by patching and by EAP-IG alike, and a small circuit does what it does.
//!
//! `fixtures/golden/induction.safetensors` is what this command makes:
//!
//! ```text
//! mr train --arch transformer --data repeated --layers 2 --set model.d_mlp=0 --set model.d_model=32 \
//!     --set 'model.norm="none"' --set model.final_norm=false --set model.biases=false \
//!     --set data.vocabulary=32 --set data.context=20 --batch-size 64 --lr 0.005 --steps 1500 \
//!     --set train.validation.examples=200 --name induction --out runs/induction
//! ```

use std::path::Path as File;

use burn::tensor::Device;
use mr_circuits::{Ablation, Circuit, Cut, EdgeScores, Pair, Path, Ranking, edge_attribution};
use mr_models::data::{DataConfig, Prompts, Split, load_prompts};
use mr_models::objective::AnswerDifference;
use mr_models::{
    Edge, Labels, Model, Network, floats, load, predictions, run_with_cache, values_at,
};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What is asked of the network: prompts that it did not see.
struct Asked {
    net: Network,
    prompts: Prompts,
    pair: Pair,
    labels: Labels,
}

fn asked() -> Asked {
    let device = Device::flex();
    let file = "../../fixtures/golden/induction.safetensors";
    let file = File::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let net = load(&file, None, &device).unwrap().network;
    let config = DataConfig {
        vocabulary: Some(32),
        context: Some(20),
        limit: Some(32),
        ..DataConfig::named("repeated")
    };
    let prompts = load_prompts(&config, Split::Test).unwrap();
    Asked {
        pair: Pair::new(prompts.clean(&device), prompts.corrupt(&device)).unwrap(),
        labels: prompts.labels(net.spec().classes, &device).unwrap(),
        net,
        prompts,
    }
}

impl Asked {
    /// How far the right answer is ahead, in the mean over the prompts.
    fn ahead(&self, model: &dyn Model) -> f32 {
        let clean = self.pair.clean();
        let (values, _) = values_at(model, clean, &self.labels, &AnswerDifference, &[]).unwrap();
        let values = floats(values);
        values.iter().sum::<f32>() / values.len() as f32
    }

    fn scores(&self) -> EdgeScores {
        let objective = &AnswerDifference;
        edge_attribution(
            &self.net,
            &self.pair,
            &self.labels,
            objective,
            Path::Inputs(10),
        )
        .unwrap()
    }

    /// Every head's name, such as `a1.h0`.
    fn heads(&self) -> Vec<String> {
        let writers = self.net.spec().wiring.writers.iter();
        let names = writers.map(|port| port.node.clone());
        names.filter(|name| name.starts_with('a')).collect()
    }

    /// The attention of each head from a token that was there before to what followed it then, in the mean.
    fn induction_scores(&self) -> Vec<f32> {
        let sites = ["blocks.0.attn.hook_pattern", "blocks.1.attn.hook_pattern"];
        let (_, cache) = run_with_cache(&self.net, self.pair.clean(), &sites).unwrap();
        let positions = self.prompts.positions();
        let mut scores = Vec::new();
        for site in sites {
            let pattern = cache.get(site).unwrap().clone();
            let heads = pattern.dims()[2] / positions;
            let values = floats(pattern);
            for head in 0..heads {
                let (mut sum, mut count) = (0.0, 0);
                for (example, prompt) in self.prompts.prompts().iter().enumerate() {
                    let run = prompt.known_from - 1;
                    for query in prompt.known_from..positions {
                        let row = (example * positions + query) * heads + head;
                        sum += values[row * positions + query - run + 1];
                        count += 1;
                    }
                }
                scores.push(sum / count as f32);
            }
        }
        scores
    }

    /// By head, what the answer loses where its edge to the logits carries its mean over inputs and positions.
    fn patching_effects(&self) -> Vec<f32> {
        let wiring = &self.net.spec().wiring;
        let mean = Ablation::Mean(self.pair.clean().clone());
        let cut = Cut::new(&self.net, &[], &mean).unwrap();
        let whole = self.ahead(&self.net);
        let effect = |head: &String| {
            let edge = wiring.edge(&format!("{head}->logits")).unwrap();
            whole - self.ahead(&cut.with(&[edge]))
        };
        self.heads().iter().map(effect).collect()
    }

    /// By head, the size of the score of its edge to the logits.
    fn attributions(&self) -> Vec<f32> {
        let found = self.scores();
        let of = |head: &String| found.get(&format!("{head}->logits")).unwrap().abs();
        self.heads().iter().map(of).collect()
    }

    /// How far a circuit is from the corrupt run to the whole network, by how far the answer is ahead:
    /// 1 is the whole network, 0 the corrupt run.
    fn faithfulness(&self, cut: &Cut<&Network>, without: &[Edge], ends: [f32; 2]) -> f32 {
        let [nothing, whole] = ends;
        (self.ahead(&cut.with(without)) - nothing) / (whole - nothing)
    }
}

/// The four heads that score highest, in the order of the network.
fn top_four(heads: &[String], scores: &[f32]) -> Vec<String> {
    let mut order: Vec<usize> = (0..heads.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut top = order[..4].to_vec();
    top.sort_unstable();
    top.into_iter().map(|head| heads[head].clone()).collect()
}

/// All four heads of block 1 look where an induction head looks (.73 to .84 of their attention), those of
/// block 0 do not (below .09). What heads write into the logits is patched, and attributed: by either the
/// same four are far ahead (losses from 2.9 on against .04, scores from 5 on against .2). That block 0
/// matters as well, through the keys of block 1, is another question than who says the answer.
#[test]
fn induction_heads_are_found_by_score_by_patching_and_by_eap_ig() {
    let asked = asked();
    let clean = predictions(&asked.net.logits(asked.pair.clean()));
    let prompts = asked.prompts.prompts().iter();
    let right = prompts
        .zip(clean)
        .filter(|(prompt, said)| said.last() == Some(&prompt.answer));
    assert_eq!(right.count(), asked.prompts.len());

    let heads = asked.heads();
    let looks = asked.induction_scores();
    let effects = asked.patching_effects();
    let scores = asked.attributions();
    for scores in [&looks, &effects, &scores] {
        assert_eq!(
            top_four(&heads, scores),
            ["a1.h0", "a1.h1", "a1.h2", "a1.h3"]
        );
    }
    assert!(looks[..4].iter().all(|&score| score < 0.1));
    assert!(looks[4..].iter().all(|&score| score > 0.7));
}

/// 15 of 81 edges are at .88, the best of 200 random choices of as many at .23. More edges are not always
/// better: those ranked 16 to 20 by size hinder, and take it down to .66 until their counterweights come.
#[test]
fn a_small_circuit_is_faithful_and_random_ones_are_not() {
    let asked = asked();
    let scores = asked.scores();
    let corrupt = Ablation::Resample(asked.pair.corrupt().clone());
    let cut = Cut::new(&asked.net, &[], &corrupt).unwrap();
    let mut all = asked.net.spec().wiring.edges();
    let ends = [asked.ahead(&cut.with(&all)), asked.ahead(&asked.net)];
    let of = |n: usize| {
        let circuit = Circuit::top(scores.clone(), n, Ranking::Absolute).unwrap();
        asked.faithfulness(&cut, &circuit.cut_edges(), ends)
    };
    let faithful = of(15);
    assert!(faithful >= 0.85 && of(30) >= 0.85, "{faithful}, {}", of(30));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let worse = (0..200).filter(|_| {
        all.shuffle(&mut rng);
        asked.faithfulness(&cut, &all[15..], ends) < faithful
    });
    assert!(worse.count() > 198);
}
