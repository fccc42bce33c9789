//! `mr sae card`: what becomes of a dictionary's latents under attack.

mod support;

use support::{Lab, channels, number};

/// A card that takes a moment.
const CARD: &str = "sae card --model net --dictionary channels --limit 24 --epsilons 8/255,0.2 --halvings 2 --steps 4";

#[test]
fn a_dictionary_of_channels_misses_nothing_whatever_the_attack() {
    let lab = Lab::new();
    lab.net();
    channels(&lab, "channels", "linear1.hook_out", 16, 1.0);
    let told = lab.json(&format!("{CARD} --count 3 --out card --plot drawn.svg"));
    assert_eq!(
        (told["kind"].as_str(), told["n"].as_u64()),
        (Some("sae-card"), Some(24))
    );
    for at in ["clean", "output.0.2", "codes.0.2", "noise.0.2"] {
        assert!(number(&told, &format!("{at}.fvu")).abs() < 1e-9);
    }
    // What latents carry is all that the activation carries: the error carries nothing.
    assert!(number(&told, "carried_by_error.median").abs() < 1e-4);
    let share = number(&told, "carried_by_latents.median");
    assert!((share - 1.0).abs() < number(&told, "completeness_error.median") + 0.05);
    assert_eq!(number(&told, "clean.code_change"), 0.0);
    let change = |at: &str| number(&told, &format!("{at}.code_change"));
    assert!(change("codes.0.2") > change("noise.0.2"));
    assert!(change("codes.0.2") > change("codes.0.03137"));
    // Intervals are over images, and hold what they are of.
    let moved = &told["numbers"]["codes.0.2.code_change"];
    let [low, value, high] = ["low", "value", "high"].map(|key| moved[key].as_f64().unwrap());
    assert!(low < value && value < high && moved["n"] == 24);
    // The curve of what flips begins at none and ends at the share that the table counts.
    let table = &told["tables"]["flips"];
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let column = |name: &str| {
        let columns = table["columns"].as_array().unwrap();
        let at = columns.iter().position(|column| column == name).unwrap();
        rows.iter()
            .map(|row| row[at].as_u64().unwrap())
            .sum::<u64>() as f64
    };
    for side in ["off", "on"] {
        let of = column(&format!("{side}_of"));
        assert_eq!(number(&told, &format!("{side}.cases")), of);
        let curve = told["series"][&format!("flipped.{side}")]["y"]
            .as_array()
            .unwrap();
        let ends = [0, curve.len() - 1].map(|at| curve[at].as_f64().unwrap());
        assert_eq!(ends[0], 0.0);
        assert!((ends[1] - column(&format!("{side}_flipped")) / of).abs() < 1e-9);
        assert!(
            curve
                .windows(2)
                .all(|two| two[0].as_f64() <= two[1].as_f64())
        );
    }
    for file in [
        "drawn.svg",
        "card/card.svg",
        "card/flips.svg",
        "card/card.json",
    ] {
        assert!(lab.path(file).is_file(), "{file}");
    }
    assert!(!lab.path("card/beside.svg").exists());
}

#[test]
fn cards_are_drawn_beside_each_other() {
    let lab = Lab::new();
    lab.net();
    channels(&lab, "channels", "linear1.hook_out", 16, 1.0);
    lab.run(&format!("{CARD} --count 1 --out runs/first"));
    let words = format!("{CARD} --latents 5,2 --seeds 2 --name second --beside runs/first");
    let told = lab.json(&format!("{words} --out runs/second --plot both.svg"));
    let latents: Vec<u64> = told["tables"]["flips"]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].as_u64().unwrap())
        .collect();
    assert_eq!(latents, [5, 2]);
    // Clean examples, and five attacks at two radii, of each seed.
    let seeds = told["tables"]["seeds"]["rows"].as_array().unwrap();
    assert_eq!(seeds.len(), 2 * (1 + 5 * 2));
    let change = |seed: u64| {
        let found = seeds
            .iter()
            .find(|row| row[0] == seed && row[1] == "noise")
            .unwrap();
        found[5].as_f64().unwrap()
    };
    assert_ne!(change(0), change(1), "each seed draws noise of its own");
    let mean = number(&told, "noise.0.03137.code_change");
    assert!((mean - f64::midpoint(change(0), change(1))).abs() < 1e-9);
    let warned = told["warnings"].to_string();
    assert!(warned.contains("not of the same card, seeds"), "{warned}");
    let drawn = String::from_utf8(lab.read("both.svg")).unwrap();
    assert_eq!(drawn.as_bytes(), lab.read("runs/second/beside.svg"));
    for name in ["first, output", "first, noise", "second, codes"] {
        assert_eq!(
            drawn.matches(&format!(">{name}</text>")).count(),
            1,
            "{name}"
        );
    }
    let flips = String::from_utf8(lab.read("runs/second/flips.svg")).unwrap();
    assert!(flips.contains(">first, attack</text>") && flips.contains(">second, noise</text>"));
    lab.run("report runs --out report.html");
    let report = String::from_utf8(lab.read("report.html")).unwrap();
    assert!(
        report.contains("alt=\"plot of second\""),
        "the picture is in the report"
    );
    let drawn = base64(&drawn);
    assert!(report.contains(&drawn));
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}
