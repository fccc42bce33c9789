//! Networks of Hugging Face, loaded from their own files.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::data::DataCache;
use mr_models::{
    Input, InputKind, Labels, Model, ModelError, Network, Place, Tokenizer, floats, hugging_face,
    objective, read_tensors, run_with_cache, value_and_grad, values_at,
};
use serde_json::{Map, Value};

use crate::nets::{Host, close, fixture, json};

const TOLERANCE: f32 = 1e-4;

type Named = Vec<(String, Vec<usize>, Vec<f32>)>;

struct Given {
    file: String,
    config: Map<String, Value>,
    tensors: Named,
}

fn all() -> Vec<Given> {
    let nets = json("hugging_face.json");
    let nets = nets["models"].as_array().unwrap();
    assert_eq!(nets.len(), 6);
    let given = |net: &Value| {
        let file = net["file"].as_str().unwrap().to_string();
        Given {
            config: net["config"].as_object().unwrap().clone(),
            tensors: read_tensors(&fixture(&file)).unwrap().0,
            file,
        }
    };
    nets.iter().map(given).collect()
}

impl Given {
    fn weights(&self) -> Named {
        let weights = self.tensors.iter().filter_map(|(name, shape, values)| {
            let name = name.strip_prefix("weights/")?;
            Some((name.to_string(), shape.clone(), values.clone()))
        });
        weights.collect()
    }

    fn network(&self) -> Network {
        hugging_face::convert(&self.config, self.weights(), &Device::flex()).unwrap()
    }

    fn tensor(&self, name: &str) -> Host {
        let mut tensors = self.tensors.iter();
        let (_, shape, values) = tensors.find(|(known, ..)| known == name).unwrap();
        (shape.clone(), values.clone())
    }

    fn input(&self, kind: InputKind) -> Input {
        let (shape, values) = self.tensor("input");
        let device = Device::flex();
        match kind {
            InputKind::Real { .. } => {
                let shape: [usize; 4] = shape.try_into().unwrap();
                Input::Real(Tensor::from_data(TensorData::new(values, shape), &device))
            }
            InputKind::Tokens { .. } => {
                let rows = values.chunks(shape[1]);
                let rows: Vec<Vec<usize>> = rows
                    .map(|row| row.iter().map(|&token| token as usize).collect())
                    .collect();
                Input::of_tokens(&rows, &device).unwrap()
            }
        }
    }
}

#[test]
fn every_family_gives_the_logits_and_the_streams_of_its_own_code() {
    for given in all() {
        let net = given.network();
        let input = given.input(net.spec().input);
        net.spec().accepts(&input).unwrap();
        let bert = given.file.contains("bert");
        // What each block takes, and what the last gives; a decoder's own code shows that normalised.
        let mut streams: Vec<String> = (0..2)
            .map(|l| format!("blocks.{l}.hook_resid_pre"))
            .collect();
        if bert {
            streams.push("blocks.1.hook_normalized_resid_post".into());
        } else if given.file.contains("vit") {
            streams.push("blocks.1.hook_resid_post".into());
        }
        let patterns: Vec<String> = (0..2)
            .map(|l| format!("blocks.{l}.attn.hook_pattern"))
            .collect();
        let sites: Vec<&String> = streams.iter().chain(&patterns).collect();
        let (logits, cache) = run_with_cache(&net, &input, &sites).unwrap();
        close(
            &given.file,
            &floats(logits),
            &given.tensor("logits").1,
            TOLERANCE,
        );
        for (layer, site) in streams.iter().enumerate() {
            let expected = given.tensor(&format!("hidden/{layer}")).1;
            let found = floats(cache.get(site).unwrap().clone());
            close(
                &format!("{} {site}", given.file),
                &found,
                &expected,
                TOLERANCE,
            );
        }
        for (layer, site) in patterns.iter().enumerate() {
            let (shape, values) = given.tensor(&format!("pattern/{layer}"));
            let shape: [usize; 4] = shape.try_into().unwrap();
            let expected = Tensor::<4>::from_data(TensorData::new(values, shape), &Device::flex());
            let expected = floats(expected.swap_dims(1, 2));
            let found = floats(cache.get(site).unwrap().clone());
            close(
                &format!("{} {site}", given.file),
                &found,
                &expected,
                TOLERANCE,
            );
        }
    }
}

#[test]
fn a_file_that_does_not_fit_its_config_is_refused_with_every_name() {
    let given = &all()[0];
    let convert = |config: &Map<String, Value>, named: Named| -> ModelError {
        hugging_face::convert(config, named, &Device::flex()).unwrap_err()
    };
    let mut named = given.weights();
    named.retain(|(name, ..)| !name.ends_with("c_fc.weight"));
    named.push(("transformer.extra".into(), vec![1], vec![0.0]));
    let error = convert(&given.config, named).to_string();
    assert!(
        error.contains("lack `h.0.mlp.c_fc.weight`, `h.1.mlp.c_fc.weight`"),
        "{error}"
    );
    assert!(error.contains("hold unexpected `extra`"), "{error}");

    let with = |name: &str, value: Value| {
        let mut config = given.config.clone();
        config.insert(name.into(), value);
        convert(&config, given.weights()).to_string()
    };
    assert!(with("model_type", "gpt3".into()).contains("did you mean gpt2"));
    assert!(with("activation_function", "mish".into()).contains("gelu_new"));
    let error = with("scale_attn_by_inverse_layer_idx", true.into());
    assert!(error.contains("readable here is false"), "{error}");
    assert!(with("n_layer", Value::Null).contains("config.json lacks `n_layer`"));
}

#[test]
fn a_folder_is_loaded_from_one_file_or_several() {
    let given = &all()[2];
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = serde_json::to_string(&given.config).unwrap();
    std::fs::write(at("config.json"), config).unwrap();
    let named = given.weights();
    mr_models::write_tensors(&at("model.safetensors"), &named, &[]).unwrap();
    let one = hugging_face::load(folder.path(), &Device::flex()).unwrap();
    let (first, second) = named.split_at(5);
    mr_models::write_tensors(&at("a.safetensors"), first, &[]).unwrap();
    mr_models::write_tensors(&at("b.safetensors"), second, &[]).unwrap();
    std::fs::remove_file(at("model.safetensors")).unwrap();
    let map = named.iter().enumerate().map(|(i, (name, ..))| {
        let file = if i < 5 {
            "a.safetensors"
        } else {
            "b.safetensors"
        };
        (name.clone(), Value::from(file))
    });
    let index = serde_json::json!({ "weight_map": map.collect::<Map<_, _>>() });
    std::fs::write(at("model.safetensors.index.json"), index.to_string()).unwrap();
    let two = hugging_face::load(folder.path(), &Device::flex()).unwrap();
    assert_eq!(one.weights().to_host(), two.weights().to_host());
}

#[test]
#[ignore = "needs MiniLM: `mr data fetch minilm`"]
fn the_last_hidden_state_of_minilm_is_that_of_transformers() {
    let cache = DataCache::platform().unwrap();
    let file = cache.file("minilm", "model.safetensors").unwrap();
    let net = hugging_face::load(file.parent().unwrap(), &Device::flex()).unwrap();
    let (tensors, _) = read_tensors(&fixture("minilm.safetensors")).unwrap();
    let sentences = json("minilm.json");
    let sentences = sentences["sentences"].as_array().unwrap();
    let file = cache.file("minilm", "tokenizer.json").unwrap();
    let tokenizer = Tokenizer::open(&file).unwrap();
    let tensor = |name: String| {
        let mut tensors = tensors.iter();
        let (_, _, values) = tensors.find(|(known, ..)| *known == name).unwrap();
        values
    };
    for (sentence, text) in sentences.iter().enumerate() {
        let tokens = tensor(format!("tokens/{sentence}")).iter();
        let tokens: Vec<usize> = tokens.map(|&token| token as usize).collect();
        let text = text.as_str().unwrap();
        assert_eq!(tokenizer.encode(text).unwrap(), tokens);
        let input = tokenizer.batch(&[text], &Device::flex()).unwrap();
        net.spec().accepts(&input).unwrap();
        let found = floats(net.logits(&input));
        let expected = tensor(format!("hidden/{sentence}"));
        assert_eq!(found.len(), expected.len());
        let pairs = found.iter().zip(expected);
        let most = pairs.map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
        assert!(most < 1e-4, "sentence {sentence}: {most}");
        println!("sentence {sentence}: at most {most} apart");
    }
}

#[test]
fn a_vision_transformers_gradient_at_pixels_is_a_central_difference() {
    let device = Device::flex();
    let given = &all()[5];
    let net = given.network();
    let image = given.input(net.spec().input).real();
    let labels = Labels::of_classes(&[0, 1, 4], &device);
    let values = |image: Tensor<4>| -> f32 {
        let found = values_at(&net, &image.into(), &labels, &objective::CrossEntropy, &[]);
        floats(found.unwrap().0).iter().sum()
    };
    let input = image.clone().into();
    let at = value_and_grad(
        &net,
        &input,
        &labels,
        &objective::CrossEntropy,
        &[Place::Input],
    );
    let gradient = floats(at.unwrap().input().clone());
    let pixels = floats(image.clone());
    let scale = gradient.iter().fold(0.1_f32, |most, v| most.max(v.abs()));
    for i in (0..pixels.len()).step_by(7) {
        let moved = |step: f32| {
            let mut pixels = pixels.clone();
            pixels[i] += step;
            values(Tensor::from_data(
                TensorData::new(pixels, image.dims()),
                &device,
            ))
        };
        let difference = (moved(2e-3) - moved(-2e-3)) / 4e-3;
        let error = (difference - gradient[i]).abs();
        assert!(
            error <= 1e-2 * scale,
            "{i}: {difference} for {}",
            gradient[i]
        );
    }
}
