//! The README's Rust: every line of it stands here too, is compiled and runs.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use mr_attacks::{Aimed, Apgd, Attack, EvaluationConfig, Goal, Norm, Pgd, ThreatModel, evaluate};
use mr_circuits::{
    Ablation, Circuit, Cut, Direction, Grid, Pair, Question, Ranking, Sweep, edge_attribution,
};
use mr_metrics::superposition::{FeatureWeights, effective_number};
use mr_models::data::{DataConfig, Dataset, Split, load as load_data};
use mr_models::{
    Architecture, ConvNet, Edit, Intervened, Model, Network, Place, Region, Rewrite, load,
    objective, save, value_and_grad,
};
use mr_sae::{ErrorTerm, LatentEdit, Splice, Spliced};
use mr_train::{Activations, DictionaryConfig, TrainConfig, Trainer, fit_tied};

type Result = std::result::Result<(), Box<dyn Error>>;

fn data(split: Split, limit: usize) -> Dataset {
    let config = DataConfig {
        limit: Some(limit),
        ..DataConfig::default()
    };
    load_data(&config, split).unwrap()
}

#[test]
#[rustfmt::skip]
fn what_the_readme_shows_runs() -> Result {
    let device = Device::flex();
    let lab = tempfile::tempdir()?;
    std::env::set_current_dir(lab.path())?;
    let small = ConvNet { widths: vec![4, 8], hidden: vec![8], ..ConvNet::default() };
    let net = Network::init(Architecture::Convnet(small), 0, &device)?;
    save(&net, &serde_json::Map::default(), Path::new("runs/convnet/model.safetensors"))?;
    let (train, test) = (data(Split::Train, 32), data(Split::Test, 8));
    let (images, labels) = (test.input(&[0, 1], &device), test.labels_of(&[0, 1], &device));
    let folder = Path::new("runs/robust");

    let net = load(Path::new("runs/convnet/model.safetensors"), None, &device)?.network;
    let places = [Place::Input, Place::site("conv2.hook_out")];
    let at = value_and_grad(&net, &images, &labels, &objective::Margin, &places)?;
    let (saliency, attribution) = (at.input(), at.site("conv2.hook_out"));

    let ablated = Intervened::new(&net, vec![Edit::at("conv2.hook_out", Rewrite::Zero).within(Region::channel(3))])?;
    assert_eq!((saliency.dims(), attribution.dims()[2]), ([2, 1, 28, 28], 8));

    let threat = ThreatModel::new(Norm::Linf, 0.1);
    let pgd = Pgd { steps: 40, ..Pgd::default() };
    let found = evaluate(&ablated, &test, &threat, &Goal::Untargeted, &[&pgd], &EvaluationConfig::default())?;
    println!("clean {:.3}, robust {:.3}", found.clean_accuracy(), found.robust_accuracy());

    let feature = objective::by_name("shift(conv2.hook_out) - 10 kl")?;      // features move, logits stay
    let aimed = Aimed { attack: Apgd::default(), objective: feature.into() };
    let latent = ThreatModel::new(Norm::L2, 1.0).at(Place::site("conv1.hook_out"));
    let attacks: [&dyn Attack; 1] = [&aimed];
    evaluate(&net, &test, &latent, &Goal::Untargeted, &attacks, &EvaluationConfig::default())?;

    let (clean, adversarial) = (images.clone(), test.input(&[2, 3], &device));
    circuits(&net, clean, adversarial, &labels)?;

    let config: TrainConfig = toml::from_str(r#"
    epochs = 5
    [loss]
    type = "adversarial"
    threat = { norm = "Linf", epsilon = 0.1 }
"#)?;
    let trained = Trainer::new(config, net, &train)?.resume_or_start(folder)?.run(&mut |_| ControlFlow::Continue(()))?;

    let activations = Activations::of_site(&trained.network, &test, "linear1.hook_out", 10_000, 0)?;
    let dictionary = fit_tied(&activations, &DictionaryConfig::default(), &device)?;

    let splice = Splice::new(Arc::new(dictionary.dictionary), "linear1.hook_out", ErrorTerm::Kept);
    let edited = Spliced::new(&trained.network, vec![splice.edited(LatentEdit::ablate(vec![7]))])?;   // a model again
    assert_eq!(edited.logits(&images).dims(), [2, 1, 10]);

    let w = Tensor::<2>::ones([2, 3], &device);
    let features = effective_number(&dictionary.stats.activity)?;       // exp of the entropy of activity
    let weights = FeatureWeights::new(&w)?;                             // of a toy's W
    println!("{} features per dimension", weights.features_per_dimension());
    assert!(features > 0.0);
    Ok(())
}

#[rustfmt::skip]
fn circuits(net: &Network, clean: mr_models::Input, adversarial: mr_models::Input, labels: &mr_models::Labels) -> Result {
    use mr_circuits::Path;

    let pair = Pair::new(clean, adversarial)?;
    let channels = Grid::channels(net.spec(), &["conv2.hook_out"])?.spots();
    let question = Question::new(&net, &objective::Margin, labels);
    let patched = Sweep::default().patch(question, &pair, Direction::Denoise, &channels, &mut |_, _| {})?;
    println!("restored by each channel: {:?}", patched.mean_restored());

    let scores = edge_attribution(&net, &pair, labels, &objective::Margin, Path::Inputs(5))?;
    let circuit = Circuit::greedy(scores, 50, Ranking::Absolute)?;
    let alone = Cut::new(net, &circuit.cut_edges(), &Ablation::Resample(pair.corrupt().clone()))?;   // a model again
    assert_eq!(alone.logits(pair.clean()).dims(), [2, 1, 10]);
    Ok(())
}

#[test]
fn every_line_of_the_readme_stands_here() {
    let (readme, here) = (include_str!("../README.md"), include_str!("readme.rs"));
    let own: Vec<&str> = here.lines().map(str::trim).collect();
    let blocks = readme.split("```rust\n").skip(1);
    let lines = blocks.flat_map(|rest| rest.split("```").next().unwrap_or_default().lines());
    let missing: Vec<&str> = lines
        .map(str::trim)
        .filter(|line| !own.contains(line))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
