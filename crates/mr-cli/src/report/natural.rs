//! The order in which a person lists names: `[32]` before `[256]`.

use std::cmp::Ordering;

/// Compares runs of digits by the numbers that they are, and everything else by character.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number, rest) = digits(left);
            let (other, other_rest) = digits(right);
            (left, right) = (rest, other_rest);
            // Without leading zeros the longer number is the larger one.
            let (number, other) = (
                number.trim_start_matches('0'),
                other.trim_start_matches('0'),
            );
            number.len().cmp(&other.len()).then(number.cmp(other))
        } else {
            left = &left[x.len_utf8()..];
            right = &right[y.len_utf8()..];
            x.cmp(&y)
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then(a.cmp(b))
}

/// The digits at the start, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_are_ordered_by_size() {
        let mut names = [
            "h = [256]",
            "h = [32]",
            "h = [32, 8]",
            "g",
            "h = [032]",
            "",
            "é2",
            "é10",
        ];
        names.sort_by(|a, b| natural(a, b));
        let sorted = [
            "",
            "g",
            "h = [32, 8]",
            "h = [032]",
            "h = [32]",
            "h = [256]",
            "é2",
            "é10",
        ];
        assert_eq!(names, sorted);
    }
}
