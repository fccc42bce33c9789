//! Projections and steps, on anything that can be drawn.

use burn::tensor::{Device, Tensor, TensorData};
use mr_attacks::{Area, Norm, Place, ThreatModel};
use mr_models::floats;
use proptest::prelude::*;

fn tensor(values: &[f32]) -> Tensor<2> {
    let shape = [1, values.len()];
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
}

fn length(norm: Norm, change: &[f32]) -> f64 {
    let sizes = change.iter().map(|v| f64::from(v.abs()));
    match norm {
        Norm::Linf => sizes.fold(0.0, f64::max),
        Norm::L2 => sizes.map(|v| v * v).sum::<f64>().sqrt(),
        Norm::L1 => sizes.sum(),
        Norm::L0 => sizes.filter(|&size| size > 0.0).count() as f64,
    }
}

fn norms() -> impl Strategy<Value = Norm> {
    prop_oneof![
        Just(Norm::Linf),
        Just(Norm::L2),
        Just(Norm::L1),
        Just(Norm::L0),
    ]
}

prop_compose! {
    /// An origin in the box, and a point anywhere.
    fn points()(size in 1_usize..20)(
        origin in prop::collection::vec(0.0_f32..=1.0, size),
        point in prop::collection::vec(-2.0_f32..3.0, size),
    ) -> (Vec<f32>, Vec<f32>) {
        (origin, point)
    }
}

proptest! {
    #[test]
    fn a_projection_lands_in_ball_and_box_and_stays(
        (origin, point) in points(),
        norm in norms(),
        epsilon in prop_oneof![Just(0.0_f32), 0.0_f32..4.0],
        boxed in any::<bool>(),
    ) {
        let place = if boxed { Place::Input } else { Place::site("any") };
        let threat = ThreatModel::new(norm, epsilon).at(place);
        let origin_tensor = tensor(&origin);
        let once = threat.project(&origin_tensor, tensor(&point));
        let found = floats(once.clone());
        let change: Vec<f32> = found.iter().zip(&origin).map(|(p, o)| p - o).collect();
        let reach = f64::from(epsilon) * (1.0 + 1e-6) + 1e-6;
        prop_assert!(length(norm, &change) <= reach, "{} > {reach}", length(norm, &change));
        if boxed {
            prop_assert!(found.iter().all(|v| (0.0..=1.0).contains(v)), "{found:?}");
        }
        if epsilon == 0.0 {
            prop_assert_eq!(&found, &origin);
        }
        let twice = floats(threat.project(&origin_tensor, once));
        for (a, b) in twice.iter().zip(&found) {
            prop_assert!((a - b).abs() <= 2e-6, "{a} after {b}");
        }
    }

    /// Confined to an area, a threat leaves everything else alone, and is that of its own inside.
    #[test]
    fn a_confined_projection_is_one_inside_the_area(
        (origin, point) in points(),
        norm in norms(),
        epsilon in 0.0_f32..4.0,
        from in 0_usize..20,
        count in 1_usize..20,
    ) {
        let width = origin.len();
        let left = from % width;
        let area = Area {
            picture: [1, width],
            top: 0,
            left,
            height: 1,
            width: count.min(width - left),
        };
        let threat = ThreatModel::new(norm, epsilon);
        let confined = threat.clone().within(area);
        let found = floats(confined.project(&tensor(&origin), tensor(&point)));
        let inside = left..left + area.width;
        let part = |values: &[f32]| tensor(&values[inside.clone()]);
        let own = floats(threat.project(&part(&origin), part(&point)));
        for at in 0..width {
            if inside.contains(&at) {
                prop_assert!((found[at] - own[at - left]).abs() <= 2e-6);
            } else {
                prop_assert_eq!(found[at], origin[at]);
            }
        }
    }

    #[test]
    fn a_point_inside_is_not_touched(
        (origin, point) in points(),
        norm in norms(),
    ) {
        let inside: Vec<f32> = point.iter().map(|p| p.clamp(0.0, 1.0)).collect();
        let threat = ThreatModel::new(norm, 100.0);
        let found = floats(threat.project(&tensor(&origin), tensor(&inside)));
        // Linf clamps into [origin - 100, origin + 100], which rounds nothing either.
        prop_assert_eq!(found, inside);
    }

    #[test]
    fn a_step_has_length_one_and_climbs(
        (point, gradient) in points(),
        norm in prop_oneof![Just(Norm::Linf), Just(Norm::L2), Just(Norm::L1)],
    ) {
        let threat = ThreatModel::new(norm, 1.0).at(Place::site("any"));
        let step = floats(threat.steepest(&tensor(&point), tensor(&gradient)));
        let size = length(norm, &step);
        let dot: f64 = step.iter().zip(&gradient).map(|(s, g)| f64::from(s * g)).sum();
        if gradient.iter().all(|g| *g == 0.0) {
            prop_assert_eq!(size, 0.0);
        } else {
            prop_assert!((size - 1.0).abs() < 1e-5, "{size}");
            prop_assert!(dot > 0.0);
        }
    }
}
