//! What the Square attack proposes for one example.

use mr_models::Change;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::randomness::Draw;
use crate::threat::{Norm, ThreatModel, project_l1};
use crate::victim::Geometry;

/// The random numbers of one query of one example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice {
    pub(super) seed: u64,
    pub(super) restart: u32,
    pub(super) query: u32,
    pub(super) example: u64,
    pub(super) compat: bool,
}

impl Dice {
    /// Where squares lie: in the authors' code in the same place for all examples.
    fn places(&self) -> ChaCha8Rng {
        let example = if self.compat { 0 } else { self.example };
        self.draw("square").rng(example)
    }

    /// Which signs they have, where examples differ even in the authors' code.
    fn signs(&self) -> ChaCha8Rng {
        self.draw("square signs").rng(self.example)
    }

    fn draw(&self, attack: &'static str) -> Draw<'static> {
        Draw {
            seed: self.seed,
            attack,
            restart: self.restart,
            step: self.query,
        }
    }
}

fn sign(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random() { 1.0 } else { -1.0 }
}

/// A square of the canvas.
#[derive(Debug, Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    side: usize,
}

impl Place {
    fn has(&self, row: usize, column: usize) -> bool {
        (self.row..self.row + self.side).contains(&row)
            && (self.column..self.column + self.side).contains(&column)
    }

    /// Rows and columns, counted from the square's corner, with where they lie on the canvas.
    fn pixels(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.side * self.side)
            .map(move |i| (i, self.row + i / self.side, self.column + i % self.side))
    }
}

/// Proposes changes within a threat, on the part of the picture that may change.
pub(super) struct Candidates<'t> {
    threat: &'t ThreatModel,
    geometry: Geometry,
    /// The first row and column that may change, and how many may.
    corner: [usize; 2],
    size: [usize; 2],
    compat: bool,
    side: usize,
    /// L2 and L1: what is added to a square, upright and lying, `[side, side]`.
    bumps: [Vec<f32>; 2],
}

impl<'t> Candidates<'t> {
    pub(super) fn new(threat: &'t ThreatModel, geometry: Geometry, compat: bool) -> Self {
        let (corner, size) = match &threat.area {
            Some(area) => ([area.top, area.left], [area.height, area.width]),
            None => ([0, 0], [geometry.height, geometry.width]),
        };
        Self {
            threat,
            geometry,
            corner,
            size,
            compat,
            side: 0,
            bumps: [Vec::new(), Vec::new()],
        }
    }

    /// Height and width of what may change.
    pub(super) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// From now on squares have this side.
    pub(super) fn resize(&mut self, side: usize) {
        if side == self.side {
            return;
        }
        self.side = side;
        if self.threat.norm != Norm::Linf {
            self.bumps = bumps(side, self.threat.norm);
        }
    }

    fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        let [top, left] = self.corner;
        self.geometry.at(channel, top + row, left + column)
    }

    fn boxed(&self, value: f32) -> f32 {
        match self.threat.in_box() {
            Some([low, high]) => value.clamp(low, high),
            None => value,
        }
    }

    fn place(&self, rng: &mut ChaCha8Rng) -> Place {
        let [height, width] = self.size;
        let mut corner = |length: usize| {
            let places = length - self.side + usize::from(!self.compat);
            rng.random_range(0..places.max(1) as u64) as usize
        };
        Place {
            row: corner(height),
            column: corner(width),
            side: self.side,
        }
    }

    /// Where the search begins: for Linf in stripes of epsilon up and down, else with bumps in a grid of
    /// five by five.
    pub(super) fn start(&mut self, dice: Dice, origin: &[f32]) -> Vec<f32> {
        let [height, width] = self.size;
        let epsilon = self.threat.epsilon;
        let mut signs = dice.signs();
        let mut point = origin.to_vec();
        if self.threat.norm == Norm::Linf {
            for channel in 0..self.geometry.channels {
                for column in 0..width {
                    let step = epsilon * sign(&mut signs);
                    for row in 0..height {
                        let at = self.at(channel, row, column);
                        point[at] = self.boxed(origin[at] + step);
                    }
                }
            }
            return point;
        }
        let shorter = height.min(width);
        let side = (shorter / 5).max(1);
        self.resize(side);
        let edge = shorter.saturating_sub(5 * side) / 2;
        let mut places = dice.places();
        let mut change = vec![0.0; origin.len()];
        for top in (edge..).step_by(side).take(height / side) {
            for left in (edge..).step_by(side).take(width / side) {
                let bump = usize::from(places.random::<bool>());
                for channel in 0..self.geometry.channels {
                    let sign = sign(&mut signs);
                    let place = Place {
                        row: top,
                        column: left,
                        side,
                    };
                    for (i, row, column) in place.pixels() {
                        if row < height && column < width {
                            change[self.at(channel, row, column)] += sign * self.bumps[bump][i];
                        }
                    }
                }
            }
        }
        if self.threat.norm == Norm::L2 {
            let scale = epsilon / (length(&change, Norm::L2) as f32).max(f32::MIN_POSITIVE);
            for ((point, &origin), change) in point.iter_mut().zip(origin).zip(&change) {
                *point = self.boxed(origin + change * scale);
            }
        } else {
            for (point, change) in point.iter_mut().zip(&change) {
                *point += change;
            }
            self.project_l1(origin, &mut point);
        }
        point
    }

    fn project_l1(&self, origin: &[f32], point: &mut [f32]) {
        let epsilon = f64::from(self.threat.epsilon) * (1.0 - 1e-6);
        project_l1(origin, point, epsilon, self.threat.in_box());
    }

    /// The next change of a point.
    pub(super) fn change(&self, dice: Dice, origin: &[f32], point: &[f32]) -> Change {
        match self.threat.norm {
            Norm::Linf | Norm::L0 => self.one_square(dice, origin, point),
            Norm::L2 | Norm::L1 => self.two_squares(dice, origin, point),
        }
    }

    /// Linf: 2 epsilon up or down in a square, by channel, then back into ball and box.
    fn one_square(&self, dice: Dice, origin: &[f32], point: &[f32]) -> Change {
        let epsilon = self.threat.epsilon;
        let mut rng = dice.places();
        let place = self.place(&mut rng);
        let mut values = Vec::with_capacity(self.geometry.channels * self.side * self.side);
        for channel in 0..self.geometry.channels {
            let step = 2.0 * epsilon * sign(&mut rng);
            for (_, row, column) in place.pixels() {
                let at = self.at(channel, row, column);
                let moved = (point[at] + step)
                    .max(origin[at] - epsilon)
                    .min(origin[at] + epsilon);
                values.push(self.boxed(moved));
            }
        }
        let [top, left] = self.corner;
        Change {
            top: top + place.row,
            left: left + place.column,
            height: self.side,
            width: self.side,
            values,
        }
    }

    /// L2 and L1: what two squares hold of the perturbation, and what is left of epsilon, goes into one
    /// of them, as its own perturbation plus a bump.
    fn two_squares(&self, dice: Dice, origin: &[f32], point: &[f32]) -> Change {
        let norm = self.threat.norm;
        let channels = self.geometry.channels;
        let mut places = dice.places();
        let mut signs = dice.signs();
        let (into, from) = (self.place(&mut places), self.place(&mut places));
        let bump = &self.bumps[usize::from(places.random::<bool>())];
        let mut changed = point.to_vec();
        let far = |at: usize| point[at] - origin[at];
        let all: Vec<f32> = (0..point.len()).map(far).collect();
        let epsilon = f64::from(self.threat.epsilon);
        let whole = length(&all, norm);
        let spare = match norm {
            Norm::L2 => (epsilon * epsilon - whole * whole).max(0.0),
            _ => (epsilon - whole).max(0.0),
        } / channels as f64;
        for channel in 0..channels {
            let coordinates = |place: Place| {
                place
                    .pixels()
                    .map(move |(i, row, column)| (i, row, column, self.at(channel, row, column)))
            };
            let own: Vec<f32> = coordinates(into).map(|(.., at)| far(at)).collect();
            let both = coordinates(into)
                .map(|(.., at)| far(at))
                .chain(
                    coordinates(from)
                        .filter(|&(_, row, column, _)| !into.has(row, column))
                        .map(|(.., at)| far(at)),
                )
                .collect::<Vec<f32>>();
            let both = length(&both, norm);
            // The authors' L1 gives each channel what all may have; the projection takes it back.
            let room = match norm {
                Norm::L2 => (spare + both * both).sqrt(),
                _ => (spare + both) * channels as f64,
            };
            let sign = sign(&mut signs);
            let scale = (1.0 / (1e-12 + length(&own, norm))) as f32;
            let mut fresh = own;
            for (value, bump) in fresh.iter_mut().zip(bump) {
                *value = *value * scale + sign * bump;
            }
            // Of a picture of one pixel the two can cancel out.
            if length(&fresh, norm) < 1e-6 {
                fresh = bump.iter().map(|bump| sign * bump).collect();
            }
            let scale = (room / (1e-12 + length(&fresh, norm))) as f32;
            for (.., at) in coordinates(from) {
                changed[at] = origin[at];
            }
            for (i, .., at) in coordinates(into) {
                changed[at] = origin[at] + fresh[i] * scale;
            }
        }
        match norm {
            Norm::L2 => self.scale_l2(origin, &mut changed),
            _ => self.project_l1(origin, &mut changed),
        }
        self.between(point, &changed)
    }

    /// Brings a change to length epsilon, unless it is that up to rounding, and into the box.
    fn scale_l2(&self, origin: &[f32], point: &mut [f32]) {
        let change: Vec<f32> = point.iter().zip(origin).map(|(p, o)| p - o).collect();
        let scale = f64::from(self.threat.epsilon) / (1e-12 + length(&change, Norm::L2));
        let off = (scale - 1.0).abs() > 1e-6;
        for ((point, &origin), change) in point.iter_mut().zip(origin).zip(change) {
            if off {
                *point = origin + change * scale as f32;
            }
            *point = self.boxed(*point);
        }
    }

    /// The window of what differs; one pixel where nothing does.
    fn between(&self, old: &[f32], new: &[f32]) -> Change {
        let [height, width] = self.size;
        let channels = self.geometry.channels;
        let (mut top, mut left, mut bottom, mut right) = (height, width, 0, 0);
        for channel in 0..channels {
            for row in 0..height {
                for column in 0..width {
                    let at = self.at(channel, row, column);
                    if old[at] != new[at] {
                        (top, bottom) = (top.min(row), bottom.max(row + 1));
                        (left, right) = (left.min(column), right.max(column + 1));
                    }
                }
            }
        }
        if bottom == 0 {
            (top, left, bottom, right) = (0, 0, 1, 1);
        }
        let mut values = Vec::with_capacity(channels * (bottom - top) * (right - left));
        for channel in 0..channels {
            for row in top..bottom {
                values.extend((left..right).map(|column| new[self.at(channel, row, column)]));
            }
        }
        Change {
            top: self.corner[0] + top,
            left: self.corner[1] + left,
            height: bottom - top,
            width: right - left,
            values,
        }
    }
}

fn length(values: &[f32], norm: Norm) -> f64 {
    let values = values.iter().map(|&value| f64::from(value));
    match norm {
        Norm::L2 => values.map(|value| value * value).sum::<f64>().sqrt(),
        _ => values.map(f64::abs).sum(),
    }
}

/// Two hills of opposite sign side by side, of length 1 together; upright and lying.
pub(super) fn bumps(side: usize, norm: Norm) -> [Vec<f32>; 2] {
    let half = side / 2;
    let mut upright = hill(half, side, norm);
    upright.extend(hill(side - half, side, norm).iter().map(|value| -value));
    scale_to_one(&mut upright, norm);
    let lying = (0..side * side)
        .map(|i| upright[i % side * side + i / side])
        .collect();
    [upright, lying]
}

/// A hill `[rows, columns]` of length 1: rectangles that grow from the middle, each lower.
fn hill(rows: usize, columns: usize, norm: Norm) -> Vec<f32> {
    let power = if norm == Norm::L2 { 2 } else { 4 };
    let (middle_row, middle_column) = (rows / 2, columns / 2);
    let mut hill = vec![0.0; rows * columns];
    for ring in 0..=middle_row.max(middle_column) {
        let height = 1.0 / ((ring + 1) as f32).powi(power);
        let across = |middle: usize, end: usize| {
            let from = middle.saturating_sub(ring);
            from..(middle + ring + 1).min(end)
        };
        for row in across(middle_row, rows) {
            for column in across(middle_column, columns) {
                hill[row * columns + column] += height;
            }
        }
    }
    scale_to_one(&mut hill, norm);
    hill
}

fn scale_to_one(values: &mut [f32], norm: Norm) {
    let length = length(values, norm);
    if length > 0.0 {
        for value in values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}
