use super::*;

/// Random trees of 8 words: each word hangs on an earlier one.
fn parents(sentence: usize) -> Vec<Option<usize>> {
    let mut rng = generator(3, "trees", sentence, 0);
    (0..8)
        .map(|word| (word > 0).then(|| rng.random_range(0..word)))
        .collect()
}

/// Words whose squared distances are those of their tree: each is its parent plus an axis of its own, and
/// the root is 0. Four more channels hold large noise, and a reflection mixes all.
fn planted(count: usize, measure: TreeMeasure) -> Sentences {
    let width = 12;
    let mut values = Vec::new();
    let mut targets = Vec::new();
    for sentence in 0..count {
        let mut rng = generator(4, "noise", sentence, 0);
        let mut words: Vec<Vec<f64>> = Vec::new();
        for (word, parent) in parents(sentence).into_iter().enumerate() {
            let mut own = parent.map_or(vec![0.0; 8], |parent| words[parent].clone());
            if parent.is_some() {
                own[word] += 1.0;
            }
            words.push(own);
        }
        let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        targets.push(match measure {
            TreeMeasure::Depth => words.iter().map(|a| square(a, &words[0])).collect(),
            TreeMeasure::Distance => words
                .iter()
                .flat_map(|a| words.iter().map(move |b| square(a, b)))
                .collect(),
        });
        for word in words {
            let noise = (0..4).map(|_| rng.random_range(-3.0..3.0));
            let mixed: Vec<f64> = word.into_iter().chain(noise).collect();
            let mean = mixed.iter().sum::<f64>() / width as f64;
            values.extend(mixed.iter().map(|value| (value - 2.0 * mean) as f32));
        }
    }
    Sentences {
        words: Activations::new(values, width).unwrap(),
        lengths: vec![8; count],
        targets,
    }
}

/// Mean error of what a probe says of sentences that it has not seen.
fn error(probe: &TreeProbe, from: usize, sentences: &Sentences) -> f64 {
    let words = sentences.words.values().chunks_exact(8 * 12);
    let trees = words.zip(&sentences.targets).skip(from);
    let mut errors = Vec::new();
    for (words, target) in trees {
        let found = match probe.measure {
            TreeMeasure::Distance => probe.distances(words),
            TreeMeasure::Depth => probe.depths(words),
        };
        errors.extend(found.iter().zip(target).map(|(a, b)| (a - b).abs()));
    }
    errors.iter().sum::<f64>() / errors.len() as f64
}

fn first(count: usize, all: &Sentences) -> Sentences {
    Sentences {
        words: Activations::new(all.words.values()[..count * 96].to_vec(), 12).unwrap(),
        lengths: all.lengths[..count].to_vec(),
        targets: all.targets[..count].to_vec(),
    }
}

#[test]
fn trees_that_are_there_are_found_and_the_noise_is_ignored() {
    for measure in [TreeMeasure::Distance, TreeMeasure::Depth] {
        let all = planted(50, measure);
        let fit = |config: &StructuralConfig| {
            fit_structural(&first(40, &all), "s", measure, config).unwrap()
        };
        let probe = fit(&StructuralConfig::default());
        let far = error(&probe, 40, &all);
        assert!(far < 0.25, "{measure:?}: {far}");
        // A tree of 7 axes does not fit into one.
        let narrow = fit(&StructuralConfig {
            rank: Some(1),
            ..StructuralConfig::default()
        });
        assert_eq!(narrow.rank(), 1);
        let farther = error(&narrow, 40, &all);
        assert!(farther > 2.0 * far, "{measure:?}: {farther} and {far}");
        assert_eq!(probe, fit(&StructuralConfig::default()));
    }
}

#[test]
fn the_gradient_is_that_of_differences() {
    for measure in [TreeMeasure::Distance, TreeMeasure::Depth] {
        let all = planted(2, measure);
        let words: Vec<f64> = all.words.values().iter().map(|&v| f64::from(v)).collect();
        let map: Vec<f64> = (0..24)
            .map(|i| ((i * 7 % 11) as f64 - 5.0) / 20.0)
            .collect();
        let (_, gradient) = loss_and_gradient(&all, &words, &map, 2, measure);
        for at in [0, 5, 13, 23] {
            let moved = |by: f64| {
                let mut map = map.clone();
                map[at] += by;
                loss_and_gradient(&all, &words, &map, 2, measure).0
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!(
                (slope - gradient[at]).abs() < 1e-5,
                "{measure:?} at {at}: {slope}"
            );
        }
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let all = planted(3, TreeMeasure::Depth);
    let ask = |sentences: &Sentences, measure, config: &StructuralConfig| {
        fit_structural(sentences, "s", measure, config)
            .unwrap_err()
            .to_string()
    };
    let plain = StructuralConfig::default();
    assert!(ask(&all, TreeMeasure::Distance, &plain).contains("must have 64"));
    let short = Sentences {
        lengths: vec![8; 2],
        ..all.clone()
    };
    assert!(ask(&short, TreeMeasure::Depth, &plain).contains("do not belong together"));
    let wide = StructuralConfig {
        rank: Some(13),
        ..plain
    };
    assert!(ask(&all, TreeMeasure::Depth, &wide).contains("1 to 12"));
}
