//! Widths of text, and where the names of lines go.

/// An estimate of the width of a text in a common sans-serif font, on the wide side.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '\u{202f}' => 0.3,
            ' ' | 'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '-' => 0.38,
            '⁰'..='₎' | '¹' | '²' | '³' => 0.42,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.93,
            'A'..='Z' | '=' | '+' | '−' | '×' | '<' | '>' | '~' => 0.72,
            c if c.is_ascii() => 0.6,
            _ => 0.8,
        })
        .sum();
    ems * size
}

/// The text, with an ellipsis in place of what has no room.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.into();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if width(&kept, size) + width("…", size) > room {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

/// Heights at least `gap` apart, within `top..bottom` if there is room, each as near as that allows
/// to where it wants to be, in the same order.
pub(super) fn apart(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    // Neighbours that would overlap become one block around the mean of what its members want.
    let mut blocks: Vec<(f64, Vec<usize>)> = Vec::new();
    for index in order {
        let mut block = (wanted[index], vec![index]);
        while let Some((centre, members)) = blocks.last() {
            let reach = gap * (members.len() + block.1.len()) as f64 / 2.0;
            if block.0 - centre >= reach {
                break;
            }
            let (centre, mut members) = blocks.pop().expect("the loop just saw it");
            let (old, new) = (members.len() as f64, block.1.len() as f64);
            let mean = (centre * old + block.0 * new) / (old + new);
            members.extend(block.1);
            block = (mean, members);
        }
        blocks.push(block);
    }
    let mut heights = vec![0.0; wanted.len()];
    let mut least = top;
    let mut left: usize = wanted.len();
    for (centre, members) in blocks {
        let half = gap * (members.len() - 1) as f64 / 2.0;
        left -= members.len();
        let most = bottom - gap * (left + members.len() - 1) as f64;
        let first = (centre - half).min(most).max(least);
        for (position, &index) in members.iter().enumerate() {
            heights[index] = first + gap * position as f64;
        }
        least = first + gap * members.len() as f64;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::{apart, fitted, width};

    #[test]
    fn long_text_ends_in_an_ellipsis_that_fits() {
        assert_eq!(fitted("short", 12.0, 100.0), "short");
        let cut = fitted("density = 0.1, activation = linear", 12.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 100.0, "{cut}");
        assert_eq!(fitted("wide", 12.0, 0.0), "…");
        assert_eq!(fitted("", 12.0, 0.0), "");
    }

    #[test]
    fn labels_are_kept_apart_in_order_and_inside() {
        assert_eq!(apart(&[10.0, 50.0], 15.0, 0.0, 100.0), [10.0, 50.0]);
        assert_eq!(apart(&[50.0, 50.0], 20.0, 0.0, 100.0), [40.0, 60.0]);
        assert_eq!(apart(&[0.0, 1.0, 2.0], 15.0, 0.0, 100.0), [0.0, 15.0, 30.0]);
        assert_eq!(apart(&[99.0, 98.0], 15.0, 0.0, 100.0), [100.0, 85.0]);
        assert_eq!(apart(&[], 15.0, 0.0, 100.0), [0.0; 0]);
        let crowded = apart(&[5.0; 9], 15.0, 0.0, 60.0);
        assert!(
            crowded
                .windows(2)
                .all(|pair| pair[1] - pair[0] >= 15.0 - 1e-9)
        );
    }
}
