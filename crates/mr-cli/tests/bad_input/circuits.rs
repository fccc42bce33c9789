//! Circuits and lenses of what they cannot be of.

use burn::tensor::Device;
use mr_models::{Architecture, Network, NormKind, Transformer, TransformerInput, save};

use crate::says;
use crate::support::Lab;

/// A transformer of so many layers and heads, whose weights are so many times what they were drawn as.
fn transformer(lab: &Lab, file: &str, [layers, heads]: [usize; 2], times: f32) {
    let device = Device::flex();
    let of = Transformer {
        input: TransformerInput::Tokens {
            vocabulary: 7,
            context: 8,
            token_types: 0,
        },
        layers,
        d_model: 8,
        heads,
        d_mlp: 12,
        // A norm would make large activations small again.
        norm: NormKind::None,
        ..Transformer::default()
    };
    let of = Architecture::Transformer(of);
    let net = Network::init(of.clone(), 3, &device).unwrap();
    let weights = net.weights().map(|entry| entry.values.clone() * times);
    let net = Network::with_weights(of, weights.to_host(), &device).unwrap();
    save(&net, &serde_json::Map::default(), &lab.path(file)).unwrap();
}

/// Words of a command line whose texts hold no space: prompts of a task.
const TASK: &str = "--data repeated --set data.vocabulary=7 --set data.context=8 --limit 4";

#[test]
fn circuits_of_other_networks_and_none() {
    let lab = Lab::new();
    transformer(&lab, "net.safetensors", [2, 2], 1.0);
    transformer(&lab, "deep.safetensors", [3, 2], 1.0);
    lab.net();
    let net = format!("--model net.safetensors {TASK}");
    lab.run(&format!("circuit attribute {net} --save whole.json"));
    lab.run(&format!(
        "circuit attribute {net} --top 0 --save empty.json --quiet"
    ));
    lab.write("text.json", "no circuit");
    lab.write("bytes.json", [0xff, 0x00, 0xfe]);
    lab.write("half.json", &lab.read("whole.json")[..90]);
    let nan = String::from_utf8(lab.read("whole.json")).unwrap();
    let at = nan.find("\"score\":").unwrap() + 8;
    let end = at + nan[at..].find([',', '}']).unwrap();
    lab.write("nan.json", format!("{}null{}", &nan[..at], &nan[end..]));
    let evaluate = format!("circuit evaluate {net} --circuit");
    for (file, parts) in [
        ("empty.json", ["the circuit is empty", "at least one edge"]),
        ("missing.json", ["missing.json", "No such file"]),
        (
            "text.json",
            ["text.json", "no circuit in the format of EAP-IG"],
        ),
        (
            "bytes.json",
            ["bytes.json", "no circuit in the format of EAP-IG"],
        ),
        (
            "half.json",
            ["half.json", "no circuit in the format of EAP-IG"],
        ),
        ("nan.json", ["the score of", "must be a finite number"]),
    ] {
        says(&lab, &format!("{evaluate} {file}"), &parts);
    }
    let deep = format!("circuit evaluate --model deep.safetensors {TASK} --circuit whole.json");
    says(
        &lab,
        &deep,
        &["of 2 layers of 2 heads", "of 3 layers of 2 heads"],
    );
    let images = "circuit draw --model net --circuit whole.json --plot a.svg";
    says(
        &lab,
        images,
        &["not a circuit of this mlp", "the network is no transformer"],
    );
    says(
        &lab,
        &format!("{evaluate} whole.json --epsilon 0.1"),
        &[
            "takes tokens, around which there is no ball",
            "--place hook_embed",
        ],
    );
    says(
        &lab,
        "circuit draw --model net.safetensors --circuit whole.json",
        &["nowhere to draw"],
    );
}

#[test]
fn sites_heads_and_paths_that_are_none() {
    let lab = Lab::new();
    transformer(&lab, "net.safetensors", [2, 2], 1.0);
    let net = format!("--model net.safetensors {TASK}");
    for (words, parts) in [
        (
            "--over heads --of zz",
            ["unknown activation of heads `zz`", "did you mean z"],
        ),
        (
            "--over positions --of resid_pr",
            ["unknown site of blocks `resid_pr`", "resid_pre"],
        ),
        (
            "--over sites --of blocks.1.hook_mlp_ou",
            [
                "unknown site `blocks.1.hook_mlp_ou`",
                "did you mean blocks.1.hook_mlp_out",
            ],
        ),
        (
            "--path a1.h0<z>",
            ["unknown receiver `a1.h0<z>`", "did you mean a1.h0<"],
        ),
        (
            "--path a9.h0<q>",
            ["unknown receiver `a9.h0<q>`", "a0.h0<q>"],
        ),
        (
            "--ablate zer",
            [
                "--ablate zer",
                "valid: zero, mean, positional-mean, resample",
            ],
        ),
        (
            "--objective marjin",
            ["unknown objective `marjin`", "margin"],
        ),
        ("--batch-size 0", ["--batch-size 0", "at least 1"]),
    ] {
        says(&lab, &format!("circuit patch {net} {words}"), &parts);
    }
    let discover = format!("circuit discover {net}");
    for (words, parts) in [
        ("--tau 0", ["tau is 0", "above 0"]),
        (
            "--sparsity 0.5",
            ["--sparsity: --method acdc has no such setting", ""],
        ),
        (
            "--method masks --tau 1",
            ["--tau: --method masks has no such setting", ""],
        ),
        (
            "--method masks --sparsity 1.5",
            ["Sparsity(1.5)", "between 0 and 1"],
        ),
        ("--ablation non", ["--ablation non", "resample, optimal"]),
        (
            "--positions 3,8",
            ["8 is no position of inputs with 8", "0 to 7"],
        ),
        ("--positions=-9", ["-9 is no position", "0 to 7"]),
    ] {
        says(&lab, &format!("{discover} {words}"), &parts);
    }
    lab.run(&format!("{discover} --positions known --tau 1"));
    lab.run(&format!("circuit attribute {net} --objective kl"));
    let many = format!("circuit attribute {net} --top 1000");
    says(&lab, &many, &["a circuit of 1000 edges: the network has"]);
}

#[test]
fn pairs_that_are_none() {
    let lab = Lab::new();
    transformer(&lab, "net.safetensors", [2, 2], 1.0);
    lab.net();
    let patch = "circuit patch --model net.safetensors";
    for (words, parts) in [
        ("", ["has no counterfactuals", "--clean and --corrupt"]),
        (
            "--clean 1",
            ["1 --clean and 0 --corrupt", "as many of both"],
        ),
        (
            "--data mnist",
            ["`mnist` has no counterfactuals", "repeated"],
        ),
        (
            "--data shakespeare",
            ["shakespeare", "text asks no question"],
        ),
        (
            "--data indirect-object",
            ["tokens, the model knows 7 classes", ""],
        ),
        (
            "--clean 9 --corrupt 1",
            ["token 9 of example 0, position 0", "0 to 6"],
        ),
        (
            "--clean a --corrupt 1",
            ["`a` is no token id", "--tokenizer"],
        ),
        (
            "--clean 1 --corrupt 1 --right 2 --wrong 3",
            ["the objective is the same in both runs", ""],
        ),
        (
            "--clean 1 --corrupt 2 --right 9 --wrong 3",
            ["--right 9: token 9", "0 to 6"],
        ),
        (
            "--pair net/record.json",
            ["--pair", "not a readable safetensors file"],
        ),
        ("--pair net.safetensors", ["no `clean`", "mr attack --save"]),
    ] {
        says(&lab, &format!("{patch} {words}"), &parts);
    }
    says(
        &lab,
        "circuit patch --model net --clean 1 --corrupt 2",
        &["takes images: give --pair"],
    );
    says(
        &lab,
        "lens --model net --text 1",
        &["it takes images", "mr probe"],
    );
    says(
        &lab,
        "lens --model net.safetensors --text 9",
        &["token 9 of example 0"],
    );
    let data = "--data repeated --set data.vocabulary=7 --set data.context=8";
    says(
        &lab,
        &format!("gain --model net.safetensors {data}"),
        &["`repeated` holds sequences of tokens", "mr eval"],
    );
    lab.run(&format!("eval --model net.safetensors {data} --limit 5"));
    says(
        &lab,
        &format!("eval --model net {data}"),
        &["sequences of tokens"],
    );
}

/// Weights so large that activations overflow.
#[test]
fn activations_that_are_not_finite() {
    let lab = Lab::new();
    transformer(&lab, "net.safetensors", [2, 2], 1.0);
    transformer(&lab, "huge.safetensors", [2, 2], 1e12);
    lab.run(&format!(
        "circuit attribute --model net.safetensors {TASK} --save whole.json"
    ));
    let huge = format!("--model huge.safetensors {TASK}");
    for words in [
        format!("circuit patch {huge}"),
        format!("circuit patch {huge} --ablate mean"),
        format!("circuit patch {huge} --path logits"),
        format!("circuit attribute {huge}"),
        format!("circuit discover {huge}"),
        format!("circuit discover {huge} --method masks --steps 2"),
        format!("circuit discover {huge} --ablation optimal"),
        format!("circuit evaluate {huge} --circuit whole.json"),
        format!("eval {huge}"),
    ] {
        let error = lab.error(&words);
        assert!(
            error.contains("finite") || error.contains("NaN"),
            "{words}: {error}"
        );
    }
    for answers in ["", "--right 2 --wrong 3"] {
        let mut lens = lab.mr(&format!("lens --model huge.safetensors {answers}"));
        let output = lens.args(["--text", "1 2 3"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}{out}");
        assert!(said.contains("finite") || said.contains("NaN"), "{said}");
    }
}
