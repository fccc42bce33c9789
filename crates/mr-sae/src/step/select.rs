//! The largest values of a row, and of a batch.

/// The `k` largest values of a row above a floor, by their place in ascending order; of equal values the
/// first. A code's floor is 0, since it holds what is below as 0 whether it is chosen or not.
///
/// `room` is memory that calls share.
pub(super) fn top_k(
    row: &[f32],
    k: usize,
    floor: f32,
    room: &mut Vec<(f32, u32)>,
    mut take: impl FnMut(u32, f32),
) {
    room.clear();
    if k == 0 {
        return;
    }
    // Values at most this large are out: below the floor, or there are `k` larger ones, or equal ones before them.
    let mut bar = floor;
    let full = (4 * k).max(64);
    for (first, part) in row.chunks(LANES).enumerate() {
        // Most parts hold nothing above the bar, and this maximum is taken many values at a time.
        if part
            .iter()
            .fold(f32::NEG_INFINITY, |most, &value| most.max(value))
            <= bar
        {
            continue;
        }
        for (at, &value) in part.iter().enumerate() {
            if value > bar {
                room.push((value, (first * LANES + at) as u32));
            }
        }
        if room.len() >= full {
            bar = keep(room, k);
        }
    }
    if room.len() > k {
        keep(room, k);
    }
    room.sort_unstable_by_key(|&(_, at)| at);
    for &(value, at) in &*room {
        take(at, value);
    }
}

/// Values that are looked at together.
const LANES: usize = 32;

/// Keeps the `k` largest, and gives the least of them.
fn keep(room: &mut Vec<(f32, u32)>, k: usize) -> f32 {
    let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let (_, least, _) = room.select_nth_unstable_by(k - 1, order);
    let least = least.0;
    room.truncate(k);
    least
}

/// The least value that is among the `count` largest positive ones of several rows, and how many of those that equal it are
/// among them. `None` where no value is left out.
pub(super) fn bar(rows: &[&[f32]], count: usize) -> Option<(f32, usize)> {
    // Positive floats are ordered as their bits are.
    let mut high = vec![0usize; 1 << 15];
    let positive = || {
        let all = rows.iter().flat_map(|row| row.iter());
        all.filter(|&&value| value > 0.0)
            .map(|value| value.to_bits())
    };
    for bits in positive() {
        high[(bits >> 16) as usize] += 1;
    }
    let (top, left) = reached(&high, count)?;
    let mut low = vec![0usize; 1 << 16];
    for bits in positive().filter(|bits| (bits >> 16) as usize == top) {
        low[(bits & 0xffff) as usize] += 1;
    }
    let (end, left) = reached(&low, left)?;
    let bits = (top << 16 | end) as u32;
    Some((f32::from_bits(bits), left))
}

/// The bin, from the highest down, in which `count` is reached, and how many of that bin are still wanted.
fn reached(bins: &[usize], mut count: usize) -> Option<(usize, usize)> {
    for (bin, &held) in bins.iter().enumerate().rev() {
        if held >= count && held > 0 {
            return Some((bin, count));
        }
        count -= held;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(row: &[f32], k: usize) -> Vec<(u32, f32)> {
        let mut taken = Vec::new();
        top_k(row, k, 0.0, &mut Vec::new(), |at, value| {
            taken.push((at, value));
        });
        taken
    }

    #[test]
    fn the_largest_come_in_the_order_of_their_places() {
        assert_eq!(found(&[0.5, -3.0, 2.0, 1.0, 2.0], 2), [(2, 2.0), (4, 2.0)]);
        assert_eq!(found(&[1.0, 1.0, 1.0], 2), [(0, 1.0), (1, 1.0)]);
        assert_eq!(found(&[0.0, -1.0, 0.25], 2), [(2, 0.25)]);
        assert_eq!(found(&[1.0], 0), []);
    }

    #[test]
    fn a_batch_has_one_bar() {
        let (a, b) = ([3.0, 1.0, -1.0], [2.0, 2.0, 0.0]);
        let of = |count| bar(&[&a, &b], count);
        assert_eq!(of(1), Some((3.0, 1)));
        assert_eq!(of(2), Some((2.0, 1)));
        assert_eq!(of(3), Some((2.0, 2)));
        assert_eq!(of(4), Some((1.0, 1)));
        assert_eq!(of(5), None);
    }

    proptest! {
        #[test]
        fn as_sorting_would_have_it(
            row in proptest::collection::vec(-1.0f32..1.0, 1..400),
            k in 1usize..50,
        ) {
            let mut sorted: Vec<(u32, f32)> = row
                .iter()
                .enumerate()
                .filter(|&(_, &value)| value > 0.0)
                .map(|(at, &value)| (at as u32, value))
                .collect();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let positive = sorted.len();
            let least = sorted.get(k - 1).map(|&(_, value)| value);
            prop_assert_eq!(bar(&[&row], k).map(|(value, _)| value), least.filter(|_| k <= positive));
            sorted.truncate(k);
            sorted.sort_unstable_by_key(|&(at, _)| at);
            prop_assert_eq!(found(&row, k), sorted);
        }
    }
}
