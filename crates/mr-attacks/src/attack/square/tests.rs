//! The schedule, the squares, and what becomes of small pictures.

use burn::tensor::Device;
use mr_models::{Architecture, Input, Labels, Mlp, Network};
use proptest::prelude::*;

use super::candidate::bumps;
use super::*;
use crate::goal::Goal;
use crate::threat::Area;
use crate::victim::{Geometry, Meter};

#[test]
fn golden_sides() {
    let square = Square::default();
    let sides = |picture, norm| {
        [0, 11, 51, 201, 501, 1001, 2001, 4001].map(|query| square.side(query, norm, picture))
    };
    let linf = |side| sides([side; 2], Norm::Linf);
    assert_eq!(linf(28), [25, 18, 13, 9, 6, 4, 3, 2]);
    assert_eq!(linf(8), [7, 5, 4, 3, 2, 1, 1, 1]);
    assert_eq!(linf(32), [29, 20, 14, 10, 7, 5, 4, 3]);
    assert_eq!(sides([28; 2], Norm::L2), [25, 19, 13, 9, 7, 5, 3, 3]);
    assert_eq!(square.side(10, Norm::Linf, [28; 2]), 25);
    // Never larger than the picture, whatever its shape.
    assert_eq!(sides([1, 1], Norm::Linf), [1; 8]);
    assert_eq!(sides([2, 50], Norm::L2), [2; 8]);
    let stretched = Square {
        queries: 100,
        rescale_schedule: true,
        ..square
    };
    assert_eq!(stretched.side(0, Norm::Linf, [28; 2]), 25);
    assert_eq!(stretched.side(1, Norm::Linf, [28; 2]), 13);
}

/// The authors' hills, see `fixtures/generate/square.py`.
#[test]
fn golden_bumps() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/square_bumps.json"
    );
    let golden = std::fs::read_to_string(path).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&golden).unwrap();
    for bump in golden["bumps"].as_array().unwrap() {
        let side = bump["side"].as_u64().unwrap() as usize;
        let norm: Norm = bump["norm"].as_str().unwrap().parse().unwrap();
        let rows: Vec<Vec<f32>> = serde_json::from_value(bump["values"].clone()).unwrap();
        let [upright, lying] = bumps(side, norm);
        for row in 0..side {
            for column in 0..side {
                let expected = rows[row][column];
                for found in [upright[row * side + column], lying[column * side + row]] {
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{norm} {side}: {upright:?}"
                    );
                }
            }
        }
    }
}

fn dice(query: u32, compat: bool) -> Dice {
    Dice {
        seed: 3,
        restart: 0,
        query,
        example: 5,
        compat,
    }
}

/// A point that a change was made in.
fn changed(geometry: &Geometry, point: &[f32], change: &mr_models::Change) -> Vec<f32> {
    let mut point = point.to_vec();
    let mut values = change.values.iter();
    for channel in 0..geometry.channels {
        for row in change.top..change.top + change.height {
            for column in change.left..change.left + change.width {
                point[geometry.at(channel, row, column)] = *values.next().unwrap();
            }
        }
    }
    assert!(values.next().is_none());
    point
}

fn norms() -> impl Strategy<Value = (Norm, f32)> {
    prop_oneof![
        Just((Norm::Linf, 0.1)),
        Just((Norm::L2, 0.8)),
        Just((Norm::L1, 3.0)),
        Just((Norm::Linf, 0.0)),
        Just((Norm::L2, 0.0)),
        Just((Norm::L1, 0.0)),
    ]
}

proptest! {
    /// Whatever the picture, candidates stay in ball, box and area; without a box they are as far out as
    /// the ball allows.
    #[test]
    fn candidates_stay_inside(
        (norm, epsilon) in norms(),
        channels in 1_usize..4,
        height in 1_usize..9,
        width in 1_usize..9,
        boxed in any::<bool>(),
        interleaved in any::<bool>(),
        compat in any::<bool>(),
        values in proptest::collection::vec(0.0_f32..=1.0, 3 * 64),
    ) {
        let geometry = Geometry { channels, height, width, interleaved };
        let mut threat = ThreatModel::new(norm, epsilon);
        if !boxed {
            threat = threat.at(mr_models::Place::site("any"));
        }
        let origin = &values[..channels * height * width];
        let mut candidates = Candidates::new(&threat, geometry, compat);
        let mut point = candidates.start(dice(0, compat), origin);
        let square = Square::default();
        let far = |point: &[f32]| -> f32 {
            let change = point.iter().zip(origin).map(|(p, o)| (p - o).abs());
            match norm {
                Norm::Linf => change.fold(0.0, f32::max),
                Norm::L2 => change.map(|c| c * c).sum::<f32>().sqrt(),
                _ => change.sum(),
            }
        };
        for query in 0..20 {
            let inside = |p: &f32| !boxed || (0.0..=1.0).contains(p);
            prop_assert!(far(&point) <= epsilon + 2e-6, "{query}: {}", far(&point));
            // An L1 start is as long as it has bumps.
            let ends = boxed || (norm == Norm::L1 && query == 0);
            prop_assert!(ends || far(&point) >= epsilon - 1e-5, "{query}: {}", far(&point));
            prop_assert!(point.iter().all(inside));
            candidates.resize(square.side(20 * query, norm, candidates.size()));
            let change = candidates.change(dice(1 + query as u32, compat), origin, &point);
            point = changed(&geometry, &point, &change);
        }
    }
}

struct Case {
    net: Network,
    shape: [usize; 3],
    truth: Vec<usize>,
}

impl Case {
    fn new(shape: [usize; 3], classes: usize) -> Self {
        let mlp = Mlp {
            input: shape,
            hidden: vec![12],
            classes,
            ..Mlp::default()
        };
        let net = Network::init(Architecture::Mlp(mlp), 4, &Device::flex()).unwrap();
        Self {
            net,
            shape,
            truth: Vec::new(),
        }
    }

    /// The points, whether they reach the goal, and the forward passes that they took.
    fn run(
        &self,
        attack: &Square,
        threat: &ThreatModel,
        count: usize,
    ) -> (Vec<f32>, Vec<bool>, u64) {
        let device = Device::flex();
        let [channels, height, width] = self.shape;
        let input = Tensor::<4>::ones([count, channels, height, width], &device) * 0.5;
        let input = Input::Real(input);
        let logits = mr_models::Model::logits(&self.net, &input);
        let truth = if self.truth.is_empty() {
            mr_models::predictions(&logits).concat()
        } else {
            self.truth.clone()
        };
        let labels = Labels::of_classes(&truth, &device);
        let meter = Meter::default();
        let examples = (0..count as u64).collect();
        let goal = Goal::Untargeted;
        let given = (input, labels);
        let victim = Victim::new(&self.net, threat, &goal, given, examples, 0, &meter);
        attack
            .fits(mr_models::Model::spec(&self.net), threat)
            .unwrap();
        let points = attack.run(&victim).unwrap();
        let forwards = meter.counts().forwards;
        let reached = victim.reached(&victim.logits(&points));
        (floats(points), reached, forwards)
    }
}

#[test]
fn bad_settings_are_refused() {
    let case = Case::new([1, 2, 3], 3);
    let spec = mr_models::Model::spec(&case.net);
    let linf = ThreatModel::new(Norm::Linf, 0.1);
    let with = |change: fn(&mut Square)| {
        let mut attack = Square::default();
        change(&mut attack);
        attack.fits(spec, &linf).unwrap_err().to_string()
    };
    assert!(with(|a| a.queries = 0).contains("queries is 0"));
    assert!(with(|a| a.restarts = 0).contains("restarts is 0"));
    assert!(with(|a| a.p = 0.0).contains("p is 0"));
    assert!(with(|a| a.p = f32::NAN).contains("p is NaN"));
    assert!(with(|a| a.objective = "ce".into()).contains("unknown objective"));
    let l0 = ThreatModel::new(Norm::L0, 3.0);
    let error = Square::default().fits(spec, &l0).unwrap_err().to_string();
    assert!(error.contains("Linf, L2, L1, not L0"));
    let one = Case::new([1, 2, 3], 1);
    let spec = mr_models::Model::spec(&one.net);
    let error = Square::default().fits(spec, &linf).unwrap_err().to_string();
    assert!(error.contains("at least 2 classes"), "{error}");
}

#[test]
fn radius_zero_changes_nothing_and_takes_every_query() {
    let case = Case::new([2, 3, 4], 3);
    let attack = Square {
        queries: 9,
        restarts: 2,
        ..Square::default()
    };
    for norm in [Norm::Linf, Norm::L2, Norm::L1] {
        let threat = ThreatModel::new(norm, 0.0);
        let (points, reached, forwards) = case.run(&attack, &threat, 1);
        assert_eq!(points, [0.5; 24], "{norm}");
        assert_eq!(reached, [false]);
        assert_eq!(forwards, 2 * 10);
    }
}

/// The net is linear enough that a large ball breaks all; one pixel and odd shapes do not matter.
#[test]
fn every_shape_is_searched_and_the_broken_leave() {
    for shape in [[1, 1, 1], [3, 1, 1], [1, 1, 9], [2, 7, 3], [1, 5, 5]] {
        let case = Case::new(shape, 4);
        for (norm, epsilon) in [(Norm::Linf, 0.5), (Norm::L2, 3.0), (Norm::L1, 9.0)] {
            for compat in [false, true] {
                let attack = Square {
                    queries: 60,
                    compat,
                    ..Square::default()
                };
                let threat = ThreatModel::new(norm, epsilon);
                let (points, reached, forwards) = case.run(&attack, &threat, 6);
                let said = format!("{shape:?} {norm} {compat}");
                assert!(points.iter().all(|p| (0.0..=1.0).contains(p)), "{said}");
                if reached.iter().all(|reached| *reached) {
                    assert!(forwards < 6 * 61, "{said}");
                } else {
                    assert!(forwards > 60, "{said}");
                }
            }
        }
    }
}

#[test]
fn nothing_outside_an_area_changes() {
    let case = Case::new([1, 6, 6], 3);
    let area = Area {
        picture: [6, 6],
        top: 1,
        left: 3,
        height: 4,
        width: 2,
    };
    for (norm, epsilon) in [(Norm::Linf, 0.01), (Norm::L2, 0.02), (Norm::L1, 0.05)] {
        let threat = ThreatModel::new(norm, epsilon).within(area);
        let attack = Square {
            queries: 30,
            ..Square::default()
        };
        let (points, _, _) = case.run(&attack, &threat, 2);
        let moved = |at: usize| points[at] != 0.5 || points[36 + at] != 0.5;
        assert!((0..36).all(|at| area.has(at) || !moved(at)), "{norm}");
        assert!((0..36).any(moved), "{norm}");
    }
}

#[test]
fn compat_shares_squares_and_not_signs() {
    let threat = ThreatModel::new(Norm::Linf, 0.1);
    let geometry = Geometry {
        channels: 1,
        height: 9,
        width: 9,
        interleaved: false,
    };
    let origin = [0.5; 81];
    let place = |example, compat| {
        let mut candidates = Candidates::new(&threat, geometry, compat);
        candidates.resize(3);
        (1..30)
            .map(|query| {
                let dice = Dice {
                    example,
                    ..dice(query, compat)
                };
                let change = candidates.change(dice, &origin, &origin);
                (change.top, change.left)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(place(1, true), place(2, true));
    assert_ne!(place(1, false), place(2, false));
    let last = |places: Vec<(usize, usize)>| places.into_iter().map(|(top, _)| top).max();
    // Nine rows hold a square of three in the places 0 to 6, of which the authors' code draws 0 to 5.
    assert_eq!(last(place(1, true)), Some(5));
    assert_eq!(last(place(1, false)), Some(6));
}
