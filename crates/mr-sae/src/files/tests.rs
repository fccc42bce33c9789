//! What is written comes back; what is wrong is named.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use mr_models::{floats, write_tensors};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::{Arrangement, SaeConfig};
use crate::dictionary::Dictionary;
use crate::kind::{BatchTopK, Gated, JumpRelu, Kind, L0Penalty, Matryoshka, Relu, TopK};
use crate::normalization::Normalization;

fn kinds() -> Vec<Kind> {
    let penalty = L0Penalty::Tanh { scale: 4.0 };
    vec![
        Relu { weighted: false }.into(),
        Gated::default().into(),
        TopK::new(2).into(),
        BatchTopK::new(2.5).into(),
        Matryoshka::new(2.5, vec![2, 3]).into(),
        JumpRelu {
            penalty,
            ..JumpRelu::default()
        }
        .into(),
    ]
}

fn made(config: SaeConfig) -> Sae {
    let sae = Sae::init(config, 3, &Device::flex()).unwrap();
    // A threshold that is not 0.
    sae.follow(Some(0.1))
}

fn about() -> Map<String, Value> {
    let about = json!({"model_name": "tiny", "hook_name": "blocks.0.hook_mlp_out"});
    about.as_object().unwrap().clone()
}

fn x() -> Tensor<2> {
    let values = [0.4, -1.0, 0.7, 2.0, 1.1, 0.3, -0.6, 0.9];
    Tensor::<1>::from_floats(values, &Device::flex()).reshape([2, 4])
}

fn near(a: Tensor<2>, b: Tensor<2>) {
    for (a, b) in floats(a).iter().zip(floats(b)) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }
}

#[test]
fn every_dictionary_comes_back_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dictionary.safetensors");
    let arrangements = [
        Arrangement::Autoencoder,
        Arrangement::Tied,
        Arrangement::Transcoder {
            d_out: 3,
            skip: true,
        },
        Arrangement::Crosscoder { parts: 2 },
    ];
    for arrangement in arrangements {
        for kind in kinds() {
            let mut config = SaeConfig::new(4, 6, kind).arranged(arrangement);
            config.normalization = Normalization::ExpectedAverage { scale: 1.5 };
            let sae = made(config);
            sae.save(&about(), &path).unwrap();
            let again = open(&path, &Device::flex()).unwrap();
            assert_eq!(again.sae.config(), sae.config());
            assert_eq!(again.sae.weights().to_host(), sae.weights().to_host());
            assert_eq!((again.about, again.format), (about(), Format::Native));
        }
    }
}

#[test]
fn the_first_version_is_a_tied_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dictionary.safetensors");
    let w: Vec<f32> = (0..12).map(|i| 0.1 * i as f32 - 0.5).collect();
    let tensors = [
        ("W".to_string(), vec![3, 4], w.clone()),
        ("b".to_string(), vec![3], vec![0.5, -0.5, 0.25]),
    ];
    let config = r#"{"version": 1, "type": "tied", "d_in": 4, "d_sae": 3, "about": {"site": "a"}}"#;
    write_tensors(&path, &tensors, &[("mech-robust-dictionary", config)]).unwrap();
    let opened = open(&path, &Device::flex()).unwrap();
    assert_eq!(opened.sae.config().arrangement, Arrangement::Tied);
    assert_eq!(opened.about["site"], "a");
    assert_eq!(floats(opened.sae.directions()), w);
    let one = Tensor::<1>::from_floats([1.0, 0.0, 0.0, 2.0], &Device::flex()).unsqueeze();
    // ReLU of -.5 + 2 * -.2 + .5, of -.1 + 2 * .2 - .5 and of .3 + 2 * .6 + .25.
    let codes = floats(opened.sae.encode(one));
    assert_eq!(codes[..2], [0.0, 0.0]);
    assert!((codes[2] - 1.75).abs() < 1e-6, "{codes:?}");
}

#[test]
fn what_saelens_is_given_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = 0;
    for arrangement in [
        Arrangement::Autoencoder,
        Arrangement::Tied,
        Arrangement::Transcoder {
            d_out: 3,
            skip: false,
        },
        Arrangement::Transcoder {
            d_out: 4,
            skip: true,
        },
        Arrangement::Crosscoder { parts: 2 },
    ] {
        for kind in kinds() {
            for normalization in [
                Normalization::None,
                Normalization::ExpectedAverage { scale: 1.5 },
                Normalization::LayerNorm,
            ] {
                let mut config = SaeConfig::new(4, 6, kind.clone()).arranged(arrangement);
                config.normalization = normalization;
                if config.check().is_err() {
                    continue;
                }
                let sae = made(config);
                let Ok(()) = write_saelens(&sae, &about(), folder.path()) else {
                    continue;
                };
                written += 1;
                let again = open(folder.path(), &Device::flex()).unwrap();
                assert_eq!(again.format, Format::SaeLens);
                assert_eq!(again.about["hook_name"], "blocks.0.hook_mlp_out");
                near(again.sae.reconstruct(x()), sae.reconstruct(x()));
                near(again.sae.encode(x()), sae.encode(x()));
            }
        }
    }
    // Autoencoders, tied ones among them: 6 kinds of 3 normalisations. Transcoders: 4 kinds of 3, with
    // skip and without.
    assert_eq!(written, 2 * 18 + 2 * 12);
}

#[test]
fn what_saelens_has_not_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = |arrangement, kind: Kind| {
        let sae = made(SaeConfig::new(4, 6, kind).arranged(arrangement));
        write_saelens(&sae, &about(), folder.path())
            .unwrap_err()
            .to_string()
    };
    let cross = error(Arrangement::Crosscoder { parts: 2 }, Relu::default().into());
    assert!(cross.contains("SAELens has no crosscoders"), "{cross}");
    let skip = error(
        Arrangement::Transcoder {
            d_out: 4,
            skip: true,
        },
        TopK::new(2).into(),
    );
    assert!(
        skip.starts_with("kind is top-k, must be an l1 or JumpReLU one"),
        "{skip}"
    );
}

/// A folder with this config and the weights of a plain TopK dictionary of 4 channels and 6 latents.
fn other(config: &Value, weights: &str, rename: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cfg.json"), config.to_string()).unwrap();
    let kind = TopK {
        k: 2,
        rescale: false,
    };
    let tensors = made(SaeConfig::new(4, 6, kind)).weights().to_host();
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(name, shape, values)| (rename(&name), shape, values))
        .collect();
    write_tensors(&folder.path().join(weights), &tensors, &[]).unwrap();
    folder
}

#[test]
fn old_files_of_saelens_are_read() {
    let config = json!({
        "d_in": 4, "d_sae": 6, "dtype": "float32", "hook_point": "blocks.1.attn.hook_z",
        "hook_point_layer": 1, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 2},
        "apply_b_dec_to_input": false, "normalize_activations": false, "model_name": "gpt2-small",
    });
    let folder = other(&config, SAELENS, str::to_owned);
    let opened = open(folder.path(), &Device::flex()).unwrap();
    assert_eq!(opened.format, Format::SaeLensOld);
    assert_eq!(
        opened.sae.config().kind,
        TopK {
            k: 2,
            rescale: false
        }
        .into()
    );
    assert!(!opened.sae.config().subtract_bias);
    assert_eq!(opened.about["hook_name"], "blocks.1.attn.hook_z");
    assert_eq!(opened.about["reshape_activations"], "hook_z");
    // The weights alone name their folder, too.
    open(&folder.path().join(SAELENS), &Device::flex()).unwrap();
    let relu = json!({"d_in": 4, "d_sae": 6, "hook_name": "blocks.1.hook_resid_pre"});
    let folder = other(&relu, SAELENS, str::to_owned);
    let opened = open(folder.path(), &Device::flex()).unwrap();
    assert_eq!(opened.sae.config().kind, Relu::default().into());
}

#[test]
fn files_of_sparsify_are_read() {
    let config = json!({
        "activation": "topk", "expansion_factor": 32, "normalize_decoder": true, "num_latents": 6,
        "k": 2, "multi_topk": false, "skip_connection": false, "transcode": false, "d_in": 4,
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cfg.json"), config.to_string()).unwrap();
    let sae = made(SaeConfig::new(
        4,
        6,
        TopK {
            k: 2,
            rescale: false,
        },
    ));
    let of = |name: &str, at: &str, transpose: bool| {
        let entry = sae
            .weights()
            .entries()
            .iter()
            .find(|e| e.name == name)
            .unwrap();
        let mut shape = entry.shape.clone();
        let values = if transpose {
            shape.reverse();
            floats(sae.weights().get::<2>(name).transpose())
        } else {
            floats(entry.values.clone())
        };
        (at.to_owned(), shape, values)
    };
    let tensors = [
        of("W_enc", "encoder.weight", true),
        of("b_enc", "encoder.bias", false),
        of("W_dec", "W_dec", false),
        of("b_dec", "b_dec", false),
    ];
    write_tensors(&folder.path().join(SPARSIFY), &tensors, &[]).unwrap();
    let opened = open(folder.path(), &Device::flex()).unwrap();
    assert_eq!(
        (opened.format, opened.sae.config()),
        (Format::Sparsify, sae.config())
    );
    assert_eq!(opened.sae.weights().to_host(), sae.weights().to_host());
}

fn refused(path: &Path) -> String {
    open(path, &Device::flex()).unwrap_err().to_string()
}

#[test]
fn hostile_files_are_refused_by_name() {
    let good = json!({
        "d_in": 4, "d_sae": 6, "architecture": "topk", "k": 2,
        "metadata": {"sae_lens_version": "6.1.0"},
    });
    let error = |field: &str, value: Value| {
        let mut config = good.clone();
        config[field] = value;
        let folder = other(&config, SAELENS, str::to_owned);
        refused(folder.path())
    };
    let folder = other(&good, SAELENS, str::to_owned);
    open(folder.path(), &Device::flex()).unwrap();
    for (field, value, expected) in [
        (
            "k",
            json!(7),
            "cfg.json: k is 7, must be from 1 to d_sae, which is 6",
        ),
        ("k", json!(-1), "`k` is -1, must be a whole number from 0"),
        (
            "k",
            json!("many"),
            "`k` is \"many\", must be a whole number",
        ),
        ("k", json!(null), "cfg.json: lacks `k`"),
        (
            "d_sae",
            json!(7),
            "`W_enc` has shape [4, 6], must be [4, 7]",
        ),
        (
            "d_sae",
            json!(1u64 << 40),
            "d_sae is 1099511627776, must be from 1 to",
        ),
        (
            "d_in",
            json!(1e300),
            "`d_in` is 1e+300, must be a whole number",
        ),
        (
            "d_in",
            json!(1 << 28),
            "`W_enc` has shape [4, 6], must be [268435456, 6]",
        ),
        ("d_in", json!(0), "d_in is 0"),
        (
            "architecture",
            json!("topkk"),
            "`topkk`, which is not read here; did you mean topk",
        ),
        (
            "architecture",
            json!("jumprelu"),
            "lacks `threshold` [6], which a jump-relu dictionary has",
        ),
        ("architecture", json!("gated"), "lacks `b_gate` [6]"),
        ("architecture", json!("transcoder"), "lacks `d_out`"),
        (
            "architecture",
            json!(3),
            "`architecture` is 3, must be text",
        ),
        (
            "normalize_activations",
            json!("covariance_whitening"),
            "covariance_whitening",
        ),
        ("apply_b_dec_to_input", json!("no"), "must be true or false"),
    ] {
        let found = error(field, value.clone());
        assert!(found.contains(expected), "{field} = {value}: {found}");
    }
    let folder = other(&good, SAELENS, |name| name.replace("W_dec", "W_decoder"));
    assert!(refused(folder.path()).contains("lacks `W_dec` [6, 4], which a top-k dictionary has"));
    let mut skip = good.clone();
    skip["architecture"] = "standard".into();
    let folder = other(&skip, SAELENS, |name| name.replace("b_enc", "b_mag"));
    assert!(refused(folder.path()).contains("lacks `b_enc`"));
}

#[test]
fn broken_folders_and_values_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    assert!(refused(folder.path()).contains("cfg.json"));
    std::fs::write(at("cfg.json"), "[1, 2]").unwrap();
    assert!(refused(folder.path()).contains("cfg.json: is not a JSON object"));
    std::fs::write(at("cfg.json"), r#"{"d_in": 4, "d_sae": 6, "k": 2}"#).unwrap();
    let none = refused(folder.path());
    assert!(
        none.contains("expected sae_weights.safetensors or sae.safetensors"),
        "{none}"
    );
    std::fs::write(at(SAELENS), [255u8; 40]).unwrap();
    assert!(refused(folder.path()).contains("not a readable safetensors file"));
    let tensors = made(SaeConfig::new(4, 6, Relu::default()))
        .weights()
        .to_host();
    let mut bad = tensors.clone();
    bad[2].2[5] = f32::NAN;
    write_tensors(&at(SAELENS), &bad, &[]).unwrap();
    let nan = refused(folder.path());
    assert!(
        nan.contains("safetensors: `W_dec` holds NaN at position 5, must be finite"),
        "{nan}"
    );
    let mut more = tensors;
    more.push(("W_extra".into(), vec![1], vec![0.0]));
    write_tensors(&at(SAELENS), &more, &[]).unwrap();
    assert!(
        refused(folder.path()).contains("holds `W_extra` [1], which a relu dictionary does not")
    );
    let net = at("net.safetensors");
    write_tensors(&net, &more, &[]).unwrap();
    assert!(refused(&net).contains("net.safetensors: holds no dictionary"));
    write_tensors(
        &net,
        &more,
        &[("mech-robust-dictionary", r#"{"version": 9}"#)],
    )
    .unwrap();
    assert!(refused(&net).contains("version 9; this build reads versions 1 to 2"));
    write_tensors(
        &net,
        &more,
        &[("mech-robust-dictionary", r#"{"version": 2}"#)],
    )
    .unwrap();
    assert!(refused(&net).contains("entry is not readable: missing field `config`"));
    assert!(refused(&at("nowhere.safetensors")).contains("nowhere.safetensors"));
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_]{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!([1, 2, 3])),
        Just(json!({"k": -3})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_config_makes_a_reader_panic(
        field in prop::sample::select(vec![
            "d_in", "d_sae", "k", "architecture", "metadata", "apply_b_dec_to_input", "d_out",
            "normalize_activations", "rescale_acts_by_decoder_norm", "reshape_activations",
            "activation_fn", "activation_fn_kwargs", "hook_name", "matryoshka_widths",
            "expansion_factor", "num_latents", "transcode", "skip_connection", "activation",
        ]),
        value in anything(),
        architecture in prop::sample::select(vec!["topk", "standard", "batchtopk",
            "matryoshka_batchtopk", "jumprelu", "skip_transcoder"]),
        version in prop::sample::select(vec!["6.1.0", "5.0.0"]),
        weights in prop::sample::select(vec![SAELENS, SPARSIFY]),
    ) {
        let mut config = json!({
            "d_in": 4, "d_sae": 6, "architecture": architecture, "k": 2, "num_latents": 6,
            "metadata": {"sae_lens_version": version},
        });
        config[field] = value;
        let folder = other(&config, weights, str::to_owned);
        if let Err(error) = open(folder.path(), &Device::flex()) {
            let text = error.to_string();
            prop_assert!(text.contains(&*folder.path().to_string_lossy()), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(at in 0usize..600, byte in any::<u8>(), length in 0usize..600) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dictionary.safetensors");
        made(SaeConfig::new(2, 3, TopK::new(2))).save(&about(), &path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let open_again = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            open(&path, &Device::flex())
        };
        let _ = open_again(&bytes);
        prop_assert!(open_again(&bytes[..length.min(bytes.len() - 1)]).is_err());
    }
}
