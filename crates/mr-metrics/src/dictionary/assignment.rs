//! The best pairing of rows and columns.

use crate::error::{MetricError, finite, same_length};

/// The pairs `(row, column)` of the largest total gain in which no row and no column stands twice, sorted
/// by row: as many as the smaller of the two numbers. `gains` is row-major `[row, column]`.
///
/// The assignment problem, solved exactly by shortest augmenting paths with dual prices (Jonker & Volgenant
/// 1987; in the rectangular form of Crouse 2016), in `O(rows^2 columns)` at most. Which of several best
/// pairings is found does not vary.
///
/// # Errors
/// If there is no row or column, the gains are not so many, or one is NaN or infinite.
pub fn best_assignment(
    gains: &[f64],
    rows: usize,
    columns: usize,
) -> Result<Vec<(usize, usize)>, MetricError> {
    finite("the gains of an assignment", gains)?;
    same_length("gains, and rows times columns", gains.len(), rows * columns)?;
    if rows > columns {
        let turned: Vec<f64> = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| gains[row * columns + column]))
            .collect();
        let mut pairs: Vec<_> = cheapest(&turned, columns, rows)
            .into_iter()
            .map(|(column, row)| (row, column))
            .collect();
        pairs.sort_unstable();
        return Ok(pairs);
    }
    Ok(cheapest(gains, rows, columns))
}

/// The same for no more rows than columns.
fn cheapest(gains: &[f64], rows: usize, columns: usize) -> Vec<(usize, usize)> {
    let mut row_price = vec![0.0; rows];
    let mut column_price = vec![0.0; columns];
    let mut row_of: Vec<Option<usize>> = vec![None; columns];
    for start in 0..rows {
        // Dijkstra over reduced costs from this row to the nearest free column.
        let mut distance = vec![f64::INFINITY; columns];
        let mut before = vec![start; columns];
        let mut done = vec![false; columns];
        let mut visited = Vec::new();
        let (mut row, mut reached) = (start, 0.0);
        let end = loop {
            let mut nearest: Option<usize> = None;
            for column in 0..columns {
                if done[column] {
                    continue;
                }
                let cost = -gains[row * columns + column];
                let through = reached + cost - row_price[row] - column_price[column];
                if through < distance[column] {
                    distance[column] = through;
                    before[column] = row;
                }
                let nearer = |other: usize| {
                    let free = row_of[column].is_none() && row_of[other].is_some();
                    distance[column] < distance[other]
                        || (distance[column] <= distance[other] && free)
                };
                if nearest.is_none_or(nearer) {
                    nearest = Some(column);
                }
            }
            let column = nearest.expect("fewer columns are taken than there are");
            done[column] = true;
            reached = distance[column];
            match row_of[column] {
                None => break column,
                Some(next) => {
                    visited.push((next, column));
                    row = next;
                }
            }
        };
        row_price[start] += reached;
        for (row, column) in visited {
            row_price[row] += reached - distance[column];
            column_price[column] -= reached - distance[column];
        }
        // Every row on the path moves to the next column.
        let mut column = end;
        loop {
            let row = before[column];
            let taken = row_of.iter().position(|&of| of == Some(row));
            row_of[column] = Some(row);
            match taken {
                Some(previous) if row != start => column = previous,
                _ => break,
            }
        }
    }
    let mut pairs: Vec<_> = row_of
        .into_iter()
        .enumerate()
        .filter_map(|(column, row)| Some((row?, column)))
        .collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn total(gains: &[f64], columns: usize, pairs: &[(usize, usize)]) -> f64 {
        pairs.iter().map(|(r, c)| gains[r * columns + c]).sum()
    }

    /// By trying all.
    fn best(gains: &[f64], columns: usize, rows: &[usize], free: &[bool]) -> f64 {
        let Some((&row, rest)) = rows.split_first() else {
            return 0.0;
        };
        let mut most = f64::NEG_INFINITY;
        for column in (0..columns).filter(|&column| free[column]) {
            let mut left = free.to_vec();
            left[column] = false;
            let value = gains[row * columns + column] + best(gains, columns, rest, &left);
            most = most.max(value);
        }
        most
    }

    #[test]
    fn the_greedy_choice_is_not_the_best() {
        // 10 first leaves 1: 11. The best is 9 + 8.
        let gains = [10.0, 9.0, 8.0, 1.0];
        assert_eq!(best_assignment(&gains, 2, 2).unwrap(), [(0, 1), (1, 0)]);
    }

    #[test]
    fn more_rows_than_columns_leave_rows_out() {
        let gains = [1.0, 5.0, 7.0, 2.0, 6.0, 6.0];
        assert_eq!(best_assignment(&gains, 3, 2).unwrap(), [(1, 0), (2, 1)]);
        assert!(best_assignment(&gains, 2, 2).is_err());
        assert!(best_assignment(&[], 0, 2).is_err());
        assert!(best_assignment(&[f64::NAN], 1, 1).is_err());
    }

    #[test]
    fn a_shuffled_identity_is_found() {
        let n = 60;
        let place = |row: usize| (row * 37 + 5) % n;
        let mut gains = vec![0.25; n * n];
        for row in 0..n {
            gains[row * n + place(row)] = 1.0;
        }
        let pairs = best_assignment(&gains, n, n).unwrap();
        assert!(pairs.iter().all(|&(row, column)| column == place(row)));
    }

    proptest! {
        #[test]
        fn no_pairing_gains_more(
            rows in 1..5_usize, columns in 1..6_usize, values in prop::collection::vec(-3..4_i32, 30)
        ) {
            let gains: Vec<f64> = values[..rows * columns].iter().map(|&v| v.into()).collect();
            let pairs = best_assignment(&gains, rows, columns).unwrap();
            prop_assert_eq!(pairs.len(), rows.min(columns));
            let expected = if rows <= columns {
                best(&gains, columns, &(0..rows).collect::<Vec<_>>(), &vec![true; columns])
            } else {
                let turned: Vec<f64> =
                    (0..rows * columns).map(|i| gains[i % rows * columns + i / rows]).collect();
                best(&turned, rows, &(0..columns).collect::<Vec<_>>(), &vec![true; rows])
            };
            prop_assert_eq!(total(&gains, columns, &pairs), expected);
            let mut seen: Vec<usize> = pairs.iter().map(|pair| pair.1).collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), pairs.len());
        }
    }
}
