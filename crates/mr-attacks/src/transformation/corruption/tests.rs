use serde_json::Value;

use super::*;

/// A smooth picture with an edge, of this shape.
fn picture(shape: [usize; 3]) -> Picture {
    let [_, height, width] = shape;
    let count: usize = shape.iter().product();
    let value = |at: usize| {
        let (row, column) = (at / width % height, at % width);
        let edge = if column > width / 2 { 0.4 } else { 0.0 };
        let wave = ((row as f32) / 3.0 + (at / (height * width)) as f32).sin();
        (0.3 + 0.2 * wave + edge).clamp(0.0, 1.0)
    };
    Picture::new(shape, (0..count).map(value).collect()).unwrap()
}

fn change(a: &Picture, b: &Picture) -> f32 {
    let squares = a
        .values()
        .iter()
        .zip(b.values())
        .map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f32>() / a.values().len() as f32).sqrt()
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list");
    list.iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Against scipy, Pillow and colorsys.
#[test]
fn as_the_peers_do() {
    let golden: Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/corruptions.json"
    )))
    .unwrap();
    let shape: Vec<usize> = numbers(&golden["shape"])
        .iter()
        .map(|&v| v as usize)
        .collect();
    let bytes = numbers(&golden["bytes"]);
    let values = bytes.iter().map(|&byte| (byte / 255.0) as f32).collect();
    let image = Picture::new([shape[0], shape[1], shape[2]], values).unwrap();
    let runs = golden["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 35);
    for run in runs {
        let kind: CorruptionKind = run["kind"].as_str().unwrap().parse().unwrap();
        let severity = run["severity"].as_u64().unwrap() as u8;
        let found = Corruption::new(kind, severity).apply(&image, 0, 0);
        let expected = numbers(&run["every_23rd"]);
        let apart = |picture: &Picture| -> Vec<f64> {
            let some = picture.values().iter().step_by(23);
            some.zip(&expected)
                .map(|(&a, b)| (f64::from(a) - b).abs())
                .collect()
        };
        let (found, clean) = (apart(&found), apart(&image));
        if kind == CorruptionKind::JpegCompression {
            // A wave half-way between two steps may be rounded either way, and changes its whole
            // block: the mean is what can be compared.
            let mean = |apart: &[f64]| apart.iter().sum::<f64>() / apart.len() as f64;
            assert!(
                mean(&found) < 0.3 * mean(&clean),
                "{severity}: {}",
                mean(&found)
            );
            continue;
        }
        let tolerance = run["tolerance"].as_f64().unwrap();
        let worst = found.iter().copied().fold(0.0, f64::max);
        assert!(worst <= tolerance, "{kind} {severity}: {worst}");
    }
}

/// In company or alone, in any order: each example's own, and another for another seed.
#[test]
fn what_is_drawn_depends_on_example_and_seed() {
    let image = picture([3, 32, 32]);
    for &kind in CorruptionKind::ALL {
        let corruption = Corruption::new(kind, 3);
        let first = corruption.apply(&image, 4, 0);
        assert_eq!(first, corruption.apply(&image, 4, 0), "{kind}");
        let drawn = !matches!(
            kind,
            CorruptionKind::DefocusBlur
                | CorruptionKind::GaussianBlur
                | CorruptionKind::ZoomBlur
                | CorruptionKind::Brightness
                | CorruptionKind::Contrast
                | CorruptionKind::Saturate
                | CorruptionKind::Pixelate
                | CorruptionKind::JpegCompression
        );
        assert_eq!(first != corruption.apply(&image, 5, 0), drawn, "{kind}");
        assert_eq!(first != corruption.apply(&image, 4, 1), drawn, "{kind}");
    }
}

/// The first severity changes the image, and the fifth more.
#[test]
fn severities_grow() {
    for shape in [[3, 32, 32], [3, 28, 28], [3, 20, 40], [3, 64, 64]] {
        let image = picture(shape);
        for &kind in CorruptionKind::ALL {
            let changes: Vec<f32> = (1..=5)
                .map(|severity| {
                    let mean = |example| {
                        change(
                            &Corruption::new(kind, severity).apply(&image, example, 0),
                            &image,
                        )
                    };
                    (0..8).map(mean).sum::<f32>() / 8.0
                })
                .collect();
            // Saturate makes paler first and stronger later; elastic transforms stretch less and
            // bend more; frosted glass blurs more, which brings exchanged pixels nearer.
            let turns = [
                CorruptionKind::Saturate,
                CorruptionKind::ElasticTransform,
                CorruptionKind::GlassBlur,
            ];
            let grows = turns.contains(&kind) || changes[4] > changes[0];
            assert!(grows && changes[0] > 0.0, "{kind} {shape:?}: {changes:?}");
        }
    }
}

/// Standard deviations, shares and counts of noise on a flat image.
#[test]
fn noise_is_as_strong_as_it_says() {
    let flat = Picture::new([1, 100, 100], vec![0.5; 10_000]).unwrap();
    let deviation =
        |kind, severity| change(&Corruption::new(kind, severity).apply(&flat, 1, 2), &flat);
    let near = |found: f32, expected: f32| {
        assert!(
            (found / expected - 1.0).abs() < 0.05,
            "{found} for {expected}"
        );
    };
    near(deviation(CorruptionKind::GaussianNoise, 5), 0.10);
    near(deviation(CorruptionKind::SpeckleNoise, 5), 0.10);
    // Poisson of mean 25, over 50.
    near(deviation(CorruptionKind::ShotNoise, 5), 0.1);
    let salted = Corruption::new(CorruptionKind::ImpulseNoise, 5).apply(&flat, 1, 2);
    let share = |wanted| salted.values().iter().filter(|&&v| v == wanted).count() as f32 / 1e4;
    near(share(0.5), 0.93);
    assert!((share(1.0) - 0.035).abs() < 0.006 && (share(0.0) - 0.035).abs() < 0.006);
}

#[test]
fn blurs_keep_a_flat_image_and_black_stays_black_without_light() {
    let flat = Picture::new([3, 9, 14], vec![0.25; 378]).unwrap();
    let black = Picture::new([1, 8, 8], vec![0.0; 64]).unwrap();
    for kind in [
        "defocus-blur",
        "gaussian-blur",
        "glass-blur",
        "motion-blur",
        "zoom-blur",
    ] {
        let kind: CorruptionKind = kind.parse().unwrap();
        for severity in 1..=5 {
            let found = Corruption::new(kind, severity).apply(&flat, 0, 0);
            assert!(change(&found, &flat) < 1e-6, "{kind} {severity}");
        }
    }
    for kind in [
        "shot-noise",
        "speckle-noise",
        "fog",
        "contrast",
        "elastic-transform",
    ] {
        let found = Corruption::new(kind.parse().unwrap(), 5).apply(&black, 0, 0);
        assert_eq!(found, black, "{kind}");
    }
}

/// Odd shapes are changed or refused, and stay images.
#[test]
fn images_of_any_shape() {
    for shape in [
        [1, 1, 1],
        [3, 1, 1],
        [1, 1, 9],
        [3, 2, 3],
        [4, 7, 5],
        [1, 60, 33],
    ] {
        let image = picture(shape);
        for kind in CorruptionKind::of_channels(shape[0]) {
            for severity in 1..=5 {
                let corruption = Corruption::new(kind, severity);
                corruption.fits(shape).unwrap();
                let found = corruption.apply(&image, 3, 0);
                assert_eq!(found.shape(), shape, "{kind}");
                let valid = |v: &f32| (0.0..=1.0).contains(v);
                assert!(
                    found.values().iter().all(valid),
                    "{kind} {severity} {shape:?}"
                );
            }
        }
    }
}

#[test]
fn what_there_is_not_is_refused() {
    for severity in [0, 6] {
        let error = Corruption::new(CorruptionKind::Fog, severity).fits([1, 28, 28]);
        let expected = format!("severity is {severity}, must be 1, 2, 3, 4 or 5");
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
    let error = Corruption::new(CorruptionKind::Saturate, 1).fits([1, 28, 28]);
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "saturate changes colours: it takes images of 3 channels, not 1"
    );
    let error = "fogg".parse::<CorruptionKind>().unwrap_err().to_string();
    assert_eq!(error, "unknown corruption `fogg`; did you mean fog?");
    let error = serde_json::from_str::<Corruption>(r#"{"kind": "motionblur", "severity": 1}"#);
    assert!(error.unwrap_err().to_string().contains("motion-blur"));
}

#[test]
fn a_config_names_a_family() {
    use super::super::{Search, SpatialFamily, TransformationConfig};
    let fog = r#"{"type": "corruption", "kind": "fog", "severity": 2}"#;
    let fog: TransformationConfig = serde_json::from_str(fog).unwrap();
    assert_eq!(fog.members().unwrap()[0].name(), "fog-2");
    let turns = r#"{"type": "rotation-translation", "search": {"random": 10}}"#;
    let turns: TransformationConfig = serde_json::from_str(turns).unwrap();
    let expected = SpatialFamily {
        search: Search::Random(10),
        ..SpatialFamily::default()
    };
    assert_eq!(turns, TransformationConfig::RotationTranslation(expected));
    assert_eq!(turns.members().unwrap().len(), 10);
}
