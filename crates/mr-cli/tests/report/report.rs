//! The page: what stands in it, that it is whole, and that it is the same every time.

use std::path::Path;

use crate::page::{assert_balanced, attribute, count, tags};
use crate::{mr, records, refused, said, with_findings};

const FROM_VERDICTS: &str =
    "report --findings findings.toml --records runs --verdicts verdicts.json --out report.html";

/// Verifies and reports in a folder, and returns the page.
fn page(folder: &Path) -> String {
    with_findings(folder);
    mr(
        folder,
        "verify --findings findings.toml --records runs --out verdicts.json",
    );
    let (code, text) = said(&mr(folder, FROM_VERDICTS));
    assert_eq!((code, text.trim()), (0, "report.html"));
    std::fs::read_to_string(folder.join("report.html")).unwrap()
}

/// Fails unless a page is whole, alone and readable by ear.
fn assert_sound(page: &str) {
    assert_balanced(page);
    for outside in [
        "http:", "https:", "//cdn", "<script", "<link", "@import", "url(",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(count(page, "h1"), 1);
    for tag in tags(page).iter().filter(|tag| tag.opens) {
        match tag.name {
            "img" => {
                assert!(
                    attribute(tag, "src")
                        .unwrap()
                        .starts_with("data:image/png;base64,")
                );
                assert!(!attribute(tag, "alt").unwrap().is_empty());
            }
            "th" => assert!(attribute(tag, "scope").is_some(), "{}", tag.attributes),
            "polyline" | "polygon" | "line" | "circle" | "text" => assert!(
                !tag.attributes.contains("NaN") && !tag.attributes.contains("inf"),
                "{}",
                tag.attributes
            ),
            "svg" => assert!(
                attribute(tag, "aria-label").is_some() || attribute(tag, "aria-hidden").is_some()
            ),
            "a" => assert!(attribute(tag, "href").unwrap().starts_with('#')),
            _ => {}
        }
    }
}

#[test]
fn the_page_is_whole_and_has_every_part() {
    let folder = records();
    let page = page(folder.path());
    assert_sound(&page);
    assert_eq!(
        page.matches("class=\"verdict\"").count(),
        4,
        "a row per finding"
    );
    assert_eq!(page.matches("class=\"finding\"").count(), 4);
    // Four plots of findings, a loss, an accuracy and a security curve of each of two networks, and
    // three sets of images. A plot without records is a sentence instead.
    assert_eq!(count(&page, "figcaption"), 4 + 6 + 3);
    assert!(page.contains("No plot “Effective features over dropout”: none of 40 records"));
    for part in [
        "Adversarial training withstands &lt;larger&gt; attacks &amp; costs accuracy",
        "2 of 4 replicated, 1 not, 1 invalid",
        "Four findings were tested against 40 records (8 train, 8 attack, 24 measure)",
        "within 0.05 of 1",
        "ε = 0.1. Differences × 5. Seed 0",
        "Ankle boot",
        "there is no such file",
        "a made-up warning, to be seen once for many records",
        "mr measure --config made-up.toml --seed 0 --out runs/toy-relu-0.02-0",
        "mr train --config made-up.toml --seed 0 --out runs/mlp-256-robust-0",
        "activation = &quot;relu&quot;",
        "adversarial (Linf, ε = 0.1)",
        "BCa bootstrap over seeds",
        "(log scale)",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Networks are listed by size.
    let [small, large] = ["MLP, hidden = [32]: loss", "MLP, hidden = [256]: loss"]
        .map(|title| page.find(title).unwrap());
    assert!(small < large);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (one, other) = (records(), records());
    let first = page(one.path());
    assert_eq!(first, page(other.path()));
    let (code, _) = said(&mr(one.path(), FROM_VERDICTS));
    assert_eq!(code, 0);
    assert_eq!(
        first,
        std::fs::read_to_string(one.path().join("report.html")).unwrap()
    );
    assert!(!first.contains(&one.path().display().to_string()));
}

#[test]
fn records_alone_have_a_report_too() {
    let folder = records();
    let (code, text) = said(&mr(folder.path(), "report runs/mlp-32-standard-0"));
    assert_eq!(
        (code, text.trim()),
        (0, "runs/mlp-32-standard-0/report.html")
    );
    let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).unwrap();
    let one = read("runs/mlp-32-standard-0/report.html");
    assert_sound(&one);
    assert_eq!(count(&one, "figure"), 2, "both of its curves");
    assert!(one.contains("<h1>mlp-32-standard-0 (train)</h1>"));
    assert!(!one.contains("id=\"verdicts\""));

    let command = "report runs --out all.html --title All&all --about <why>";
    said(&mr(folder.path(), command));
    let all = read("all.html");
    assert_sound(&all);
    assert!(all.contains("<h1>All&amp;all</h1>") && all.contains("&lt;why&gt;"));
    assert!(all.contains("All 40 records") && all.contains("id=\"training\""));
}

#[test]
fn findings_without_verdicts_are_judged_and_verdicts_without_findings_shown() {
    let folder = records();
    let whole = page(folder.path());
    let read = || std::fs::read_to_string(folder.path().join("other.html")).unwrap();
    let (code, _) = said(&mr(
        folder.path(),
        "report --findings findings.toml --records runs --out other.html",
    ));
    assert_eq!(code, 0);
    assert_eq!(read(), whole);
    said(&mr(
        folder.path(),
        "report --records runs --verdicts verdicts.json --out other.html",
    ));
    let bare = read();
    assert_sound(&bare);
    assert_eq!(bare.matches("class=\"verdict\"").count(), 4);
    assert!(!bare.contains("Features per dimension over density"));
}

#[test]
fn json_says_where_the_report_is() {
    let folder = records();
    let (code, text) = said(&mr(folder.path(), "report runs --out a.html --json"));
    assert_eq!(code, 0);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["report"], "a.html");
    assert_eq!(object["records"], 40);
    let length = std::fs::metadata(folder.path().join("a.html"))
        .unwrap()
        .len();
    assert_eq!(object["bytes"], length);
}

#[test]
fn verdicts_of_other_findings_are_refused_and_of_other_records_cautioned() {
    let folder = records();
    let at = folder.path();
    page(at);
    let text = std::fs::read_to_string(at.join("findings.toml")).unwrap();
    std::fs::write(
        at.join("findings.toml"),
        text.replace("\"dropout\"", "\"doubt\""),
    )
    .unwrap();
    let error = refused(&mr(at, FROM_VERDICTS));
    assert!(
        error.contains("holds verdicts on phases, vulnerability, training, dropout, the findings"),
        "{error}"
    );
    with_findings(at);
    std::fs::remove_dir_all(at.join("runs/toy-relu-1-0")).unwrap();
    let output = mr(at, FROM_VERDICTS);
    assert_eq!(output.status.code(), Some(0));
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("verdicts.json is not what these findings and records give"));
    let page = std::fs::read_to_string(at.join("report.html")).unwrap();
    assert!(page.contains("Run mr verify again"));
}

#[test]
fn bad_input_is_refused_and_leaves_the_old_report() {
    let folder = records();
    let at = folder.path();
    let before = page(at);
    std::fs::write(at.join("truncated.json"), "{\"schema\": 1, \"ver").unwrap();
    for (words, complaint) in [
        ("", "<RECORD_DIR>"),
        ("runs --records runs", "cannot be used with"),
        ("nowhere --out report.html", "cannot search nowhere"),
        (
            "--records runs --findings none.toml --out report.html",
            "none.toml: No such file",
        ),
        (
            "--records runs --verdicts none.json --out report.html",
            "none.json: No such file",
        ),
        (
            "--records runs --verdicts truncated.json --out report.html",
            "the file ends early",
        ),
        ("runs --out runs", "cannot write runs"),
    ] {
        let error = refused(&mr(at, &format!("report {words}")));
        assert!(error.contains(complaint), "{words}: {error}");
    }
    assert_eq!(
        std::fs::read_to_string(at.join("report.html")).unwrap(),
        before
    );
}

#[test]
fn damaged_samples_are_noted_and_the_rest_is_drawn() {
    let folder = records();
    let samples = folder
        .path()
        .join("runs/attack-mlp-32-standard-0/samples.safetensors");
    let bytes = std::fs::read(&samples).unwrap();
    std::fs::write(&samples, &bytes[..100]).unwrap();
    let page = page(folder.path());
    assert_sound(&page);
    assert!(
        page.contains("No images from <code>attack-mlp-32-standard-0/samples.safetensors</code>")
    );
    assert!(!page.contains(&folder.path().display().to_string()));
    assert_eq!(count(&page, "img"), 2 * 6 * 3);
}
