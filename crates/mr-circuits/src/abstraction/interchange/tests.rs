use burn::tensor::{Device, Tensor};
use mr_models::{Architecture, Mlp, Network};

use super::*;

/// `a + b + c` of bits, by hand: hidden units `h0 = a + b`, `h1 = c` and `h2 = a + b` once more, of which
/// the third reaches nothing; logit k is `k (h0 + h1) - k^2 / 2`, largest at the sum.
pub(in super::super) fn net() -> Network {
    let mlp = Mlp {
        input: [3, 1, 1],
        hidden: vec![3],
        classes: 4,
        ..Mlp::default()
    };
    let hidden = vec![1., 1., 0., 0., 0., 1., 1., 1., 0.];
    let out: Vec<f32> = (0..4).flat_map(|k| [k as f32, k as f32, 0.0]).collect();
    let named = vec![
        ("linear1.weight".into(), vec![3, 3], hidden),
        ("linear1.bias".into(), vec![3], vec![0.0; 3]),
        ("linear2.weight".into(), vec![4, 3], out),
        ("linear2.bias".into(), vec![4], vec![0., -0.5, -2., -4.5]),
    ];
    Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
}

pub(in super::super) fn sum() -> CausalModel {
    let add = |values: &[usize]| values[0] + values[1];
    CausalModel::default()
        .input("a", 2)
        .and_then(|model| model.input("b", 2))
        .and_then(|model| model.input("c", 2))
        .and_then(|model| model.computed("ab", 3, &["a", "b"], add))
        .and_then(|model| model.computed("abc", 4, &["ab", "c"], add))
        .unwrap()
}

pub(in super::super) fn encode(rows: &[Vec<usize>], device: &Device) -> Input {
    let values: Vec<f32> = rows.iter().flatten().map(|&value| value as f32).collect();
    let values = Tensor::<1>::from_floats(values.as_slice(), device);
    values.reshape([rows.len(), 3, 1, 1]).into()
}

fn at(variable: &str, region: Region, subspace: Option<Subspace>) -> Aligned {
    Aligned {
        variable: variable.into(),
        site: "linear1.hook_out".into(),
        region,
        subspace,
    }
}

/// Over all 64 pairs of inputs.
fn accuracy(aligned: Aligned) -> f64 {
    let causal = sum();
    let all = causal.all_inputs();
    let pairs: Vec<Interchange> = all
        .iter()
        .flat_map(|base| {
            all.iter().map(|source| Interchange {
                base: base.clone(),
                sources: vec![Some(source.clone())],
            })
        })
        .collect();
    let task = Task {
        causal: &causal,
        encode: &encode,
    };
    interchange(&net(), &task, &[aligned], &pairs)
        .unwrap()
        .accuracy()
}

#[test]
fn the_unit_that_holds_a_variable_is_told_from_those_that_do_not() {
    assert_eq!(accuracy(at("ab", Region::channel(0), None)), 1.0);
    assert_eq!(accuracy(at("c", Region::channel(1), None)), 1.0);
    // Nothing is changed: right where the sums a + b agree, which are (1, 2, 1) of 4.
    assert_eq!(accuracy(at("ab", Region::channel(2), None)), 6.0 / 16.0);
    // c takes the place of a + b: right where c' + c is what a' + b' + c is, c' = a' + b'; 4 of 8 sources.
    assert_eq!(accuracy(at("ab", Region::channel(1), None)), {
        let all = sum().all_inputs();
        let pairs = all
            .iter()
            .flat_map(|base| all.iter().map(move |source| (base, source)));
        let right = pairs.filter(|(base, source)| {
            base[0] + base[1] + source[2] == source[0] + source[1] + base[2]
        });
        right.count() as f64 / 64.0
    });
}

#[test]
fn a_subspace_holds_what_the_unit_along_it_holds() {
    let along = |direction: &[f32]| Some(Subspace::spanned(direction, 3).unwrap());
    assert_eq!(
        accuracy(at("ab", Region::default(), along(&[1.0, 0.0, 0.0]))),
        1.0
    );
    assert_eq!(
        accuracy(at("c", Region::default(), along(&[0.0, -2.0, 0.0]))),
        1.0
    );
    // Both copies together move the one that is read too.
    let both = along(&[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(accuracy(at("ab", Region::default(), both)), 1.0);
    // Halfway between a + b and c: half of each is exchanged.
    assert!(accuracy(at("ab", Region::default(), along(&[1.0, 1.0, 0.0]))) < 1.0);
}

#[test]
fn two_variables_are_exchanged_at_once_or_one_is_left_alone() {
    let causal = sum();
    let task = Task {
        causal: &causal,
        encode: &encode,
    };
    let alignment = [
        at("ab", Region::channel(0), None),
        at("c", Region::channel(1), None),
    ];
    let drawn = causal.draw(2, 100, 0);
    let found = interchange(&net(), &task, &alignment, &drawn).unwrap();
    assert_eq!(found.accuracy(), 1.0);
    let outputs: std::collections::BTreeSet<_> = found.found.iter().collect();
    assert_eq!(outputs.len(), 4, "every sum occurs");
}

#[test]
fn bad_alignments_are_named() {
    let causal = sum();
    let task = Task {
        causal: &causal,
        encode: &encode,
    };
    let pair = Interchange {
        base: vec![0, 0, 0],
        sources: vec![Some(vec![1, 1, 1])],
    };
    let ask = |alignment: &[Aligned], pair: &Interchange| {
        let found = interchange(&net(), &task, alignment, std::slice::from_ref(pair));
        found.unwrap_err().to_string()
    };
    let whole = |variable| at(variable, Region::default(), None);
    assert!(ask(&[whole("abd")], &pair).contains("unknown variable `abd`"));
    assert!(ask(&[whole("ab"), whole("c")], &pair).contains("1 sources for 2"));
    assert!(ask(&[whole("ab"), whole("ab")], &pair).contains("aligned twice"));
    assert!(ask(&[at("ab", Region::channel(7), None)], &pair).contains("it has 3"));
    let narrow = Some(Subspace::spanned(&[1.0, 0.0], 2).unwrap());
    assert!(ask(&[at("ab", Region::default(), narrow)], &pair).contains("`linear1.hook_out`"));
    let short = Interchange {
        base: vec![0, 0],
        ..pair
    };
    assert!(ask(&[whole("ab")], &short).contains("2 inputs for a causal model of 3"));
}
