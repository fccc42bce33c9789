use burn::tensor::{Device, Int, Tensor};
use mr_models::objective::{LogitDifference, Margin};
use mr_models::{Labels, Model, NormKind, Objective, Place, predictions};

use super::*;
use crate::attribution::tests as transformer;
use crate::error::CircuitError;
use crate::layered::tests::{convnet, copy, input, pair, resnet};
use crate::pair::Pair;

const DIFFERENCE: LogitDifference = LogitDifference { more: 1, less: 0 };

fn labels(pair: &Pair) -> Labels {
    Labels::of_classes(&vec![0; pair.clean().batch()], &Device::flex())
}

fn split(
    model: &dyn Model,
    pair: &Pair,
    objective: &dyn Objective,
    front: &Front,
) -> Result<Damage, CircuitError> {
    let integration = Integration::default();
    let labels = labels(pair);
    damage(
        model,
        pair,
        &labels,
        objective,
        front,
        &integration,
        &mut |_, _| {},
    )
}

fn channels(model: &dyn Model, place: &str) -> Front {
    Front::channels(model.spec(), &Place::from(place.to_string())).unwrap()
}

#[test]
fn shares_of_a_net_that_copies_are_the_changes() {
    let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
    let net = copy();
    for place in [
        "input",
        "linear1.hook_pre",
        "linear1.hook_out",
        "linear2.hook_out",
    ] {
        let front = channels(&net, place);
        let found = split(&net, &pair, &DIFFERENCE, &front).unwrap();
        // z_1 - z_0 rises from -2 to 2: by 3 through the first unit, by 1 through the second.
        assert_eq!(found.shares, [[3.0, 1.0]], "{place}");
        assert_eq!(found.change, [4.0]);
        assert!(found.completeness_error() < f64::EPSILON);
        assert_eq!(found.ranked(), [0, 1]);
    }
    assert_eq!(channels(&net, "linear1.hook_out").name(1), "linear1.n1");
    assert_eq!(
        channels(&net, "linear2.hook_out").name(1),
        "linear2.hook_out[1]"
    );
    let by_edge = edge_damage(
        &net,
        &pair,
        &labels(&pair),
        &DIFFERENCE,
        &Integration::default(),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(by_edge[0].scores.get("input.c0->linear1.n0").unwrap(), 3.0);
    assert_eq!(by_edge[1].scores.get("linear1.n1->logits").unwrap(), 1.0);
}

/// Everything passes every layer: each splits the same change.
#[test]
fn every_layer_of_a_chain_is_complete() {
    let (net, pair) = (convnet(), pair());
    let sites = net.spec().sites.iter().map(|site| site.name.as_str());
    let objectives: [&dyn Objective; 2] = [&Margin, &DIFFERENCE];
    for objective in objectives {
        let mut changes = Vec::new();
        for place in sites.clone().chain(["input"]) {
            let found = split(&net, &pair, objective, &channels(&net, place)).unwrap();
            let error = found.completeness_error();
            assert!(error < 0.01, "{place}: {error} after {:?}", found.steps);
            changes.push(found.change);
        }
        assert!(changes.iter().all(|change| *change == changes[0]));
    }
}

/// What a skip leads past is no front by itself.
#[test]
fn layers_that_everything_passes_are_complete() {
    for (net, expected) in [
        (
            convnet(),
            &["conv1.hook_out", "conv2.hook_out", "linear1.hook_out"][..],
        ),
        (
            resnet(),
            &["conv1.hook_out", "layer1.0.hook_out", "layer2.0.hook_out"],
        ),
    ] {
        let fronts = Front::layers(net.spec()).unwrap();
        let places = fronts.iter().map(|front| front.place.to_string());
        assert_eq!(places.collect::<Vec<_>>(), expected);
        for front in &fronts {
            let found = split(&net, &pair(), &Margin, front).unwrap();
            let error = found.completeness_error();
            assert!(error < 0.01, "{}: {error}", front.place);
        }
    }
}

/// The shares of edges into a layer, and of those around it, add up to the change.
#[test]
fn edges_to_each_layer_are_complete() {
    let (same, wider) = (2, 2 * 4);
    for (net, expected) in [
        (convnet(), vec![2 * 3, 3 * 4, 4 * 5, 5]),
        (
            resnet(),
            vec![4, 4 + same, 4 + same, 8 + wider, 16 + wider, 4],
        ),
    ] {
        let pair = pair();
        let found = edge_damage(
            &net,
            &pair,
            &labels(&pair),
            &Margin,
            &Integration::default(),
            &mut |_, _| {},
        );
        let found = found.unwrap();
        let edges = found.iter().map(|layer| layer.scores.scores.len());
        assert_eq!(edges.collect::<Vec<_>>(), expected);
        for layer in found {
            assert!(layer.completeness_error() < 0.01, "{}", layer.site);
        }
    }
}

/// At the end of a residual stream its writers are, whatever normalises it; in its middle heads are not.
#[test]
fn writers_of_a_stream_are_complete() {
    let pair = transformer::pair();
    for norm in [NormKind::None, NormKind::Layer] {
        let net = transformer::net(norm);
        let front = Front::writers(net.spec()).unwrap();
        assert_eq!(front.name(1), "a0.h0");
        let found = split(&net, &pair, &DIFFERENCE, &front).unwrap();
        assert!(
            found.completeness_error() < 0.01,
            "{:?}",
            found.completeness_error()
        );
        let edges = edge_damage(
            &net,
            &pair,
            &labels(&pair),
            &DIFFERENCE,
            &Integration::default(),
            &mut |_, _| {},
        );
        let share = edges.unwrap()[0].scores.get("m1->logits").unwrap();
        assert!((f64::from(share) - found.mean()[6]).abs() < 1e-6);
        let part = channels(&net, "blocks.0.attn.hook_z");
        let coarse = Integration {
            most: 32,
            ..Integration::default()
        };
        let labels = labels(&pair);
        let part = damage(
            &net,
            &pair,
            &labels,
            &DIFFERENCE,
            &part,
            &coarse,
            &mut |_, _| {},
        );
        let part = part.unwrap();
        assert!(part.completeness_error() > 0.1);
    }
}

#[test]
fn shares_do_not_depend_on_the_company() {
    let (net, pair) = (convnet(), pair());
    let front = channels(&net, "conv1.hook_out");
    let both = split(&net, &pair, &Margin, &front).unwrap();
    let row = Tensor::<1, Int>::from_ints([1], &Device::flex());
    let alone = Pair::new(pair.clean().select(row.clone()), pair.corrupt().select(row));
    let alone = split(&net, &alone.unwrap(), &Margin, &front).unwrap();
    assert_eq!(alone.steps[0], both.steps[1]);
    for (a, b) in alone.shares[0].iter().zip(&both.shares[1]) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
}

#[test]
fn all_parts_restored_are_the_clean_run_and_none_the_adversarial() {
    let (net, pair) = (convnet(), pair());
    let of = |input| predictions(&net.logits(input)).concat();
    let (clean, corrupt) = (of(pair.clean()), of(pair.corrupt()));
    for place in ["input", "conv1.hook_out", "linear1.hook_pre"] {
        let front = channels(&net, place);
        let ranking: Vec<usize> = (0..front.parts.len()).collect();
        let counts = [0, ranking.len()];
        let orders = Orders {
            ranking: &ranking,
            counts: &counts,
            seeds: &[0, 1],
        };
        let restored = |truth: &[usize]| {
            let mut runs = 0;
            let mut told = |done, of| runs = runs.max(done * usize::from(of == 6));
            let found = restore(&net, &pair, truth, &front, orders, &mut told).unwrap();
            assert_eq!(runs, 6);
            assert_eq!(found.random, [found.ranked.clone(), found.ranked.clone()]);
            found.accuracy()
        };
        assert_eq!(restored(&clean)[1], 1.0, "{place}");
        assert_eq!(restored(&corrupt)[0], 1.0, "{place}");
    }
}

#[test]
fn the_most_damaged_part_restores_first() {
    let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
    let net = copy();
    let front = channels(&net, "linear1.hook_out");
    let curve = |ranking: &[usize]| {
        let orders = Orders {
            ranking,
            counts: &[0, 1, 2],
            seeds: &[],
        };
        restore(&net, &pair, &[0], &front, orders, &mut |_, _| {})
            .unwrap()
            .ranked
    };
    // (3, 2) is class 0 again, (0, 1) is not.
    assert_eq!(curve(&[0, 1]), [0, 1, 1]);
    assert_eq!(curve(&[1, 0]), [0, 0, 1]);
}

/// Two examples that are each broken by another unit: one ranking restores one of them first.
#[test]
fn each_example_has_its_own_worst_part() {
    let two = |a: [f32; 2], b: [f32; 2]| {
        let rows = [a, b].map(|row| input(row).real());
        mr_models::Input::Real(Tensor::cat(rows.into(), 0))
    };
    let pair = Pair::new(two([3.0, 1.0], [3.0, 1.0]), two([0.0, 2.0], [2.0, 5.0])).unwrap();
    let net = copy();
    let front = channels(&net, "linear1.hook_out");
    let found = split(&net, &pair, &DIFFERENCE, &front).unwrap();
    assert_eq!(found.shares, [[3.0, 1.0], [1.0, 4.0]]);
    let counts = [0, 1, 2];
    let own = restore_own(&net, &pair, &[0, 0], &found, &counts).unwrap();
    assert_eq!(own, [0, 2, 2]);
    // A net that copies has no parts that interact: 2 - 3 and 3 - 4 are below 0.
    assert_eq!(found.adversarial, [2.0, 3.0]);
    assert_eq!(found.foretold(&counts), own);
    // Of changes of 4 and 5.
    assert!((found.needed() - f64::midpoint(2.0 / 4.0, 3.0 / 5.0)).abs() < 1e-6);
    let ranking = found.ranked();
    assert_eq!(ranking, [1, 0]);
    let orders = Orders {
        ranking: &ranking,
        counts: &counts,
        seeds: &[],
    };
    let one = restore(&net, &pair, &[0, 0], &front, orders, &mut |_, _| {}).unwrap();
    assert_eq!(one.ranked, [0, 1, 2]);
}

/// An edge carries its clean part; all edges of a layer together put it back.
#[test]
fn edges_are_restored() {
    let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
    let net = copy();
    let edges = &net.spec().wiring.edges()[..4];
    let orders = Orders {
        ranking: &[0, 3, 1, 2],
        counts: &[0, 1, 4],
        seeds: &[0],
    };
    let mut found = restore_edges(&net, &pair, &[0], edges, orders, &mut |_, _| {}).unwrap();
    assert_eq!(found.ranked, [0, 1, 1]);
    assert_eq!(found.random[0][2], 1);
    found.add(&found.clone());
    assert_eq!((found.ranked.clone(), found.examples), (vec![0, 2, 2], 2));
    assert_eq!(found.random_accuracy()[0][0], 0.0);
}

/// All heads and MLPs put back, and the embedding, is the clean run.
#[test]
fn writers_are_restored_all_at_once() {
    let (net, pair) = (transformer::net(NormKind::Layer), transformer::pair());
    let front = Front::writers(net.spec()).unwrap();
    let truth: Vec<usize> = predictions(&net.logits(pair.clean()))
        .iter()
        .map(|row| row[0])
        .collect();
    let ranking: Vec<usize> = (0..front.parts.len()).collect();
    let orders = Orders {
        ranking: &ranking,
        counts: &[ranking.len()],
        seeds: &[],
    };
    let found = restore(&net, &pair, &truth, &front, orders, &mut |_, _| {}).unwrap();
    assert_eq!(found.accuracy(), [1.0]);
}

#[test]
fn what_cannot_be_split_is_told() {
    let net = copy();
    let front = channels(&net, "linear1.hook_out");
    let pair = Pair::new(input([3.0, 1.0]), input([f32::NAN, 2.0])).unwrap();
    let error = split(&net, &pair, &DIFFERENCE, &front).unwrap_err();
    assert!(error.to_string().contains("example 0"), "{error}");
    let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
    let none = Integration {
        steps: 0,
        ..Integration::default()
    };
    let error = damage(
        &net,
        &pair,
        &labels(&pair),
        &Margin,
        &front,
        &none,
        &mut |_, _| {},
    );
    assert!(error.unwrap_err().to_string().contains("1 or more"));
    let place = Place::site("linear1.hook_ou");
    let error = Front::channels(net.spec(), &place).unwrap_err();
    assert!(error.to_string().contains("did you mean"), "{error}");
    assert!(Front::writers(net.spec()).is_err());
    let orders = Orders {
        ranking: &[0, 1],
        counts: &[3],
        seeds: &[],
    };
    let error = restore(&net, &pair, &[0], &front, orders, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("3 parts"), "{error}");
    let tokens = transformer::net(NormKind::Layer);
    let error = Front::channels(tokens.spec(), &Place::Input).unwrap_err();
    assert!(error.to_string().contains("tokens") || error.to_string().contains("token"));
}
