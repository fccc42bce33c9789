//! `mr circuit` from end to end, on a small transformer and on images.

mod support;

use burn::tensor::Device;
use mr_models::{Architecture, Network, Transformer, TransformerInput, save};
use support::Lab;

/// A transformer of 7 tokens, saved as `net.safetensors`.
fn transformer(lab: &Lab) {
    let net = Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 7,
            context: 6,
            token_types: 0,
        },
        layers: 2,
        d_model: 8,
        heads: 2,
        d_mlp: 12,
        ..Transformer::default()
    };
    let net = Network::init(Architecture::Transformer(net), 3, &Device::flex()).unwrap();
    save(
        &net,
        &serde_json::Map::default(),
        &lab.path("net.safetensors"),
    )
    .unwrap();
}

/// `mr circuit` with texts, which hold spaces.
fn asked(lab: &Lab, words: &str, texts: &[&str]) -> std::process::Output {
    let mut command = lab.mr(&format!("circuit {words} --model net.safetensors"));
    command.args(texts).output().unwrap()
}

fn json(lab: &Lab, words: &str, texts: &[&str]) -> serde_json::Value {
    let output = asked(lab, &format!("{words} --json"), texts);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const PAIR: [&str; 8] = [
    "--clean",
    "1 2 3 4",
    "--corrupt",
    "1 5 3 4",
    "--right",
    "2",
    "--wrong",
    "5",
];

#[test]
fn a_circuit_is_found_saved_drawn_evaluated_and_compared() {
    let lab = Lab::new();
    transformer(&lab);
    let words = "attribute --steps 3 --top 12 --greedy --save a.json --plot a.svg";
    let found = json(&lab, words, &PAIR);
    let kept = found["kept"].as_u64().unwrap();
    assert!((1..=12).contains(&kept), "{found}");
    assert_eq!(found["circuit"].as_array().unwrap().len() as u64, kept);
    assert!(lab.read("a.svg").starts_with(b"<svg"));
    let again = json(
        &lab,
        "discover --tau 1e-4 --journal j.jsonl --save b.json",
        &PAIR,
    );
    assert_eq!(
        json(&lab, "discover --tau 1e-4 --journal j.jsonl", &PAIR),
        again
    );
    let evaluated = json(&lab, "evaluate --circuit a.json --draws 5", &PAIR);
    assert_eq!(evaluated["kept"].as_u64(), Some(kept));
    assert_eq!(evaluated["curve"][9]["faithfulness"], 1.0);
    let drawn = json(&lab, "draw --circuit a.json --dot a.dot", &[]);
    assert_eq!(drawn["kept"].as_u64(), Some(kept));
    assert!(lab.read("a.dot").starts_with(b"digraph"));
    let same = json(
        &lab,
        "diff --circuit a.json --other a.json --seeds b.json",
        &[],
    );
    assert_eq!(same["jaccard"], 1.0);
    assert_eq!(same["seeds"].as_array().unwrap().len(), 1);
}

#[test]
fn mistakes_are_named() {
    let lab = Lab::new();
    transformer(&lab);
    let error = |words: &str, texts: &[&str]| {
        let output = asked(&lab, words, texts);
        assert_eq!(output.status.code(), Some(2), "{words}");
        String::from_utf8(output.stderr).unwrap()
    };
    let lengths = error("attribute", &["--clean", "1 2", "--corrupt", "1 2 3"]);
    assert!(
        lengths.contains("the clean one has 2 tokens, the corrupt one 3"),
        "{lengths}"
    );
    let outside = error("attribute", &["--clean", "1 9", "--corrupt", "1 2"]);
    assert!(outside.contains("token 9 of example 0"), "{outside}");
    let text = error("attribute", &["--clean", "a", "--corrupt", "1"]);
    assert!(text.contains("`a` is no token id"), "{text}");
    let nothing = error("attribute", &["--clean", "1 2", "--corrupt", "1 3"]);
    assert!(nothing.contains("--right and --wrong"), "{nothing}");
    lab.write("c.json", "{}");
    let broken = error("draw --circuit c.json --plot c.svg", &[]);
    assert!(
        broken.contains("c.json: no circuit in the format of EAP-IG"),
        "{broken}"
    );
    let ablation = error("discover --ablation none", &PAIR[..4]);
    assert!(ablation.contains("valid: zero, mean"), "{ablation}");
}

/// The first position is the same in both runs, and the second alone differs before any block.
#[test]
fn spots_are_patched_one_after_the_other() {
    let lab = Lab::new();
    transformer(&lab);
    let words = "patch --over positions --of resid_pre --plot p.svg";
    let found = json(&lab, words, &PAIR);
    let spots = found["spots"].as_array().unwrap();
    assert_eq!(spots.len(), 2 * 4, "{found}");
    assert_eq!(spots[0]["restored"], 0.0);
    assert!((spots[1]["restored"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(spots[1]["spot"], "blocks.0.hook_resid_pre[1]");
    assert!(lab.read("p.svg").starts_with(b"<svg"));
    let heads = json(&lab, "patch --noise", &PAIR);
    assert_eq!(heads["spots"].as_array().unwrap().len(), 4);
    assert_eq!(heads["direction"], "noise");
    let output = asked(&lab, "patch --over neurons", &PAIR);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("valid: heads, positions, channels, sites"),
        "{said}"
    );
}

/// The output's own row says what the network says, and direct attribution adds up to the difference.
#[test]
fn a_lens_reads_every_layer() {
    let lab = Lab::new();
    transformer(&lab);
    let lens = |texts: &[&str]| {
        let mut command = lab.mr("lens --json --model net.safetensors");
        command.args(texts).output().unwrap()
    };
    let read = |texts: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&lens(texts).stdout).unwrap()
    };
    let found = read(&["--text", "1 2 3 4", "--plot", "l.svg"]);
    let layers = found["divergence"].as_array().unwrap();
    assert_eq!(layers.len(), found["layers"].as_array().unwrap().len());
    let last = layers.last().unwrap().as_array().unwrap();
    assert_eq!(last.len(), 4);
    assert!(last.iter().all(|kl| kl.as_f64().unwrap().abs() < 1e-6));
    assert!(lab.read("l.svg").starts_with(b"<svg"));
    let output = lens(&["--text", "1 9"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("token 9"), "{said}");
}
