mod golden;

use burn::tensor::{Device, Tensor};
use mr_models::objective::LogitDifference;
use mr_models::{
    Architecture, Input, Network, NormKind, Rnn, Tap, floats, run_with_cache, values_at,
};

use super::*;
use crate::attribution::tests::{net, pair};

const DIFFERENCE: LogitDifference = LogitDifference { more: 2, less: 5 };

fn labels() -> Labels {
    Labels::of_classes(&[0, 0], &Device::flex())
}

fn value(net: &Network, input: &Input, taps: &[Tap]) -> f32 {
    let (values, _) = values_at(net, input, &labels(), &DIFFERENCE, taps).unwrap();
    floats(values).iter().sum::<f32>() / 2.0
}

/// Where nothing normalises the last stream, logits are linear in it, and what all writers carry to the
/// logits is the whole difference.
#[test]
fn edges_to_linear_logits_are_complete() {
    let (net, pair) = (net(NormKind::None), pair());
    for path in [Path::Clean, Path::Inputs(5)] {
        let found = edge_attribution(&net, &pair, &labels(), &DIFFERENCE, path).unwrap();
        let last = found.wiring.readers.len() - 1;
        let to_logits = found.scores.iter().filter(|(edge, _)| edge.reader == last);
        let sum: f32 = to_logits.map(|(_, score)| score).sum();
        let whole = value(&net, pair.corrupt(), &[]) - value(&net, pair.clean(), &[]);
        assert!(
            (sum - whole).abs() < 1e-4 * whole.abs().max(1.0),
            "{sum} for {whole}"
        );
    }
}

/// Every score is the slope of the objective as the reader, and it alone, gets more of what the writer
/// changes.
#[test]
fn scores_are_slopes_along_what_an_edge_carries() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let found = edge_attribution(&net, &pair, &labels(), &DIFFERENCE, Path::Clean).unwrap();
    assert_eq!(found.scores.len(), found.wiring.edges().len());
    let largest = found
        .scores
        .iter()
        .fold(0.0_f32, |all, (_, s)| all.max(s.abs()));
    for &(edge, score) in &found.scores {
        let (writer, reader) = (
            &found.wiring.writers[edge.writer],
            &found.wiring.readers[edge.reader],
        );
        let at = |input| {
            let (_, cache) = run_with_cache(&net, input, &[&writer.site, &reader.site]).unwrap();
            (
                cache.get(&writer.site).unwrap().clone(),
                cache.get(&reader.site).unwrap().clone(),
            )
        };
        let (clean, read) = at(pair.clean());
        let change = (at(pair.corrupt()).0 - clean).slice_dim(2, writer.channels.clone());
        let moved = |step: f32| {
            let all = Tensor::zeros(read.dims(), &read.device());
            let [batch, positions, _] = read.dims();
            let place = [0..batch, 0..positions, reader.channels.clone()];
            let added = Some(all.slice_assign(place, change.clone() * step));
            let site = reader.site.clone();
            value(&net, pair.clean(), &[Tap { site, added }])
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        let name = found.wiring.name(edge);
        assert!(
            (slope - score).abs() < 1e-2 * largest,
            "{name}: {score} for {slope}"
        );
        assert_eq!(found.get(&name).unwrap(), score);
    }
    let ranked = found.ranked();
    assert!((ranked[0].1.abs() - largest).abs() < f32::EPSILON);
}

#[test]
fn a_path_of_one_step_is_its_end_and_longer_ones_differ() {
    let (net, pair) = (net(NormKind::Layer), pair());
    let of = |path| edge_attribution(&net, &pair, &labels(), &DIFFERENCE, path).unwrap();
    assert_eq!(of(Path::Clean), of(Path::Inputs(1)));
    assert_ne!(of(Path::Clean), of(Path::Inputs(2)));
}

#[test]
fn a_pair_of_equals_carries_nothing() {
    let same = Pair::new(pair().clean().clone(), pair().clean().clone()).unwrap();
    let net = net(NormKind::Layer);
    let found = edge_attribution(&net, &same, &labels(), &DIFFERENCE, Path::Clean).unwrap();
    assert!(found.scores.iter().all(|(_, score)| *score == 0.0));
}

#[test]
fn what_cannot_be_is_told() {
    let (deep, pair) = (net(NormKind::Layer), pair());
    let error = edge_attribution(&deep, &pair, &labels(), &DIFFERENCE, Path::Inputs(0));
    assert!(error.unwrap_err().to_string().contains("1 or more"));
    let rnn = Architecture::Rnn(Rnn::default());
    let rnn = Network::init(rnn, 0, &Device::flex()).unwrap();
    let error = edge_attribution(&rnn, &pair, &labels(), &DIFFERENCE, Path::Clean);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("`rnn` has no edges")
    );
    let found = edge_attribution(&deep, &pair, &labels(), &DIFFERENCE, Path::Clean).unwrap();
    let error = found.get("m1->m0").unwrap_err().to_string();
    assert!(error.contains("did you mean"), "{error}");
}
