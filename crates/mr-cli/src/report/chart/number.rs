//! Numbers as they are written at an axis.

/// `0.02`, `500`, and from there on `2×10⁻⁵`.
pub(super) fn power(digit: u32, decade: i32) -> String {
    if (-3..=4).contains(&decade) {
        let decimals = (-decade).max(0) as usize;
        let value = f64::from(digit) * 10f64.powi(decade);
        return grouped(&format!("{value:.decimals$}"));
    }
    let times = if digit == 1 {
        String::new()
    } else {
        format!("{digit}×")
    };
    format!("{times}10{}", raised(decade))
}

/// A number at a linear axis with as many digits as its step needs.
pub(super) fn number(value: f64, step: f64) -> String {
    let value = if value.abs() < 1e-9 * step {
        0.0
    } else {
        value
    };
    let size = value.abs().max(step);
    if size >= 1e6 || step < 1e-5 {
        if value == 0.0 {
            return "0".into();
        }
        let decade = value.abs().log10().floor() as i32;
        let digits = value / 10f64.powi(decade);
        let decimals = (decade - step.log10().floor() as i32).clamp(0, 12) as usize;
        let digits = trimmed(&format!("{digits:.decimals$}"));
        return minus(&format!("{digits}×10{}", raised(decade)));
    }
    // 2.5 needs one digit more than its power of ten says.
    let decimals = (1 - step.log10().floor() as i32).max(0) as usize;
    minus(&grouped(&trimmed(&format!("{value:.decimals$}"))))
}

pub(in super::super) fn trimmed(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text.into()
    }
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// Thousands apart by a narrow space, from five digits on.
pub(super) fn grouped(text: &str) -> String {
    let digits = text.trim_start_matches('-');
    if digits.len() < 5 || digits.contains('.') {
        return text.into();
    }
    let mut grouped = String::from(&text[..text.len() - digits.len()]);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

pub(in super::super) fn raised(exponent: i32) -> String {
    exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '4' => '⁴',
            '5' => '⁵',
            '6' => '⁶',
            '7' => '⁷',
            '8' => '⁸',
            '9' => '⁹',
            _ => '⁰',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{number, power};

    #[test]
    fn numbers_have_the_digits_that_their_step_needs() {
        assert_eq!(number(0.75, 0.25), "0.75");
        assert_eq!(number(-3.0, 1.0), "−3");
        assert_eq!(number(1e-17, 0.5), "0");
        assert_eq!(number(12_345.0, 5.0), "12\u{202f}345");
        assert_eq!(number(2.5e-7, 5e-8), "2.5×10⁻⁷");
        assert_eq!(number(-3e6, 1e6), "−3×10⁶");
    }

    #[test]
    fn powers_of_ten_are_raised_where_zeros_would_be_counted() {
        assert_eq!(power(2, -2), "0.02");
        assert_eq!(power(1, 4), "10\u{202f}000");
        assert_eq!(power(1, 5), "10⁵");
        assert_eq!(power(5, -12), "5×10⁻¹²");
    }
}
