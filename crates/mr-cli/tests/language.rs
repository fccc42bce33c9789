//! Language models from the command line.

mod support;

use mr_models::{read_tensors, write_tensors};

use self::support::Lab;

#[test]
fn a_transformer_is_trained_on_a_task_of_language() {
    let lab = Lab::new();
    let words = "train --arch transformer --data modular-addition --layers 1 --limit 300 \
                 --set data.vocabulary=6 --set model.d_model=16 --set model.heads=2 \
                 --set model.d_mlp=32 --set train.validation.examples=50 --steps 300 --batch-size 32 --lr 0.01 \
                 --out sums";
    let trained = lab.json(words);
    let number = |name: &str| trained["numbers"][name]["value"].as_f64().unwrap();
    assert!(number("test.bits_per_token") < 1.0, "{trained}");
    assert!(number("test.accuracy") > 0.7, "{trained}");
    assert!(number("validation.bits_per_token") < 1.0, "{trained}");
    let model = lab.json("models sums");
    assert_eq!(model["architecture"]["input"]["tokens"]["context"], 3);
    // Judged as it was while it was trained.
    let judged = lab.json("eval --model sums");
    let bits = &judged["numbers"]["bits_per_token"]["value"];
    assert!(bits.as_f64().unwrap() < 1.0, "{judged}");
    let error = lab.error("gain --model sums");
    assert!(error.contains("holds sequences of tokens"), "{error}");
    let error = lab.error("train --arch mlp --data modular-addition --out no");
    assert!(error.contains("tokens"), "{error}");
}

#[test]
fn tasks_are_shown_with_their_answers() {
    let lab = Lab::new();
    let shown = lab.json("data show acronyms --limit 5");
    assert_eq!(shown["sequences"], 5);
    assert_eq!(shown["positions"], 7);
    let right = shown["prompts"][0]["right"].as_str().unwrap();
    let clean: Vec<&str> = shown["prompts"][0]["clean"]
        .as_str()
        .unwrap()
        .split(' ')
        .collect();
    assert!(clean[3].starts_with(right), "{shown}");
    let error = lab.error("data show repeated --set data.context=3");
    assert!(error.contains("context is 3"), "{error}");
}

#[test]
fn a_text_is_learned_and_gone_on_with() {
    let lab = Lab::new();
    lab.write("abc.txt", "abcdefg".repeat(100));
    lab.run(
        "train --arch transformer --data text --set data.text=abc.txt --set data.context=8 \
         --layers 1 --set model.d_model=16 --set model.heads=2 --set model.d_mlp=32 --steps 200 \
         --batch-size 16 --lr 0.01 --out abc",
    );
    let words = "generate --model abc --prompt abc --tokens 9 --temperature 0";
    assert_eq!(lab.json(words)["text"], "defgabcde");
    let error = lab.error("generate --model abc --prompt xyz");
    assert!(error.contains("'x'"), "{error}");
    let error = lab.error("generate --model abc --prompt a --temperature -1");
    assert!(error.contains("temperature is -1"), "{error}");
}

/// A folder of Hugging Face says what it is, whichever family it is of.
#[test]
fn folders_of_hugging_face_are_networks() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    let text = std::fs::read(golden.join("hugging_face.json")).unwrap();
    let known: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let lab = Lab::new();
    for model in known["models"].as_array().unwrap() {
        let file = model["file"].as_str().unwrap();
        lab.write("hf/config.json", model["config"].to_string());
        // The golden file holds activations too.
        let (tensors, _) = read_tensors(&golden.join(file)).unwrap();
        let weights = tensors.into_iter().filter_map(|(name, shape, values)| {
            Some((name.strip_prefix("weights/")?.to_string(), shape, values))
        });
        let weights: Vec<_> = weights.collect();
        write_tensors(&lab.path("hf/model.safetensors"), &weights, &[]).unwrap();
        let shown = lab.json("models hf");
        assert_eq!(shown["architecture"]["type"], "transformer", "{file}");
        // A network without a head or of images has no next token, and one that norms what it adds up no edges.
        let asked = match file {
            "hugging_face_bert_headless.safetensors" | "hugging_face_vit.safetensors" => &[][..],
            "hugging_face_bert.safetensors" => &["patch"],
            _ => &[
                "patch",
                "attribute --save c.json",
                "evaluate --circuit c.json --draws 2",
                "lens",
            ],
        };
        let pair = [
            "--clean",
            "1 2 3",
            "--corrupt",
            "1 4 3",
            "--right",
            "5",
            "--wrong",
            "6",
        ];
        for words in asked {
            let mut command = match *words {
                "lens" => lab.mr("lens --model hf"),
                words => lab.mr(&format!("circuit {words} --model hf")),
            };
            match *words {
                "lens" => command.args(["--text", "1 2 3"]),
                _ => command.args(pair),
            };
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{file}: {words}: {said}");
        }
    }
    lab.write("hf/config.json", "{\"model_type\": \"gpt3\"}");
    let error = lab.error("models hf");
    assert!(error.contains("unknown model_type `gpt3`"), "{error}");
}
