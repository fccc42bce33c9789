use burn::tensor::{Device, Tensor};
use mr_models::data::{DataConfig, Split, load};
use mr_models::{Architecture, Hook, Input, Mlp, Network};

use super::*;
use crate::{EvaluationConfig, LaidPatch, Pgd, evaluate};

fn net() -> Network {
    let mlp = Mlp {
        hidden: vec![16],
        ..Mlp::default()
    };
    Network::init(Architecture::Mlp(mlp), 1, &Device::flex()).unwrap()
}

/// Clothes, labelled as the net sees them, so that there is something to break.
fn clothes(count: usize) -> Dataset {
    let data = load(&DataConfig::default(), Split::Test).unwrap();
    let rows: Vec<usize> = (0..count).collect();
    let logits = net().logits(&data.input(&rows, &Device::flex()));
    let seen = mr_models::predictions(&logits)
        .iter()
        .map(|p| p[0])
        .collect();
    let values = rows.iter().flat_map(|&row| data.image(row)).collect();
    let names = data.class_names().to_vec();
    Dataset::of_floats("clothes", data.shape(), names, values, seen).unwrap()
}

fn blank(size: [usize; 2], place: PatchPlace) -> Result<Patch, AttackError> {
    Patch::blank(size, place, net().spec())
}

/// Says 1 where the sum of all 20 pixels is above 8.
struct Sum(ModelSpec);

impl Sum {
    fn new() -> Self {
        Self(ModelSpec {
            name: "sum".into(),
            input: InputKind::Real { shape: [1, 4, 5] },
            classes: 2,
            sites: Vec::new(),
            wiring: mr_models::Wiring::default(),
        })
    }
}

impl Model for Sum {
    fn spec(&self) -> &ModelSpec {
        &self.0
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn run(&self, input: &Input, _hook: &mut dyn Hook) -> Tensor<3> {
        let sum = input.real().flatten::<2>(1, 3).sum_dim(1) - 8.0;
        let batch = sum.dims()[0];
        let sum = sum.reshape([batch, 1, 1]);
        Tensor::cat(vec![sum.clone() * -1.0, sum], 2)
    }
}

/// Images of .3 have a sum of 6: a grey patch of 2 x 2 adds .8, a white one 2.8. So the fitted one is
/// white, and it alone reaches the goal, wherever it lies.
#[test]
fn a_fitted_patch_is_white_where_light_is_what_counts() {
    let model = Sum::new();
    let names = vec!["dark".into(), "light".into()];
    let data = Dataset::of_floats("grey", [1, 4, 5], names, vec![0.3; 600], vec![0; 30]).unwrap();
    let config = FitConfig {
        epochs: 10,
        batch_size: 10,
        ..FitConfig::default()
    };
    for place in [PatchPlace::At { top: 2, left: 3 }, PatchPlace::Random] {
        let start = Patch::blank([2, 2], place, model.spec()).unwrap();
        let quiet = &mut |_: FitProgress| true;
        let goal = Goal::Untargeted;
        let fitted = fit_patch(&model, &data, start.clone(), &goal, &config, quiet).unwrap();
        assert_eq!(fitted.values, [1.0; 4]);
        for (patch, robust) in [(start, 1.0), (fitted, 0.0)] {
            for places in [1, 3] {
                let threat = patch.threat(model.spec()).unwrap();
                let attack = LaidPatch {
                    patch: patch.clone(),
                    places,
                };
                let config = EvaluationConfig::default();
                let found = evaluate(&model, &data, &threat, &goal, &[&attack], &config).unwrap();
                assert_eq!(found.robust_accuracy(), robust, "{place:?}");
            }
        }
    }
}

/// Nothing but the patch's area changes, whatever attack looks for one.
#[test]
fn any_attack_under_the_threat_of_a_patch_is_one() {
    let threat = blank([6, 6], PatchPlace::At { top: 2, left: 20 })
        .unwrap()
        .threat(net().spec())
        .unwrap();
    let pgd = Pgd {
        steps: 10,
        step_size: Some(0.2),
        ..Pgd::default()
    };
    let config = EvaluationConfig {
        keep: true,
        ..EvaluationConfig::default()
    };
    let data = clothes(60);
    let found = evaluate(&net(), &data, &threat, &Goal::Untargeted, &[&pgd], &config).unwrap();
    assert!(found.robust_accuracy() < found.clean_accuracy());
    let points = found.points.unwrap();
    for (at, (point, clean)) in points
        .iter()
        .zip((0..60).flat_map(|row| data.image(row)))
        .enumerate()
    {
        let (row, column) = (at % 784 / 28, at % 28);
        let inside = (2..8).contains(&row) && (20..26).contains(&column);
        assert!(inside || *point == clean);
    }
}

#[test]
fn patches_that_do_not_fit_are_refused() {
    let error = |size, place| blank(size, place).unwrap_err().to_string();
    let large = error([29, 3], PatchPlace::Random);
    assert!(large.contains("29 x 3 at row 0, column 0"), "{large}");
    assert!(large.contains("inside 28 x 28"), "{large}");
    assert!(error([5, 5], PatchPlace::At { top: 24, left: 0 }).contains("at row 24"));
    assert!(error([0, 5], PatchPlace::Random).contains("0 x 5"));
    blank([28, 28], PatchPlace::Random).unwrap();
    let whole = blank([28, 28], PatchPlace::At { top: 0, left: 0 }).unwrap();
    let colour = Patch {
        shape: [3, 28, 28],
        values: vec![0.0; 3 * 784],
        ..whole
    };
    assert!(
        colour
            .fits(net().spec())
            .unwrap_err()
            .to_string()
            .contains("channels is 3")
    );
}
