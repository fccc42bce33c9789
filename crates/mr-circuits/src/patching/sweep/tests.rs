use burn::tensor::Device;
use mr_models::objective::{self, by_name};
use mr_models::{
    Architecture, Cache, ConvNet, DefenceConfig, Defended, Edit, Hook, Intervened, Labels, Mlp,
    Network, NormKind, OfLength, Region, Rewrite as Rewriting, class_tensor, floats,
    run_with_cache,
};

use super::*;
use crate::attribution::tests::{net, pair, shared};
use crate::patching::Grid;

fn copier() -> Network {
    // Two inputs, two hidden units that copy them, one logit for each.
    let mlp = Mlp {
        input: [2, 1, 1],
        hidden: vec![2],
        classes: 2,
        ..Mlp::default()
    };
    let identity = vec![1.0, 0.0, 0.0, 1.0];
    let named = vec![
        ("linear1.weight".into(), vec![2, 2], identity.clone()),
        ("linear1.bias".into(), vec![2], vec![0.0; 2]),
        ("linear2.weight".into(), vec![2, 2], identity),
        ("linear2.bias".into(), vec![2], vec![0.0; 2]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

fn input(values: [f32; 2]) -> Input {
    Tensor::<1>::from_floats(values, &Device::flex())
        .reshape([1, 2, 1, 1])
        .into()
}

fn hidden(regions: &[Region]) -> Vec<Spot> {
    let spots = regions.iter().cloned();
    spots
        .map(|region| Spot::new("linear1.hook_out", region))
        .collect()
}

fn copied(pair: &Pair, spots: &[Spot], direction: Direction) -> Result<Patches, CircuitError> {
    let labels = Labels::of_classes(&[0], &Device::flex());
    let net = copier();
    let question = Question::new(&net, &objective::Margin, &labels);
    Sweep::default().patch(question, pair, direction, spots, &mut |_, _| {})
}

#[test]
fn shares_of_the_difference_are_those_of_the_units() {
    // z_1 - z_0 is 1 - 3 = -2 when clean and 2 - 0 = 2 when corrupt.
    let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
    let spots = hidden(&[Region::channel(0), Region::channel(1), Region::default()]);
    for direction in [Direction::Denoise, Direction::Noise] {
        let found = copied(&pair, &spots, direction).unwrap();
        assert_eq!(found.mean_restored(), [0.75, 0.25, 1.0]);
        assert_eq!(found.restored(1, 0), 0.25);
    }
}

#[test]
fn ablated_units_are_what_the_ablation_says() {
    let net = copier();
    let labels = Labels::of_classes(&[0], &Device::flex());
    let question = Question::new(&net, &objective::Margin, &labels);
    let spots = hidden(&[Region::channel(0), Region::channel(1)]);
    let ablate = |ablation: &Ablation| {
        let input = input([3.0, 1.0]);
        let found = Sweep::default().ablate(question, &input, ablation, &spots, &mut |_, _| {});
        found.unwrap().patched.concat()
    };
    assert_eq!(ablate(&Ablation::Zero), [1.0, -3.0]);
    let others = Input::Real(Tensor::cat(
        vec![input([2.0, 4.0]).real(), input([4.0, 0.0]).real()],
        0,
    ));
    for mean in [
        Ablation::Mean(others.clone()),
        Ablation::PositionalMean(others),
    ] {
        assert_eq!(ablate(&mean), [1.0 - 3.0, 2.0 - 3.0]);
    }
    assert_eq!(ablate(&Ablation::Resample(input([0.0, 7.0]))), [1.0, 4.0]);
}

/// What one run of the whole model with one spot patched gives.
fn plain(question: Question<'_>, base: &Input, donor: &Input, spot: &Spot) -> Vec<f32> {
    struct Patching<'a> {
        spot: &'a Spot,
        with: Tensor<3>,
        cache: Cache,
    }
    impl Hook for Patching<'_> {
        fn wants(&self, site: &mr_models::Site) -> bool {
            site.name == self.spot.site || self.cache.wants(site)
        }

        fn at(&mut self, site: &mr_models::Site, mut now: Tensor<3>) -> Tensor<3> {
            if site.name == self.spot.site {
                let with = self.spot.region.cut(&self.with);
                now = self.spot.region.paste(now, with);
            }
            if self.cache.wants(site) {
                self.cache.at(site, now.clone());
            }
            now
        }
    }
    let Question {
        model,
        objective,
        labels,
    } = question;
    let (_, cache) = run_with_cache(model, donor, &[&spot.site]).unwrap();
    let mut patching = Patching {
        spot,
        with: cache.get(&spot.site).unwrap().clone(),
        cache: Cache::of(model.spec(), &objective.sites()).unwrap(),
    };
    let logits = model.run(base, &mut patching);
    floats(objective.value(&logits, &patching.cache, labels))
}

/// Every site as a whole, a position of each, a channel of each.
fn every_spot(spec: &mr_models::ModelSpec) -> Vec<Spot> {
    let regions = |site: &mr_models::Site| {
        [
            Region::default(),
            Region::position(site.positions - 1),
            Region::position(site.positions / 2),
            Region::channel(site.channels / 2),
            Region {
                positions: Some(site.positions / 2..site.positions),
                channels: Some(0..1),
            },
        ]
    };
    let sites = spec.sites.iter();
    sites
        .flat_map(|site| regions(site).map(|region| Spot::new(&site.name, region)))
        .collect()
}

fn same_as_plain(net: &Network, pair: &Pair, objectives: &[&str]) {
    let device = Device::flex();
    let labels = Labels::of_classes(&[1, 3], &device).with_target(class_tensor(&[2, 0], &device));
    for objective in objectives {
        let objective = by_name(objective).unwrap();
        let question = Question::new(net, objective.as_ref(), &labels);
        let spec = match pair.clean() {
            Input::Tokens(tokens) => net.spec().of_length(tokens.dims()[1]).unwrap(),
            Input::Real(_) => net.spec().clone(),
        };
        let spots = every_spot(&spec);
        let sweep = |batch_size, threads, pair: &Pair| {
            let sweep = Sweep {
                batch_size,
                threads,
            };
            let found = sweep.patch(question, pair, Direction::Noise, &spots, &mut |_, _| {});
            found.unwrap()
        };
        let found = sweep(32, 2, pair);
        for (spot, values) in spots.iter().zip(&found.patched) {
            let expected = plain(question, pair.clean(), pair.corrupt(), spot);
            for (value, expected) in values.iter().zip(&expected) {
                let near = (value - expected).abs() <= 1e-6 * expected.abs().max(1.0);
                assert!(
                    near,
                    "{spot}, {}: {value}, not {expected}",
                    objective.name()
                );
            }
        }
        assert_eq!(
            sweep(1, 1, pair),
            found,
            "batch size and threads count for nothing"
        );
        assert_eq!(sweep(7, 1, pair), found);
        let itself = Pair::new(pair.clean().clone(), pair.clean().clone()).unwrap();
        let itself = sweep(32, 2, &itself);
        assert!(
            itself.patched.iter().all(|values| *values == itself.base),
            "no change is none"
        );
        assert_eq!(itself.base, itself.donor);
    }
}

#[test]
fn a_sweep_finds_what_one_run_for_each_change_finds() {
    let of_logits = ["logit-difference(1, 2)", "last(answer-difference)"];
    same_as_plain(&net(NormKind::Layer), &pair(), &of_logits);
    same_as_plain(
        &net(NormKind::Layer),
        &pair(),
        &["last(margin) + raise(blocks.0.mlp.hook_post)"],
    );
    same_as_plain(&shared(), &pair(), &of_logits[1..]);
}

#[test]
fn maps_are_swept_alike() {
    let convnet = ConvNet {
        input: [1, 6, 6],
        widths: vec![3, 2],
        hidden: vec![4],
        classes: 4,
        ..ConvNet::default()
    };
    let net = Network::init(Architecture::Convnet(convnet), 0, &Device::flex()).unwrap();
    let image = |seed: usize| {
        let values: Vec<f32> = (0..72).map(|at| ((at * seed) % 17) as f32 / 17.0).collect();
        let values = burn::tensor::TensorData::new(values, [2, 1, 6, 6]);
        Input::Real(Tensor::from_data(values, &Device::flex()))
    };
    let pair = Pair::new(image(5), image(3)).unwrap();
    same_as_plain(&net, &pair, &["margin", "margin + raise(conv1.hook_out)"]);
}

#[test]
fn an_edited_model_is_swept_as_it_is() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let labels = Labels::of_classes(&[0, 1], &Device::flex());
    let edit = Edit::at("blocks.1.hook_mlp_out", Rewriting::Scale { factor: 2.0 });
    let edited = Intervened::new(&net, vec![edit]).unwrap();
    let last = by_name("last(margin)").unwrap();
    let question = Question::new(&edited, last.as_ref(), &labels);
    let spots = [
        Spot::whole("blocks.1.mlp.hook_post"),
        Spot::whole("blocks.0.attn.hook_z"),
    ];
    let found = Sweep::default().patch(question, &pair, Direction::Denoise, &spots, &mut |_, _| {});
    for (spot, values) in spots.iter().zip(found.unwrap().patched) {
        let expected = plain(question, pair.corrupt(), pair.clean(), spot);
        let gap = (values[0] - expected[0]).abs();
        assert!(gap < 1e-6 * expected[0].abs().max(1.0), "{spot}: {gap}");
    }
}

#[test]
fn heads_positions_and_channels_are_grids() {
    let net = net(NormKind::Layer);
    let sized = OfLength::new(&net, 4).unwrap();
    let heads = Grid::heads(sized.spec(), "z").unwrap();
    assert_eq!((heads.rows.len(), heads.columns.len()), (2, 2));
    assert_eq!(heads.spots()[3].to_string(), "blocks.1.attn.hook_z[:, 4:8]");
    let patterns = Grid::heads(sized.spec(), "pattern").unwrap();
    assert_eq!(
        patterns.spots()[1].to_string(),
        "blocks.0.attn.hook_pattern[:, 4:8]"
    );
    assert_eq!(Grid::heads(shared().spec(), "k").unwrap().columns.len(), 1);
    let positions = Grid::positions(sized.spec(), "resid_pre").unwrap();
    assert_eq!((positions.rows.len(), positions.columns.len()), (2, 4));
    let grid = Grid::channels(copier().spec(), &["linear1.hook_out"]).unwrap();
    assert_eq!(grid.spread(&[0.5, 0.25]), [[0.5, 0.25]]);
    let recurrent = mr_models::compiled::automaton(&Device::flex()).network;
    let usual = [&net, &copier(), &recurrent].map(|net| {
        let spots = Grid::of_network(net.spec()).unwrap().spots();
        spots.first().map(ToString::to_string).unwrap()
    });
    assert_eq!(usual[0], heads.spots()[0].to_string());
    assert_eq!(
        usual[1..],
        ["linear1.hook_out[:, 0]", "steps.0.hook_hidden"]
    );
    let error = |found: Result<Grid, CircuitError>| found.unwrap_err().to_string();
    assert!(error(Grid::heads(net.spec(), "zz")).contains("did you mean z"));
    assert!(error(Grid::heads(copier().spec(), "z")).contains("blocks.0.attn.hook_z"));
    assert!(error(Grid::positions(net.spec(), "resid_pr")).contains("resid_pre"));
}

#[test]
fn what_does_not_fit_is_named() {
    let error = Pair::new(
        input([0.0; 2]),
        Input::Real(Tensor::zeros([2, 2, 1, 1], &Device::flex())),
    );
    assert!(error.unwrap_err().to_string().contains("[1, 2, 1, 1]"));
    let pair = Pair::new(input([0.0; 2]), input([1.0; 2])).unwrap();
    let ask = |site: &str, region| {
        let found = copied(&pair, &[Spot::new(site, region)], Direction::Noise);
        found.unwrap_err().to_string()
    };
    assert!(ask("linear1.hook_ou", Region::default()).contains("did you mean linear1.hook_out"));
    assert!(ask("linear1.hook_out", Region::channel(2)).contains("it has 2"));
    let nan = Pair::new(input([0.0; 2]), input([f32::NAN, 1.0])).unwrap();
    let error = copied(&nan, &hidden(&[Region::channel(0)]), Direction::Noise).unwrap_err();
    assert!(error.to_string().contains("example 0 is NaN"), "{error}");
    let net = copier();
    let labels = Labels::of_classes(&[0, 1], &Device::flex());
    let question = Question::new(&net, &objective::Margin, &labels);
    let found = Sweep::default().patch(question, &pair, Direction::Noise, &[], &mut |_, _| {});
    assert!(
        found
            .unwrap_err()
            .to_string()
            .contains("2 labels for 1 examples")
    );
    let labels = Labels::of_classes(&[0], &Device::flex());
    let question = Question::new(&net, &objective::KlDivergence, &labels);
    let found = Sweep::default().patch(question, &pair, Direction::Noise, &[], &mut |_, _| {});
    let error = found.unwrap_err().to_string();
    assert!(error.contains("reference logits are none"), "{error}");
    let noise: DefenceConfig = "noise=0.1".parse().unwrap();
    let random = Defended::by_config(net, &[noise]).unwrap();
    let question = Question::new(&random, &objective::Margin, &labels);
    let found = Sweep::default().patch(question, &pair, Direction::Noise, &[], &mut |_, _| {});
    let error = found.unwrap_err().to_string();
    assert!(error.contains("draws random numbers"), "{error}");
}
