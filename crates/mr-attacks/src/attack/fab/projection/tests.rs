use proptest::prelude::*;
use serde_json::Value;

use super::*;

const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

fn dot(w: &[f32], t: &[f32]) -> f64 {
    w.iter()
        .zip(t)
        .map(|(&w, &t)| f64::from(w) * f64::from(t))
        .sum()
}

fn projected(norm: Norm, t: &[f32], w: &[f32], b: f64, bounds: Option<[f32; 2]>) -> Vec<f32> {
    let mut change = vec![f32::NAN; t.len()];
    let excess = dot(w, t) - b;
    Projector::default().project(norm, t, w, excess, bounds, &mut change);
    change
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 2e-6, "{found:?}, expected {expected:?}");
    }
}

#[test]
fn golden_projections() {
    let (t, w) = ([0.2, 0.9, 0.5, 0.1], [1.0, -2.0, 0.5, -1.0]);
    let of = |norm, b| projected(norm, &t, &w, b, Some([0.0, 1.0]));
    close(&of(Norm::Linf, -1.0), &[0.1, -0.1, 0.1, -0.1]);
    close(&of(Norm::L2, -1.0), &[0.072, -0.144, 0.036, -0.072]);
    close(&of(Norm::L1, -1.0), &[0.0, -0.225, 0.0, 0.0]);
    close(&of(Norm::Linf, -2.0), &[-0.14, 0.1, -0.14, 0.14]);
    close(&of(Norm::L2, -2.0), &[-0.155556, 0.1, -0.077778, 0.155556]);
}

#[test]
fn golden_projections_of_the_file() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/golden/projections.json"
    );
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = golden["hyperplane"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let row = |key: &str| serde_json::from_value::<Vec<f32>>(case[key].clone()).unwrap();
        // Where several changes are as short, the file gives none.
        for norm in NORMS
            .into_iter()
            .filter(|n| case.get(n.to_string()).is_some())
        {
            let b = case["b"].as_f64().unwrap();
            let found = projected(norm, &row("point"), &row("w"), b, Some([0.0, 1.0]));
            close(&found, &row(&norm.to_string()));
        }
    }
}

#[test]
fn without_a_box_a_plane_is_as_far_as_the_dual_norm_says() {
    let (t, w) = ([0.2, 0.9], [3.0, -4.0]);
    let b = dot(&w, &t) - 10.0;
    let of = |norm| projected(norm, &t, &w, b, None);
    close(&of(Norm::Linf), &[-10.0 / 7.0, 10.0 / 7.0]);
    close(&of(Norm::L2), &[-1.2, 1.6]);
    close(&of(Norm::L1), &[0.0, 2.5]);
}

#[test]
fn a_flat_function_and_a_point_on_the_plane_move_nothing() {
    for norm in NORMS {
        assert_eq!(
            projected(norm, &[0.5; 3], &[0.0; 3], 1.0, Some([0.0, 1.0])),
            [0.0; 3]
        );
        close(
            &projected(norm, &[0.5; 2], &[1.0, -1.0], 0.0, Some([0.0, 1.0])),
            &[0.0; 2],
        );
    }
}

fn length(norm: Norm, d: &[f64]) -> f64 {
    match norm {
        Norm::Linf => d.iter().fold(0.0, |most, d| d.abs().max(most)),
        Norm::L2 => d.iter().map(|d| d * d).sum::<f64>().sqrt(),
        _ => d.iter().map(|d| d.abs()).sum(),
    }
}

/// The least length over every choice of which coordinates stop at the box; the others share what is
/// left, for L1 by one of them. `None` if no choice meets the plane.
fn by_force(norm: Norm, t: &[f32], w: &[f32], excess: f64) -> Option<f64> {
    let width = t.len();
    let w: Vec<f64> = w.iter().map(|&w| f64::from(w) * excess.signum()).collect();
    let room: Vec<f64> = (0..width)
        .map(|i| f64::from(t[i]))
        .map(|t| [t, 1.0 - t])
        .zip(&w)
        .map(|(room, &w)| room[usize::from(w < 0.0)])
        .collect();
    let mut best: Option<f64> = None;
    let mut consider = |stopped: usize, sharers: &dyn Fn(usize) -> bool| {
        let share = |i: usize| match norm {
            _ if !sharers(i) => 0.0,
            Norm::L2 => w[i].abs(),
            _ => f64::from(w[i] != 0.0),
        };
        let is_stopped = |i: usize| stopped >> i & 1 == 1;
        let spent: f64 = (0..width)
            .filter(|&i| is_stopped(i))
            .map(|i| w[i].abs() * room[i])
            .sum();
        let rate: f64 = (0..width)
            .filter(|&i| !is_stopped(i))
            .map(|i| w[i].abs() * share(i))
            .sum();
        let left = excess.abs() - spent;
        let level = if rate > 0.0 { left / rate } else { 0.0 };
        if (rate == 0.0 && left.abs() > 1e-9) || level < -1e-9 {
            return;
        }
        let moved: Vec<f64> = (0..width)
            .map(|i| {
                if is_stopped(i) {
                    room[i]
                } else {
                    level * share(i)
                }
            })
            .collect();
        if (0..width).all(|i| moved[i] <= room[i] + 1e-9) {
            let length = length(norm, &moved);
            best = Some(best.map_or(length, |best| best.min(length)));
        }
    };
    for stopped in 0..1 << width {
        if norm == Norm::L1 {
            for one in 0..width {
                consider(stopped, &|i| i == one);
            }
        } else {
            consider(stopped, &|_| true);
        }
    }
    best
}

proptest! {
    #[test]
    fn as_short_as_any_and_on_the_plane_in_the_box(
        t in prop::collection::vec(0.0f32..=1.0, 5),
        w in prop::collection::vec(prop_oneof![Just(0.0f32), -2.0f32..2.0], 5),
        ends in prop::collection::vec(prop_oneof![3 => Just(None), 1 => Just(Some(0.0f32)), 1 => Just(Some(1.0))], 5),
        excess in -3.0f64..3.0,
    ) {
        let t: Vec<f32> = t.iter().zip(ends).map(|(&t, end)| end.unwrap_or(t)).collect();
        for norm in NORMS {
            let mut change = vec![f32::NAN; 5];
            Projector::default().project(norm, &t, &w, excess, Some([0.0, 1.0]), &mut change);
            for (&t, &d) in t.iter().zip(&change) {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&(t + d)), "{norm} leaves the box: {t} {d}");
            }
            let left = excess + dot(&w, &change);
            let wide: Vec<f64> = change.iter().map(|&d| f64::from(d)).collect();
            if let Some(best) = by_force(norm, &t, &w, excess) {
                    prop_assert!(left.abs() < 1e-5, "{norm} misses the plane by {left}");
                    let found = length(norm, &wide);
                    prop_assert!((found - best).abs() < 1e-4, "{norm}: {found}, best {best}");
            } else {
                    // As far as the box goes, and not beyond the plane.
                    prop_assert!(left * excess.signum() > -1e-6);
                    let most: f64 = (0..5)
                        .map(|i| f64::from(w[i] * change[i]).abs())
                        .sum();
                    let room = |i: usize| if w[i] * excess.signum() as f32 > 0.0 { t[i] } else { 1.0 - t[i] };
                    let all: f64 = (0..5).map(|i| f64::from(w[i].abs() * room(i))).sum();
                    prop_assert!((most - all).abs() < 1e-5, "{norm}: {most} of {all}");
            }
        }
    }
}
