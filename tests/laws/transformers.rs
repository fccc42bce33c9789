//! Transformers against TransformerLens: logits, every activation and every gradient.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{
    Architecture, Cache, Edge, Edit, Idle, Input, Intervened, Labels, Model, Network, OfLength,
    Pass, Place, Port, Region, Rewrite, Tap, Transformer, TransformerInput, floats, objective,
    read_tensors, run_with_cache, value_and_grad, values_at,
};

use crate::nets::{Host, close, json};

/// What 32 bits lose in two layers is below 2e-6; that of division by small deviations more.
const TOLERANCE: f32 = 1e-4;

/// A small transformer and what TransformerLens says of it.
pub(crate) struct Lens {
    pub(crate) file: String,
    architecture: Architecture,
    labels: Vec<Vec<i64>>,
    sites: Vec<String>,
    tensors: Vec<(String, Host)>,
}

/// Every golden transformer.
pub(crate) fn all() -> Vec<Lens> {
    let nets = json("transformers.json");
    let nets = nets["models"].as_array().unwrap();
    assert_eq!(nets.len(), 6);
    let lens = |net: &serde_json::Value| {
        let file = net["file"].as_str().unwrap().to_string();
        let (tensors, _) = read_tensors(&crate::nets::fixture(&file)).unwrap();
        Lens {
            file,
            architecture: serde_json::from_value(net["architecture"].clone()).unwrap(),
            labels: serde_json::from_value(net["labels"].clone()).unwrap(),
            sites: serde_json::from_value(net["sites"].clone()).unwrap(),
            tensors: tensors
                .into_iter()
                .map(|(name, shape, values)| (name, (shape, values)))
                .collect(),
        }
    };
    nets.iter().map(lens).collect()
}

impl Lens {
    fn tensor(&self, name: &str) -> &Host {
        let mut tensors = self.tensors.iter();
        let found = tensors.find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("{name}")).1
    }

    pub(crate) fn network(&self, device: &Device) -> Network {
        let weights = self.tensors.iter().filter_map(|(name, (shape, values))| {
            let name = name.strip_prefix("weights/")?;
            Some((name.to_string(), shape.clone(), values.clone()))
        });
        Network::with_weights(self.architecture.clone(), weights.collect(), device).unwrap()
    }

    pub(crate) fn input(&self, device: &Device) -> Input {
        let (shape, values) = self.tensor("input");
        let rows = values.chunks(shape[1]);
        let rows: Vec<Vec<usize>> = rows
            .map(|row| row.iter().map(|&token| token as usize).collect())
            .collect();
        Input::of_tokens(&rows, device).unwrap()
    }

    pub(crate) fn labels(&self, device: &Device) -> Labels {
        let rows = [self.labels.len(), self.labels[0].len()];
        let flat: Vec<usize> = self.labels.iter().flatten().map(|&l| l as usize).collect();
        let mut labels = Labels::of_classes(&flat, device);
        labels.truth = labels.truth.reshape(rows);
        labels
    }
}

/// As [`close`], with minus infinity where it should be.
fn close_or_masked(what: &str, found: &[f32], expected: &[f32]) {
    let masked = |values: &[f32]| -> Vec<bool> { values.iter().map(|v| v.is_infinite()).collect() };
    assert_eq!(masked(found), masked(expected), "{what}");
    let finite =
        |values: &[f32]| -> Vec<f32> { values.iter().copied().filter(|v| v.is_finite()).collect() };
    close(what, &finite(found), &finite(expected), TOLERANCE);
}

#[test]
fn logits_activations_and_gradients_are_those_of_transformer_lens() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let input = lens.input(&device);
        net.spec().accepts(&input).unwrap();
        let names: Vec<&str> = net.spec().sites.iter().map(|s| s.name.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, lens.sites, "{}", lens.file);

        let mut cache = Cache::of(net.spec(), &names).unwrap();
        let logits = floats(net.run(&input, &mut cache));
        close(&lens.file, &logits, &lens.tensor("logits").1, TOLERANCE);
        for name in &names {
            let what = format!("{} {name}", lens.file);
            let (shape, expected) = lens.tensor(&format!("site/{name}"));
            let found = cache.get(name).unwrap().clone();
            assert_eq!(found.dims().to_vec(), *shape, "{what}");
            close_or_masked(&what, &floats(found), expected);
        }
        // A gradient with respect to what single heads read is not part of the others' graph.
        let places: Vec<Place> = names.iter().map(|name| Place::site(*name)).collect();
        let labels = lens.labels(&device);
        let at = value_and_grad(&net, &input, &labels, &objective::CrossEntropy, &places).unwrap();
        for name in &names {
            let what = format!("gradient of {} {name}", lens.file);
            let expected = &lens.tensor(&format!("grad/{name}")).1;
            close_or_masked(&what, &floats(at.site(name).clone()), expected);
        }
    }
}

#[test]
fn a_batch_has_the_bits_of_its_examples_alone() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let input = lens.input(&device);
        let together = floats(net.logits(&input));
        let each = together.len() / input.batch();
        for example in 0..input.batch() {
            let index = Tensor::from_data([example as i64], &device);
            let alone = floats(net.logits(&input.select(index)));
            assert_eq!(alone, together[example * each..][..each], "{}", lens.file);
        }
    }
}

#[test]
fn short_names_resolve_and_wrong_ones_list_near_matches() {
    let device = Device::flex();
    let nets = all();
    let by = |part: &str| nets.iter().find(|lens| lens.file.contains(part)).unwrap();
    let gpt2 = by("gpt2").network(&device);
    let bert = by("bert").network(&device);
    for (net, short, long) in [
        (&gpt2, "resid_post.1", "blocks.1.hook_resid_post"),
        (&gpt2, "z.0", "blocks.0.attn.hook_z"),
        (&gpt2, "post.1", "blocks.1.mlp.hook_post"),
        (&gpt2, "embed", "hook_embed"),
        (&bert, "hook_embed", "embed.hook_embed"),
        (
            &gpt2,
            "ln_final.hook_normalized",
            "ln_final.hook_normalized",
        ),
    ] {
        assert_eq!(net.spec().resolve(short).unwrap().name, long);
    }
    let error = gpt2.spec().site("resid_post.1").unwrap_err().to_string();
    assert!(
        error.contains("did you mean blocks.1.hook_resid_post?"),
        "{error}"
    );
    let error = gpt2.spec().resolve("resid_post.2").unwrap_err().to_string();
    assert!(error.contains("unknown site `resid_post.2`"), "{error}");
}

#[test]
fn input_that_a_model_does_not_take_is_named() {
    let device = Device::flex();
    let net = all()[0].network(&device);
    let ask = |tokens: &[Vec<usize>]| {
        let input = Input::of_tokens(tokens, &device).unwrap();
        net.spec().accepts(&input).unwrap_err().to_string()
    };
    assert_eq!(
        ask(&[vec![0, 10], vec![3, 11]]),
        "token 11 of example 1, position 1: the vocabulary is 0 to 10"
    );
    assert!(ask(&[vec![0; 8]]).contains("sequences of 8 tokens"));
    let image = Input::Real(Tensor::zeros([1, 1, 2, 2], &device));
    let error = net.spec().accepts(&image).unwrap_err().to_string();
    assert!(error.contains("takes tokens"), "{error}");
}

#[test]
fn an_activation_patched_into_its_own_run_changes_no_bit_at_any_site() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let net = OfLength::new(&net, 5).unwrap();
        let input = lens.input(&device);
        let plain = floats(net.logits(&input));
        for site in &net.spec().sites {
            let what = format!("{} {}", lens.file, site.name);
            let (logits, cache) = run_with_cache(&net, &input, &[&site.name]).unwrap();
            assert_eq!(floats(logits), plain, "{what}");
            let activation = cache.get(&site.name).unwrap().clone();
            assert_eq!(activation.dims()[1..], [site.positions, site.channels]);
            let edit = Edit::at(&site.name, Rewrite::Scale { factor: 1.0 });
            let edited = Intervened::new(&net, vec![edit]).unwrap();
            assert_eq!(floats(edited.logits(&input)), plain, "{what}");
            if site.name.ends_with("attn_scores") {
                // A patch holds numbers only.
                continue;
            }
            let edit = Edit::at(&site.name, Rewrite::patch(activation));
            let patched = Intervened::new(&net, vec![edit]).unwrap();
            assert_eq!(floats(patched.logits(&input)), plain, "{what}");
        }
    }
}

/// A head's share of what attention writes is 0 where its z is 0, and what a slot alone reads moves
/// nothing else.
#[test]
fn edits_of_single_heads_are_what_later_layers_see() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let net = OfLength::new(&net, 5).unwrap();
        let input = lens.input(&device);
        let plain = floats(net.logits(&input));
        let zeroed = |site: &str, channels| {
            let edit = Edit::at(site, Rewrite::Zero).within(Region::channels(channels));
            let net = Intervened::new(&net, vec![edit]).unwrap();
            floats(net.logits(&input))
        };
        let width = net.spec().site("blocks.0.attn.hook_z").unwrap().channels / 4;
        let by_result = zeroed("blocks.0.attn.hook_result", 8..16);
        close(
            &lens.file,
            &by_result,
            &zeroed("blocks.0.attn.hook_z", width..2 * width),
            1e-5,
        );
        assert_ne!(by_result, plain);
        // All heads' queries read the same edited stream: as if the stream itself, for queries alone.
        for slot in ["q", "k", "v"] {
            let site = format!("blocks.1.hook_{slot}_input");
            let channels = net.spec().site(&site).unwrap().channels;
            let edited = zeroed(&site, 0..8);
            assert_ne!(edited, plain, "{} {site}", lens.file);
            assert_ne!(edited, zeroed(&site, 0..channels), "{} {site}", lens.file);
        }
    }
}

/// The stream that a reader reads is the sum of what its writers wrote, and of terms.
#[test]
fn writers_add_up_to_what_the_last_reader_reads() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let wiring = &net.spec().wiring;
        if lens.file.contains("bert") {
            assert!(wiring.writers.is_empty() && wiring.readers.is_empty());
            continue;
        }
        let ports = wiring.writers.iter().chain(&wiring.readers);
        let sites: Vec<&String> = ports.clone().map(|port| &port.site).collect();
        for port in ports {
            let site = net.spec().site(&port.site).unwrap();
            assert_eq!(port.stage, site.stage, "{port}");
            assert!(port.channels.end <= site.channels && port.channels.len() == 8);
        }
        let (_, cache) = run_with_cache(&net, &lens.input(&device), &sites).unwrap();
        let at = |port: &Port| {
            let whole = cache.get(&port.site).unwrap().clone();
            whole.narrow(2, port.channels.start, port.channels.len())
        };
        let reader = wiring.readers.len() - 1;
        assert_eq!(wiring.readers[reader].node, "logits");
        let mut sum = at(&wiring.readers[reader]).zeros_like();
        for (writer, port) in wiring.writers.iter().enumerate() {
            assert!(wiring.reaches(Edge { writer, reader }));
            sum = sum + at(port);
        }
        for layer in 0..2 {
            let term = net.weights().get::<1>(&format!("blocks.{layer}.attn.b_O"));
            sum = sum + term.unsqueeze();
        }
        let expected = floats(at(&wiring.readers[reader]));
        close(&lens.file, &floats(sum), &expected, 1e-5);
    }
}

/// Sequences of 40 tokens are products of their own, those of 5 go in blocks; 600 channels are summed
/// in two parts.
#[test]
fn long_sequences_have_the_bits_of_their_examples_alone() {
    let device = Device::flex();
    for (d_model, length) in [(600, 40), (600, 5), (24, 33), (24, 1)] {
        let net = Architecture::Transformer(Transformer {
            input: TransformerInput::Tokens {
                vocabulary: 13,
                context: 40,
                token_types: 0,
            },
            layers: 1,
            d_model,
            d_mlp: 40,
            ..Transformer::default()
        });
        let net = Network::init(net, 3, &device).unwrap();
        let sequences: Vec<Vec<usize>> = (0..5)
            .map(|example| (0..length).map(|at| (at * at + 7 * example) % 13).collect())
            .collect();
        let together = Input::of_tokens(&sequences, &device).unwrap();
        let together = floats(net.logits(&together));
        let each = together.len() / sequences.len();
        for (example, sequence) in sequences.iter().enumerate() {
            let alone = Input::of_tokens(std::slice::from_ref(sequence), &device).unwrap();
            let expected = &together[example * each..][..each];
            assert_eq!(floats(net.logits(&alone)), expected, "{d_model} {length}");
        }
    }
}

/// Half a step of a central difference.
const STEP: f32 = 2e-3;

#[test]
fn gradients_at_sites_are_central_differences() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let (input, labels) = (lens.input(&device), lens.labels(&device));
        let objective = &objective::CrossEntropy;
        for site in &net.spec().sites {
            let places = [Place::site(&site.name)];
            let at = value_and_grad(&net, &input, &labels, objective, &places).unwrap();
            let gradient = at.site(&site.name);
            let (shape, gradient) = (gradient.dims(), floats(gradient.clone()));
            let scale = gradient.iter().fold(0.3_f32, |most, v| most.max(v.abs()));
            for i in (0..gradient.len()).step_by(gradient.len().div_ceil(4)) {
                let total = |step: f32| -> f32 {
                    let mut added = vec![0.0; gradient.len()];
                    added[i] = step;
                    let added = Tensor::from_data(TensorData::new(added, shape), &device);
                    let tap = Tap {
                        site: site.name.clone(),
                        added: Some(added),
                    };
                    let found = values_at(&net, &input, &labels, objective, &[tap]).unwrap();
                    floats(found.0).iter().sum()
                };
                let difference = (total(STEP) - total(-STEP)) / (2.0 * STEP);
                assert!(
                    (difference - gradient[i]).abs() <= 1e-2 * scale,
                    "{} {} {i}: {difference} for {}",
                    lens.file,
                    site.name,
                    gradient[i]
                );
            }
        }
    }
}

/// Queries, keys and values are drawn from their own weights, though one product takes them together.
#[test]
fn gradients_of_weights_are_central_differences() {
    let device = Device::flex();
    for lens in all() {
        let net = lens.network(&device);
        let (input, labels) = (lens.input(&device), lens.labels(&device));
        let loss = |net: &Network| {
            let logits = net.run_training(&input, &mut Idle, &mut Pass::evaluation());
            objective::cross_entropy(&logits, &labels.truth).sum()
        };
        let tracked = net.tracked();
        let mut gradients = loss(&tracked).backward();
        let gradients = tracked.weights().gradients(&mut gradients);
        for (entry, gradient) in net.weights().entries().iter().zip(gradients) {
            let gradient = gradient.unwrap_or_else(|| panic!("{} {}", lens.file, entry.name));
            let gradient = floats(gradient);
            let scale = gradient.iter().fold(0.3_f32, |most, v| most.max(v.abs()));
            let values = floats(entry.values.clone());
            for i in (0..values.len()).step_by(values.len().div_ceil(3)) {
                let moved = |step: f32| {
                    let mut values = values.clone();
                    values[i] += step;
                    let mut net = net.clone();
                    let values = Tensor::from_floats(values.as_slice(), &device);
                    net.weights_mut().set(&entry.name, values);
                    floats(loss(&net))[0]
                };
                let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                assert!(
                    (difference - gradient[i]).abs() <= 1e-2 * scale,
                    "{} {} {i}: {difference} for {}",
                    lens.file,
                    entry.name,
                    gradient[i]
                );
            }
        }
    }
}
