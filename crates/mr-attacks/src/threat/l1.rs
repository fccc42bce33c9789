//! The L1 ball. Both algorithms sort coordinates, on the host.

use burn::tensor::Tensor;
use mr_models::floats;

use super::from_rows;

/// Share of the coordinates that a step moves.
const STEEPEST: f32 = 0.01;

/// The nearest point of L1 ball and box (Croce & Hein 2021, "Mind the box", Proposition 2.1): every
/// change shrinks by one common amount, to no less than 0 and no more than its room in the box.
pub(super) fn project(
    origin: &Tensor<2>,
    point: Tensor<2>,
    epsilon: f32,
    bounds: Option<[f32; 2]>,
) -> Tensor<2> {
    let width = point.dims()[1];
    let mut points = floats(point.clone());
    let origins = floats(origin.clone());
    for (point, origin) in points.chunks_mut(width).zip(origins.chunks(width)) {
        project_row(origin, point, f64::from(epsilon), bounds);
    }
    from_rows(points, &point)
}

/// How far a coordinate wants to move, and how far the box lets it.
struct Pull {
    size: f64,
    room: f64,
}

impl Pull {
    fn shrunk(&self, amount: f64) -> f64 {
        (self.size - amount).max(0.0).min(self.room)
    }
}

/// As [`project`], of one point.
pub(crate) fn project_row(
    origin: &[f32],
    point: &mut [f32],
    epsilon: f64,
    bounds: Option<[f32; 2]>,
) {
    let pulls: Vec<Pull> = point
        .iter()
        .zip(origin)
        .map(|(&p, &o)| Pull {
            size: (f64::from(p) - f64::from(o)).abs(),
            room: bounds.map_or(f64::INFINITY, |[low, high]| {
                f64::from(if p > o { high - o } else { o - low }).max(0.0)
            }),
        })
        .collect();
    let shrink = common_amount(&pulls, epsilon);
    for ((p, &o), pull) in point.iter_mut().zip(origin).zip(&pulls) {
        let kept = pull.shrunk(shrink);
        // An untouched coordinate keeps its bits.
        if kept < pull.size {
            let change = if *p > o { kept } else { -kept };
            *p = (f64::from(o) + change) as f32;
        }
    }
}

/// The smallest common amount by which the pulls must shrink to sum to `total` at most: a walk along
/// the piecewise linear sum, from corner to corner.
fn common_amount(pulls: &[Pull], total: f64) -> f64 {
    let mut sum: f64 = pulls.iter().map(|pull| pull.shrunk(0.0)).sum();
    if sum <= total {
        return 0.0;
    }
    // A pull starts to shrink once the amount has used up what the box cuts anyway, and ends at 0.
    let mut corners: Vec<(f64, f64)> = pulls
        .iter()
        .filter(|pull| pull.size > 0.0 && pull.room > 0.0)
        .flat_map(|pull| [((pull.size - pull.room).max(0.0), 1.0), (pull.size, -1.0)])
        .collect();
    corners.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut amount, mut slope) = (0.0, 0.0);
    for (corner, change) in corners {
        let next = sum - slope * (corner - amount);
        if next <= total && slope > 0.0 {
            return amount + (sum - total) / slope;
        }
        (amount, sum, slope) = (corner, next, slope + change);
    }
    amount
}

/// Signs of the steepest coordinates that can still move, divided by how many they are.
pub(super) fn steepest(
    point: &Tensor<2>,
    gradient: Tensor<2>,
    bounds: Option<[f32; 2]>,
) -> Tensor<2> {
    let width = gradient.dims()[1];
    let count = ((width as f32 * STEEPEST) as usize).max(1);
    let mut directions = floats(gradient.clone());
    let points = floats(point.clone());
    for (direction, point) in directions.chunks_mut(width).zip(points.chunks(width)) {
        if let Some([low, high]) = bounds {
            for (d, &p) in direction.iter_mut().zip(point) {
                if (*d > 0.0 && p >= high) || (*d < 0.0 && p <= low) {
                    *d = 0.0;
                }
            }
        }
        let mut order: Vec<usize> = (0..width).collect();
        // Equal magnitudes go by position, so that the choice is always the same.
        order.sort_by(|&a, &b| {
            direction[b]
                .abs()
                .total_cmp(&direction[a].abs())
                .then(a.cmp(&b))
        });
        for &i in &order[count..] {
            direction[i] = 0.0;
        }
        for &i in &order[..count] {
            direction[i] = if direction[i] == 0.0 {
                0.0
            } else {
                direction[i].signum() / count as f32
            };
        }
    }
    from_rows(directions, &gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projected(origin: [f32; 4], change: [f32; 4], epsilon: f64) -> Vec<f32> {
        let mut point: Vec<f32> = origin.iter().zip(change).map(|(o, c)| o + c).collect();
        project_row(&origin, &mut point, epsilon, Some([0.0, 1.0]));
        point.iter().zip(origin).map(|(p, o)| p - o).collect()
    }

    #[test]
    fn golden_box_l1_projection() {
        let change = projected([0.2, 0.9, 0.5, 0.1], [0.9, 0.6, -0.4, -0.5], 1.0);
        for (found, expected) in change.iter().zip([0.65, 0.1, -0.15, -0.1]) {
            assert!((found - expected).abs() < 1e-6, "{change:?}");
        }
    }

    #[test]
    fn a_point_inside_is_not_touched_and_nothing_is_left_at_radius_zero() {
        let change = projected([0.2, 0.9, 0.5, 0.1], [0.1, -0.2, 0.0, 0.05], 1.0);
        for (found, expected) in change.iter().zip([0.1, -0.2, 0.0, 0.05]) {
            assert!((found - expected).abs() < 1e-7, "{change:?}");
        }
        assert_eq!(projected([0.2, 0.9, 0.5, 0.1], [0.5; 4], 0.0), [0.0; 4]);
    }
}
