//! The smallest change that brings a point onto a plane and leaves it in a box.

use std::collections::BinaryHeap;

use crate::threat::Norm;

/// Solves `min ||d||` such that `w . (t + d) = b` and `t + d` is in the box, for Linf, L2 and L1; where
/// the box does not meet the plane, goes as far towards it as the box lets it. Keeps its memory from one
/// call to the next.
///
/// Every coordinate moves towards the plane, if at all, by `m_i` from 0 to its room in the box, and
/// `sum |w_i| m_i` is given. For Linf all move by one amount, for L2 by one multiple of `|w_i|`, unless
/// they run out of room before: a sum that is concave in that one number, which Newton's method reaches
/// from below in a few passes, each over the coordinates that still have room (as Michelot 1986 projects
/// onto the simplex). For L1 the steepest coordinates use up their room first: a heap gives as many as it
/// takes. Nothing is sorted; Croce & Hein 2020 (section 2.1) sort all coordinates and then bisect.
#[derive(Default)]
pub(super) struct Projector {
    /// Where a coordinate runs out of room, and how fast it brings the plane nearer until then.
    moving: Vec<(f64, f64)>,
    steepest: Vec<Steep>,
}

/// A coordinate, the steeper the greater; of equal ones the first.
#[derive(Clone, Copy, PartialEq)]
struct Steep {
    slope: f32,
    at: usize,
}

impl Eq for Steep {}

impl Ord for Steep {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let by_slope = self.slope.total_cmp(&other.slope);
        by_slope.then(other.at.cmp(&self.at))
    }
}

impl PartialOrd for Steep {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Projector {
    /// Writes the change to `change`. `excess` is `w . t - b`, which the change takes away.
    pub(super) fn project(
        &mut self,
        norm: Norm,
        t: &[f32],
        w: &[f32],
        excess: f64,
        bounds: Option<[f32; 2]>,
        change: &mut [f32],
    ) {
        // Downhill where there is too much, uphill where there is too little.
        let side = if excess >= 0.0 { 1.0f32 } else { -1.0 };
        let need = excess.abs();
        let room = |i: usize| match bounds {
            None => f32::INFINITY,
            Some([low, high]) => {
                let room = if side * w[i] > 0.0 {
                    t[i] - low
                } else {
                    high - t[i]
                };
                room.max(0.0)
            }
        };
        if norm == Norm::L1 {
            self.steepest_first(w, need, side, room, change);
            return;
        }
        let in_proportion = norm == Norm::L2;
        self.moving.clear();
        self.moving.extend(
            (0..t.len())
                .map(|i| (f64::from(room(i)), f64::from(w[i].abs())))
                .filter(|&(room, w)| w > 0.0 && room > 0.0)
                .map(|(room, w)| {
                    if in_proportion {
                        (room / w, w * w)
                    } else {
                        (room, w)
                    }
                }),
        );
        let level = self.level(need);
        for i in 0..t.len() {
            let most = if in_proportion {
                (level * f64::from(w[i].abs())) as f32
            } else {
                level as f32
            };
            change[i] = if w[i] == 0.0 {
                0.0
            } else {
                -side * w[i].signum() * most.min(room(i))
            };
        }
    }

    /// The level at which `sum rate * min(level, end)` is what is needed; infinity if it never is.
    fn level(&mut self, need: f64) -> f64 {
        let mut spent = 0.0;
        let mut rates: f64 = self.moving.iter().map(|(_, rate)| rate).sum();
        while !self.moving.is_empty() {
            let level = (need - spent) / rates;
            let before = self.moving.len();
            rates = 0.0;
            self.moving.retain(|&(end, rate)| {
                let stays = end > level;
                if stays {
                    rates += rate;
                } else {
                    spent += rate * end;
                }
                stays
            });
            if self.moving.len() == before {
                return level;
            }
        }
        f64::INFINITY
    }

    fn steepest_first(
        &mut self,
        w: &[f32],
        mut need: f64,
        side: f32,
        room: impl Fn(usize) -> f32,
        change: &mut [f32],
    ) {
        change.fill(0.0);
        let mut order = std::mem::take(&mut self.steepest);
        order.clear();
        order.extend((0..w.len()).filter(|&i| w[i] != 0.0).map(|at| Steep {
            slope: w[at].abs(),
            at,
        }));
        let mut heap = BinaryHeap::from(order);
        while need > 0.0
            && let Some(Steep { slope, at }) = heap.pop()
        {
            let slope = f64::from(slope);
            let moved = (need / slope).min(f64::from(room(at)));
            change[at] = -side * w[at].signum() * moved as f32;
            need -= slope * moved;
        }
        self.steepest = heap.into_vec();
    }
}

#[cfg(test)]
mod tests;
