//! What is patched: paths from every sender to some receivers.

use mr_models::Wiring;

use super::result::Cells;

/// Every writer with an edge to one of these receivers. Names that are none are left to path patching itself,
/// which tells near matches.
pub(super) fn senders(wiring: &Wiring, receivers: &[String]) -> Vec<String> {
    let is_one = |reader: usize| receivers.contains(&wiring.readers[reader].to_string());
    let edges = wiring.edges();
    let sends = |writer: usize| {
        let mut own = edges.iter().filter(|edge| edge.writer == writer);
        own.any(|edge| is_one(edge.reader))
    };
    let writers = wiring.writers.iter().enumerate();
    writers
        .filter(|(writer, _)| sends(*writer))
        .map(|(_, port)| port.to_string())
        .collect()
}

/// Values of senders as a table: rows of layers, the last on top, by heads and MLP or by channels; the input
/// below.
pub(super) fn table(senders: &[String], values: &[f32]) -> Cells {
    let place = |name: &str| -> (String, String) {
        let head = name
            .strip_prefix('a')
            .and_then(|rest| rest.split_once(".h"));
        match (head, name.strip_prefix('m')) {
            (Some((layer, head)), _) => (format!("layer {layer}"), format!("head {head}")),
            (None, Some(layer)) => (format!("layer {layer}"), "MLP".into()),
            (None, None) => match name.rsplit_once('.') {
                Some((layer, channel)) => (layer.into(), channel.into()),
                None => (name.into(), "all".into()),
            },
        }
    };
    let places: Vec<(String, String)> = senders.iter().map(|name| place(name)).collect();
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    for (row, column) in &places {
        for (all, one) in [(&mut rows, row), (&mut columns, column)] {
            if !all.contains(one) {
                all.push(one.clone());
            }
        }
    }
    rows.reverse();
    // Heads and channels by their number, then what has none.
    let order = |name: &String| -> (usize, usize) {
        let number = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        number.parse().map_or((1, 0), |number| (0, number))
    };
    columns.sort_by_key(order);
    let cell = |row: &String, column: &String| {
        let at = places.iter().position(|(a, b)| a == row && b == column);
        at.map_or(f32::NAN, |at| values[at])
    };
    let cells = rows
        .iter()
        .map(|row| columns.iter().map(|column| cell(row, column)).collect())
        .collect();
    (rows, columns, cells)
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn senders_stand_by_layer_with_the_last_on_top() {
        let names = ["input", "a0.h0", "a0.h1", "m0", "a1.h0"].map(String::from);
        let (rows, columns, cells) = table(&names, &[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(rows, ["layer 1", "layer 0", "input"]);
        assert_eq!(columns, ["head 0", "head 1", "all", "MLP"]);
        assert_eq!(cells[1][..2], [2.0, 3.0]);
        assert_eq!((cells[1][3], cells[2][2], cells[0][0]), (4.0, 1.0, 5.0));
        assert!(cells[0][1].is_nan());
    }
}
