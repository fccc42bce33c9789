use mr_models::{
    Architecture, Labels, Mlp, Network, Place, floats, objective, run_with_cache, value_and_grad,
};

use super::*;
use crate::{Arrangement, Relu, Sae, SaeConfig, TopK};

fn net() -> Network {
    let mlp = Mlp {
        input: [1, 2, 2],
        hidden: vec![5, 5],
        classes: 3,
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap()
}

fn input() -> Input {
    let values: Vec<f32> = (0..12).map(|i| (i * 5 % 7) as f32 / 7.0).collect();
    let data = TensorData::new(values, [3, 1, 2, 2]);
    Input::Real(Tensor::from_data(data, &Device::flex()))
}

fn sites() -> Vec<String> {
    let wide = |site: &&Site| site.channels == 5;
    let net = net();
    let sites = net.spec().sites.iter().filter(wide);
    sites.map(|site| site.name.clone()).collect()
}

fn sae(config: SaeConfig) -> Arc<dyn Dictionary> {
    Arc::new(Sae::init(config, 1, &Device::flex()).unwrap())
}

fn splice(error: ErrorTerm) -> Splice {
    Splice::new(sae(SaeConfig::new(5, 12, TopK::new(2))), &sites()[0], error)
}

#[test]
fn a_kept_error_changes_nothing_and_a_dropped_one_leaves_the_reconstruction() {
    let (net, input, site) = (net(), input(), sites()[0].clone());
    let plain = floats(net.logits(&input));
    let logits = |splice| floats(Spliced::new(&net, vec![splice]).unwrap().logits(&input));
    assert_eq!(logits(splice(ErrorTerm::Kept)), plain);
    // An edit that changes nothing changes no bit either.
    let none = LatentEdit {
        latents: None,
        positions: None,
        change: LatentChange::Add { value: 0.0 },
    };
    assert_eq!(logits(splice(ErrorTerm::Kept).edited(none)), plain);
    for (a, b) in logits(splice(ErrorTerm::Constant)).iter().zip(&plain) {
        assert!((a - b).abs() < 1e-6);
    }
    assert_ne!(logits(splice(ErrorTerm::Dropped)), plain);
    // Hooks see what the dictionary wrote.
    let spliced = Spliced::new(&net, vec![splice(ErrorTerm::Dropped)]).unwrap();
    let (_, seen) = run_with_cache(&spliced, &input, &[&site]).unwrap();
    let (_, before) = run_with_cache(&net, &input, &[&site]).unwrap();
    let x = samples(before.expect(&site).clone());
    let made = splice(ErrorTerm::Dropped).dictionary.reconstruct(x);
    assert_eq!(floats(seen.expect(&site).clone()), floats(made));
}

#[test]
fn latents_are_ablated_set_and_steered() {
    let (net, input, site) = (net(), input(), sites()[0].clone());
    let (_, plain) = run_with_cache(&net, &input, &[&site]).unwrap();
    let plain = floats(plain.expect(&site).clone());
    let dictionary = sae(SaeConfig::new(5, 12, Relu::default()));
    let directions = floats(dictionary.directions());
    let device = Device::flex();
    let x = Tensor::<2>::from_data(TensorData::new(plain.clone(), [3, 5]), &device);
    let codes = floats(dictionary.encode(x));
    let at = |change| {
        let edit = LatentEdit {
            latents: Some(vec![4]),
            positions: None,
            change,
        };
        let splice = Splice::new(Arc::clone(&dictionary), &site, ErrorTerm::Kept).edited(edit);
        let spliced = Spliced::new(&net, vec![splice]).unwrap();
        let (_, seen) = run_with_cache(&spliced, &input, &[&site]).unwrap();
        floats(seen.expect(&site).clone())
    };
    let check = |change, by: &dyn Fn(f32) -> f32| {
        for (example, row) in at(change).chunks(5).enumerate() {
            let by = by(codes[example * 12 + 4]);
            for (channel, &value) in row.iter().enumerate() {
                let expected = plain[example * 5 + channel] + by * directions[4 * 5 + channel];
                assert!((value - expected).abs() < 1e-5, "{value} {expected}");
            }
        }
    };
    check(LatentChange::Set { value: 0.0 }, &|z| -z);
    check(LatentChange::Set { value: 2.0 }, &|z| 2.0 - z);
    check(LatentChange::Become { values: vec![1.5] }, &|z| 1.5 - z);
    check(LatentChange::Add { value: 0.5 }, &|_| 0.5);
    check(LatentChange::Scale { factor: 3.0 }, &|z| 2.0 * z);
}

#[test]
fn gradients_pass_through_latents_alone_where_the_error_is_a_constant() {
    let (net, input) = (net(), input());
    let labels = Labels::of_classes(&[0, 1, 2], &Device::flex());
    let objective = objective::by_name("cross-entropy").unwrap();
    let slope = |model: &dyn Model| {
        let found = value_and_grad(model, &input, &labels, objective.as_ref(), &[Place::Input]);
        floats(found.unwrap().input().clone())
    };
    let of = |error| slope(&Spliced::new(&net, vec![splice(error)]).unwrap());
    assert_eq!(of(ErrorTerm::Kept), slope(&net));
    let constant = of(ErrorTerm::Constant);
    assert_ne!(constant, slope(&net));
    assert!(constant.iter().any(|&v| v != 0.0), "an attack has a way");
}

#[test]
fn a_transcoder_writes_what_comes_later() {
    let (net, input) = (net(), input());
    let sites = sites();
    let (first, last) = (sites[0].clone(), sites[sites.len() - 1].clone());
    let skip = true;
    let config = SaeConfig::new(5, 12, TopK::new(2));
    let dictionary = sae(config.arranged(Arrangement::Transcoder { d_out: 5, skip }));
    let splice = |error| Splice::new(Arc::clone(&dictionary), &first, error).writing(&last);
    let spliced = Spliced::new(&net, vec![splice(ErrorTerm::Dropped)]).unwrap();
    let (_, seen) = run_with_cache(&spliced, &input, &[&first, &last]).unwrap();
    let made = dictionary.reconstruct(samples(seen.expect(&first).clone()));
    assert_eq!(floats(seen.expect(&last).clone()), floats(made));
    let kept = Spliced::new(&net, vec![splice(ErrorTerm::Kept)]).unwrap();
    assert_eq!(floats(kept.logits(&input)), floats(net.logits(&input)));
    assert_eq!(spliced.stages(), 1);
    let back = Splice::new(Arc::clone(&dictionary), &last, ErrorTerm::Kept).writing(&first);
    let error = Spliced::new(&net, vec![back]).err().unwrap().to_string();
    assert!(error.contains("comes after what is read"), "{error}");
}

#[test]
fn what_does_not_fit_is_told() {
    let net = net();
    let error = |splice: Splice| Spliced::new(&net, vec![splice]).err().unwrap().to_string();
    let wide = Splice::new(
        sae(SaeConfig::new(4, 12, TopK::new(2))),
        &sites()[0],
        ErrorTerm::Kept,
    );
    assert!(error(wide).contains("dictionary of 4 channels"));
    let far = splice(ErrorTerm::Kept).edited(LatentEdit::ablate(vec![12]));
    assert!(error(far).contains("latent 12 does not exist"));
    let mut off = LatentEdit::ablate(vec![0]);
    off.positions = Some(0..2);
    assert!(error(splice(ErrorTerm::Kept).edited(off)).contains("positions 0..2"));
    let two = vec![splice(ErrorTerm::Kept), splice(ErrorTerm::Kept)];
    let error = Spliced::new(&net, two).err().unwrap().to_string();
    assert!(error.contains("two dictionaries write"), "{error}");
    let mut nowhere = splice(ErrorTerm::Kept);
    nowhere.site = "nowhere".into();
    assert!(Spliced::new(&net, vec![nowhere]).is_err());
}
