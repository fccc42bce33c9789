//! Drops of water and mud on the lens, with the settings of CIFAR-10-C, by severity.
//!
//! The shape of drops is that of the published code, which takes an image library's edge detector,
//! distance transform and histogram equalisation, on 8 bits: what they do is done here to the bit.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::picture::{Border, Picture, Plane};

/// Pale turquoise and brown, in 8 bits.
const WATER: [f32; 3] = [175.0, 238.0, 238.0];
const MUD: [f32; 3] = [63.0, 42.0, 20.0];

/// Water that shines at the rims of its drops (severities 1 to 3), mud that covers (4 and 5). Drops of
/// larger images are larger; images of other than three channels get the mean of the colour.
pub(crate) fn spatter(image: &Picture, level: usize, rng: &mut ChaCha8Rng) -> Picture {
    let [_, height, width] = image.shape();
    let drawn = Plane::of(height, width, |_, _| StandardNormal.sample(rng));
    of_layer(image, level, &drawn)
}

/// The same with a given layer of standard normal values.
fn of_layer(image: &Picture, level: usize, drawn: &Plane) -> Picture {
    let mean = [0.62, 0.65, 0.65, 0.65, 0.65][level];
    let spread = [0.1, 0.1, 0.3, 0.1, 0.1][level];
    let sigma = [0.7, 0.8, 1.0, 0.7, 0.5][level];
    let threshold = [0.7, 0.7, 0.69, 0.69, 0.68][level];
    let (scale, [channels, ..]) = (image.scale(), image.shape());
    let layer = each(drawn, |value| mean + spread * value);
    let layer = layer.gaussian(sigma * scale, 4.0, Border::Nearest);
    let wet = each(&layer, |v| if v < threshold { 0.0 } else { v });
    let colour = |of: [f32; 3], channel: usize| match channels {
        3 => of[channel] / 255.0,
        _ => of.iter().sum::<f32>() / 3.0 / 255.0,
    };
    let mut channel = 0..channels;
    if level < 3 {
        let water = each(&shine(&wet), |value| 0.5 * value);
        return image.map_planes(|plane| {
            let shade = colour(WATER, channel.next().unwrap_or(0));
            both(&plane, &water, |value, water| value + water * shade)
        });
    }
    let mud = each(&wet, |value| f32::from(value > threshold));
    let mud = mud.gaussian(0.6 * scale, 4.0, Border::Nearest);
    let mud = each(&mud, |value| if value < 0.8 { 0.0 } else { value });
    image.map_planes(|plane| {
        let shade = colour(MUD, channel.next().unwrap_or(0));
        both(&plane, &mud, |value, mud| value * (1.0 - mud) + shade * mud)
    })
}

fn each(plane: &Plane, mut change: impl FnMut(f32) -> f32) -> Plane {
    let values = plane.values.iter().map(|&value| change(value)).collect();
    Plane { values, ..*plane }
}

fn both(plane: &Plane, other: &Plane, mut change: impl FnMut(f32, f32) -> f32) -> Plane {
    let mut others = other.values.iter();
    each(plane, |value| {
        change(value, *others.next().expect("of one size"))
    })
}

/// How bright water of this thickness is, the brightest 1: thick where it lies, and embossed by how far
/// it is to the nearest rim. No water shines nowhere.
fn shine(wet: &Plane) -> Plane {
    let wet = each(wet, |value| (value * 255.0).trunc().clamp(0.0, 255.0));
    let from_rims = each(
        &distance(&rims(&wet, 50.0, 150.0), wet.height, wet.width),
        |far| far.min(20.0),
    );
    let smooth = from_rims.filtered(&[1.0 / 9.0; 9], Border::Mirror);
    // Nine equal parts of a whole number make it again, whatever a ninth is rounded to.
    let levels = equalised(&each(&smooth, |value| (value + 1e-5).trunc()));
    let emboss = [-2.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0, 1.0, 2.0];
    let embossed = each(&levels.filtered(&emboss, Border::Mirror), |v| {
        v.clamp(0.0, 255.0)
    });
    let soft = embossed.filtered(&[1.0; 9], Border::Mirror);
    let bright = both(&wet, &soft, |wet, soft| wet * (soft / 9.0).round());
    let most = bright.values.iter().copied().fold(0.0, f32::max);
    each(&bright, |value| value / most.max(1.0))
}

/// Where a map of 8-bit values has edges (Canny 1986): pixels whose slope is a maximum across the edge
/// and above `low`, and that hang together with one above `high`. Slopes are sums over both axes.
fn rims(map: &Plane, low: f32, high: f32) -> Vec<bool> {
    let (height, width) = (map.height, map.width);
    let across = [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0];
    let down = [-1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0];
    let across = map.filtered(&across, Border::Nearest);
    let down = map.filtered(&down, Border::Nearest);
    let slope = both(&across, &down, |x, y| x.abs() + y.abs());
    let tan = std::f64::consts::FRAC_PI_8.tan();
    let highest = |at: usize| {
        let (row, column) = ((at / width) as isize, (at % width) as isize);
        let (x, y) = (f64::from(across.values[at]), f64::from(down.values[at]));
        let own = slope.values[at];
        let near =
            |rows: isize, columns: isize| slope.at(row + rows, column + columns, Border::Black);
        if y.abs() < x.abs() * tan {
            own > near(0, -1) && own >= near(0, 1)
        } else if y.abs() > x.abs() / tan {
            own > near(-1, 0) && own >= near(1, 0)
        } else {
            let side = if (x < 0.0) == (y < 0.0) { 1 } else { -1 };
            own > near(-1, -side) && own > near(1, side)
        }
    };
    let ridge: Vec<bool> = (0..height * width)
        .map(|at| slope.values[at] > low && highest(at))
        .collect();
    let strong = |at: &usize| ridge[*at] && slope.values[*at] > high;
    let mut open: Vec<usize> = (0..height * width).filter(strong).collect();
    let mut edge = vec![false; height * width];
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut edge[at], true) {
            continue;
        }
        let (row, column) = (at / width, at % width);
        for row in row.saturating_sub(1)..(row + 2).min(height) {
            for column in column.saturating_sub(1)..(column + 2).min(width) {
                let near = row * width + column;
                if ridge[near] && !edge[near] {
                    open.push(near);
                }
            }
        }
    }
    edge
}

/// How far each pixel is from the nearest edge: a way of steps to the side (1), across a corner (1.4)
/// and as a knight moves (2.1969), in two passes (Borgefors 1986).
fn distance(edge: &[bool], height: usize, width: usize) -> Plane {
    let mut far = Plane::of(height, width, |row, column| {
        if edge[row * width + column] {
            0.0
        } else {
            8192.0
        }
    });
    let before = [
        (-2, -1, 2.1969),
        (-2, 1, 2.1969),
        (-1, -2, 2.1969),
        (-1, -1, 1.4),
        (-1, 0, 1.0),
        (-1, 1, 1.4),
        (-1, 2, 2.1969),
        (0, -1, 1.0),
    ];
    let mut nearer = |at: usize, turn: isize| {
        let (row, column) = ((at / width) as isize, (at % width) as isize);
        for (down, right, step) in before {
            let (row, column) = (row + turn * down, column + turn * right);
            let inside =
                (0..height as isize).contains(&row) && (0..width as isize).contains(&column);
            if inside {
                let way = far.at(row, column, Border::Nearest) + step;
                far.values[at] = far.values[at].min(way);
            }
        }
    };
    for at in 0..height * width {
        nearer(at, 1);
    }
    for at in (0..height * width).rev() {
        nearer(at, -1);
    }
    far
}

/// Values 0 to 255 spread so that as many are below as in the mean over all: the share of values up to
/// each, without the smallest.
fn equalised(map: &Plane) -> Plane {
    let mut counts = [0usize; 256];
    for &value in &map.values {
        counts[value as usize] += 1;
    }
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let rest = map.values.len() - counts[first];
    if rest == 0 {
        return map.clone();
    }
    let scale = 255.0 / rest as f32;
    let mut sum = 0;
    let mut level = [0.0; 256];
    for value in first + 1..256 {
        sum += counts[value];
        level[value] = (sum as f32 * scale).round_ties_even();
    }
    each(map, |value| level[value as usize])
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn numbers(list: &Value) -> Vec<f32> {
        let list = list.as_array().expect("a list");
        let number = |v: &Value| v.as_f64().expect("a number") as f32;
        list.iter().map(number).collect()
    }

    /// Against the published code's way through OpenCV and scikit-image, from the same draws.
    #[test]
    fn as_the_peer_does() {
        let golden: Value = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/golden/spatter.json"
        )))
        .unwrap();
        let [height, width] = [24, 32];
        let values = numbers(&golden["bytes"])
            .iter()
            .map(|v| v / 255.0)
            .collect();
        let image = Picture::new([3, height, width], values).unwrap();
        let runs = golden["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 5);
        let drawn = numbers(&golden["drawn"]);
        let drawn = Plane::of(height, width, |row, column| drawn[row * width + column]);
        for (level, run) in runs.iter().enumerate() {
            let found = of_layer(&image, level, &drawn);
            let expected = numbers(&run["every_7th"]);
            let apart = found.values().iter().step_by(7).zip(&expected);
            let worst = apart.fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
            assert!(worst < 1e-5, "severity {}: {worst}", level + 1);
            assert!(found != image, "severity {}", level + 1);
        }
    }

    #[test]
    fn a_step_has_one_edge_and_distances_are_ways() {
        let step = Plane::of(5, 6, |_, column| if column < 3 { 0.0 } else { 200.0 });
        let edge = rims(&step, 50.0, 150.0);
        let columns: Vec<usize> = (0..30).filter(|&at| edge[at]).map(|at| at % 6).collect();
        assert_eq!(columns, [2, 2, 2, 2, 2]);
        let mut one = vec![false; 30];
        one[0] = true;
        let far = distance(&one, 5, 6);
        assert_eq!(far.values[..3], [0.0, 1.0, 2.0]);
        assert_eq!([far.values[7], far.values[8]], [1.4, 2.1969]);
    }

    #[test]
    fn no_water_changes_nothing() {
        let flat = Picture::new([1, 8, 8], vec![0.5; 64]).unwrap();
        let dry = Plane::of(8, 8, |_, _| -9.0);
        for level in 0..5 {
            assert_eq!(of_layer(&flat, level, &dry), flat);
        }
    }
}
