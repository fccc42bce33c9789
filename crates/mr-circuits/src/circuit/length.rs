//! How long it takes to say which parts are meant.

/// Bits that name `kept` of `all` parts: `log2 (all + 1)` for how many, and `log2 C(all, kept)` for which
/// (the enumerative code of Cover 1973, under a uniform choice of the size). A circuit that is short to tell
/// leaves much out, or keeps nearly everything.
///
/// # Panics
/// If there are fewer than are kept.
pub fn description_length(kept: usize, all: usize) -> f64 {
    assert!(kept <= all, "{kept} of {all}");
    let smaller = kept.min(all - kept);
    let which: f64 = (0..smaller)
        .map(|i| ((all - i) as f64 / (i + 1) as f64).log2())
        .sum();
    ((all + 1) as f64).log2() + which
}

#[cfg(test)]
mod tests {
    use super::description_length;

    #[test]
    fn two_of_four_are_one_of_six() {
        let bits = description_length(2, 4);
        assert!((bits - (5.0_f64.log2() + 6.0_f64.log2())).abs() < 1e-12);
        assert!((description_length(0, 7) - 3.0).abs() < 1e-12);
        assert!((description_length(7, 7) - 3.0).abs() < 1e-12);
        assert!((description_length(3, 9) - description_length(6, 9)).abs() < 1e-9);
    }
}
