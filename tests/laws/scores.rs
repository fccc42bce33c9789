//! What circuits are found by does not depend on how the work is divided: not on the size of batches, not on
//! threads.

use burn::tensor::{Device, Int, Tensor, TensorData};
use mr_circuits::{
    Ablation, Direction, Front, Grid, Integration, Pair, Path, Question, Sweep, acdc, atp_star,
    damage, edge_attribution, edge_damage, node_attribution,
};
use mr_models::data::{DataConfig, Split, load};
use mr_models::{
    Architecture, ConvNet, Labels, Model, Network, Objective, OfLength, Place, Region,
    class_tensor, objective,
};

use crate::transformers;

/// What scores may differ by when sums are taken in another order: absolute where all scores are below 1, a part of
/// the largest above.
const TOLERANCE: f32 = 1e-6;
const EXAMPLES: usize = 6;

/// A network, pairs, and what is asked of them.
struct Asked {
    net: Network,
    pair: Pair,
    labels: Labels,
    objective: Box<dyn Objective>,
}

/// The golden language model.
fn words() -> Asked {
    let device = Device::flex();
    let nets = transformers::all();
    let lens = nets.iter().find(|lens| lens.file.contains("gpt2")).unwrap();
    let token = |example: usize, position: usize, step: usize| (7 * example + step * position) % 11;
    let input = |step: usize| {
        let row = |example| (0..5).map(|at| token(example, at, step)).collect();
        let rows: Vec<Vec<usize>> = (0..EXAMPLES).map(row).collect();
        mr_models::Input::of_tokens(&rows, &device).unwrap()
    };
    let answers = |first: usize| -> Vec<usize> { (first..first + EXAMPLES).collect() };
    let labels = Labels::of_classes(&answers(0), &device);
    Asked {
        net: lens.network(&device),
        pair: Pair::new(input(3), input(4)).unwrap(),
        labels: labels.with_target(class_tensor(&answers(4), &device)),
        objective: objective::by_name("last(answer-difference)").unwrap(),
    }
}

/// A small convolutional net on clothes, each paired with the next.
fn clothes() -> Asked {
    let device = Device::flex();
    let convnet = ConvNet {
        widths: vec![2, 3],
        hidden: vec![4],
        ..ConvNet::default()
    };
    let data = load(&DataConfig::default(), Split::Test).unwrap();
    let rows: Vec<usize> = (0..EXAMPLES).collect();
    let next: Vec<usize> = (1..=EXAMPLES).collect();
    let pair = Pair::new(data.input(&rows, &device), data.input(&next, &device));
    Asked {
        net: Network::init(Architecture::Convnet(convnet), 3, &device).unwrap(),
        pair: pair.unwrap(),
        labels: data.labels_of(&rows, &device),
        objective: Box::new(objective::Margin),
    }
}

impl Asked {
    fn rows(&self, rows: &[usize]) -> (Pair, Labels) {
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let count = rows.len();
        let rows = TensorData::new(rows, [count]);
        let rows = Tensor::<1, Int>::from_data(rows, &Device::flex());
        let [clean, corrupt] =
            [self.pair.clean(), self.pair.corrupt()].map(|input| input.select(rows.clone()));
        (Pair::new(clean, corrupt).unwrap(), self.labels.select(rows))
    }

    /// Every score that is a mean over the batch, by the name of its method.
    fn means(&self, rows: &[usize]) -> Vec<(&'static str, Vec<f32>)> {
        let (pair, labels) = self.rows(rows);
        let (net, objective) = (&self.net, self.objective.as_ref());
        let edges = |path| -> Vec<f32> {
            let found = edge_attribution(net, &pair, &labels, objective, path).unwrap();
            found.scores.iter().map(|&(_, score)| score).collect()
        };
        let integration = Integration {
            steps: 8,
            tolerance: 0.01,
            most: 32,
        };
        let quiet = &mut |_, _| {};
        let shares = edge_damage(net, &pair, &labels, objective, &integration, quiet).unwrap();
        let shares = shares.iter().flat_map(|layer| &layer.scores.scores);
        let spec = net.spec();
        let front = Front::writers(spec)
            .or_else(|_| Front::channels(spec, &Place::site("conv1.hook_out")))
            .unwrap();
        let nodes = damage(net, &pair, &labels, objective, &front, &integration, quiet).unwrap();
        let sited: Vec<(String, Region)> = front.parts.iter().map(part).collect();
        let found = match self.sized() {
            Some(net) => node_attribution(&net, &pair, &labels, objective, &sited),
            None => node_attribution(net, &pair, &labels, objective, &sited),
        };
        vec![
            ("EAP", edges(Path::Clean)),
            ("EAP-IG", edges(Path::Inputs(5))),
            ("damage of edges", shares.map(|&(_, share)| share).collect()),
            (
                "damage",
                nodes.mean().into_iter().map(|share| share as f32).collect(),
            ),
            (
                "attribution patching",
                found.unwrap().iter().map(|node| node.score).collect(),
            ),
        ]
    }

    /// The language model at its length.
    fn sized(&self) -> Option<OfLength<&Network>> {
        OfLength::new(&self.net, 5).ok()
    }
}

fn part(part: &mr_circuits::Part) -> (String, Region) {
    (part.site.clone(), Region::channels(part.channels.clone()))
}

fn near(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!(largest > 0.0, "{what}: there is something to compare");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= TOLERANCE * largest.max(1.0),
            "{what}, {at}: {found} and {expected}"
        );
    }
}

fn on_threads<T: Send>(threads: usize, job: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(job)
}

#[test]
fn scores_of_a_batch_are_the_means_of_its_examples() {
    for asked in [words(), clothes()] {
        let all: Vec<usize> = (0..EXAMPLES).collect();
        let whole = on_threads(4, || asked.means(&all));
        let alone = on_threads(1, || asked.means(&all));
        for ((_, alone), (what, expected)) in alone.iter().zip(&whole) {
            near(&format!("{what} on one thread"), alone, expected);
        }
        for size in [1, 2, 3] {
            let parts: Vec<_> = all.chunks(size).map(|rows| asked.means(rows)).collect();
            for (method, (what, expected)) in whole.iter().enumerate() {
                let mut mean = vec![0.0; expected.len()];
                for part in &parts {
                    for (mean, score) in mean.iter_mut().zip(&part[method].1) {
                        *mean += score / parts.len() as f32;
                    }
                }
                near(&format!("{what} in batches of {size}"), &mean, expected);
            }
        }
    }
}

/// Its scores are means of sizes, which do not add up: but a batch twice over has those of the batch.
#[test]
fn scores_with_the_corrections_of_atp_star_have_no_company() {
    let asked = words();
    let net = asked.sized().unwrap();
    let spots = Grid::heads(net.spec(), "z").unwrap().spots();
    let nodes: Vec<(String, Region)> = spots
        .into_iter()
        .map(|spot| (spot.site, spot.region))
        .collect();
    let scores = |rows: &[usize]| -> Vec<f32> {
        let (pair, labels) = asked.rows(rows);
        let found = atp_star(&net, &pair, &labels, asked.objective.as_ref(), &nodes).unwrap();
        found.iter().map(|node| node.score).collect()
    };
    let whole = scores(&[0, 1, 2]);
    near("twice", &scores(&[0, 1, 2, 0, 1, 2]), &whole);
    near("in another order", &scores(&[2, 0, 1]), &whole);
    near(
        "on four threads",
        &on_threads(4, || scores(&[0, 1, 2])),
        &whole,
    );
}

#[test]
fn sweeps_do_not_depend_on_batches_and_threads() {
    let asked = words();
    let net = asked.sized().unwrap();
    let spots = Grid::heads(net.spec(), "z").unwrap().spots();
    let question = Question::new(&asked.net, asked.objective.as_ref(), &asked.labels);
    let run = |batch_size: usize, threads: usize| {
        let sweep = Sweep {
            batch_size,
            threads,
        };
        let quiet = &mut |_, _| {};
        let found = sweep.patch(question, &asked.pair, Direction::Denoise, &spots, quiet);
        found.unwrap().patched.concat()
    };
    let whole = run(64, 1);
    for (batch_size, threads) in [(1, 1), (7, 1), (7, 4), (64, 3)] {
        near(
            &format!("{batch_size} on {threads}"),
            &run(batch_size, threads),
            &whole,
        );
    }
}

/// Of a chain of layers; that of a stream is tested beside the code.
#[test]
fn a_killed_discovery_in_a_chain_of_layers_goes_on_to_the_same_circuit() {
    let asked = clothes();
    let (pair, _) = asked.rows(&[0, 1]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let run = |journal| {
        acdc(
            &asked.net,
            &pair,
            &Ablation::Zero,
            1e-4,
            journal,
            &mut |_, _| {},
        )
    };
    let whole = run(None).unwrap();
    assert!(!whole.is_empty() && whole.len() < whole.edges());
    assert_eq!(run(Some(path.as_path())).unwrap(), whole);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert_eq!(run(Some(path.as_path())).unwrap(), whole);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
