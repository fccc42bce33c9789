//! Circuits as pictures.

use std::fmt::Write;

use mr_models::{Port, Slot};

use super::graph::Circuit;
use super::nodes::Nodes;

const STRING: &str = "a string takes everything that is written to it";
/// Colours of edges that raise and that lower the objective: Okabe and Ito's.
const RAISES: &str = "#0072B2";
const LOWERS: &str = "#D55E00";
const TEXT: &str = "#1A1D21";
const MUTED: &str = "#5B6570";
const FAINT: &str = "#D8DDE2";
/// Height of a node, and how far apart rows are.
const HEIGHT: f64 = 24.0;
const ROW: f64 = 78.0;
/// How far apart nodes of a row are.
const GAP: f64 = 14.0;
const MARGIN: f64 = 24.0;
/// Above the first row: title and legend.
const HEADER: f64 = 64.0;
/// A row of more nodes shows only those of the circuit.
const CROWD: usize = 24;
/// A row that would be wider shows them as bars without their names, which are told on hovering.
const WIDEST: f64 = 1800.0;

/// A node's place.
#[derive(Debug, Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    width: f64,
    is_kept: bool,
}

/// The circuit as an SVG document: layers from bottom to top, each edge of it as wide and as dark as its
/// score, blue where it raises the objective and orange where it lowers it. Nodes that are not in the
/// circuit are pale. A head's queries, keys and values enter it at the left, the middle and the right.
pub fn drawing(circuit: &Circuit, title: &str) -> String {
    let nodes = Nodes::of(circuit.wiring());
    let (places, size) = places(circuit, &nodes, 8.0 * title.chars().count() as f64);
    let mut svg = String::new();
    let (width, height) = size;
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>{0}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"28\" font-size=\"14\" fill=\"{TEXT}\">{0}</text>",
        escaped(title)
    )
    .expect(STRING);
    legend(&mut svg, circuit);
    edges(&mut svg, circuit, &nodes, &places);
    for (node, place) in places.iter().enumerate() {
        if let Some(place) = place {
            boxed(&mut svg, &nodes.names[node], *place);
        }
    }
    slots(&mut svg, circuit, &nodes, &places);
    svg.push_str("</svg>\n");
    svg
}

/// Where nodes stand, `None` for those not shown, and the size of the picture, which is as wide as its title.
fn places(circuit: &Circuit, nodes: &Nodes, title: f64) -> (Vec<Option<Place>>, (f64, f64)) {
    let kept = circuit.nodes();
    let is_kept = |node: usize| kept.contains(&nodes.names[node]);
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut last = None;
    for node in 0..nodes.names.len() {
        let order = Some(nodes.orders[node]);
        if order != last {
            rows.push(Vec::new());
            last = order;
        }
        rows.last_mut().expect("it was just pushed").push(node);
    }
    for row in &mut rows {
        if row.len() > CROWD {
            row.retain(|&node| is_kept(node));
        }
    }
    rows.retain(|row| !row.is_empty());
    let named = |node: usize| 20.0 + 6.6 * nodes.names[node].chars().count() as f64;
    // The width of a node and the gap behind it.
    let size = |row: &[usize], node: usize| {
        if row.iter().map(|&node| named(node) + GAP).sum::<f64>() > WIDEST {
            let pitch = (WIDEST / row.len() as f64).clamp(2.0, 24.0);
            return (0.7 * pitch, 0.3 * pitch);
        }
        (named(node), GAP)
    };
    let length = |row: &[usize]| {
        let sizes = row.iter().map(|&node| size(row, node));
        sizes.map(|(wide, gap)| wide + gap).sum::<f64>()
    };
    let widest = rows.iter().map(|row| length(row)).fold(0.0, f64::max);
    // Room for the legend beside a thin network.
    let width = (widest.max(title) + 2.0 * MARGIN).max(460.0);
    let height = HEADER + ROW * rows.len() as f64;
    let mut places = vec![None; nodes.names.len()];
    for (at, row) in rows.iter().enumerate() {
        let y = height - ROW * (at as f64 + 0.5);
        let mut x = (width - length(row)) / 2.0;
        // Edges that pass a row of one node would lie on top of each other and of the node.
        if row.len() == 1 && at > 0 && at + 1 < rows.len() {
            x += if at % 2 == 0 {
                width / 5.0
            } else {
                -width / 5.0
            };
        }
        for &node in row {
            let (width, gap) = size(row, node);
            places[node] = Some(Place {
                x: x + width / 2.0,
                y,
                width,
                is_kept: is_kept(node),
            });
            x += width + gap;
        }
    }
    (places, (width, height))
}

fn legend(svg: &mut String, circuit: &Circuit) {
    let (kept, all) = (circuit.len(), circuit.edges());
    let share = 100.0 * kept as f64 / all.max(1) as f64;
    let (x, y) = (MARGIN, 46.0);
    writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" fill=\"{MUTED}\">{kept} of {all} edges ({share:.1} %)</text>"
    )
    .expect(STRING);
    let mut x = x + 170.0;
    for (colour, what) in [(RAISES, "raises"), (LOWERS, "lowers the objective")] {
        writeln!(
            svg,
            "<path d=\"M{x} {0}h18\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{1}\" y=\"{y}\" fill=\"{MUTED}\">{what}</text>",
            y - 4.0,
            x + 24.0
        )
        .expect(STRING);
        x += 76.0;
    }
}

fn edges(svg: &mut String, circuit: &Circuit, nodes: &Nodes, places: &[Option<Place>]) {
    let mut drawn: Vec<_> = circuit.scored().collect();
    // Strong edges lie above weak ones.
    drawn.sort_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    let largest = drawn.last().map_or(0.0, |(_, score)| score.abs());
    writeln!(svg, "<g fill=\"none\" stroke-linecap=\"round\">").expect(STRING);
    for (edge, score) in drawn {
        let ends = (
            places[nodes.writers[edge.writer]],
            places[nodes.readers[edge.reader]],
        );
        let (Some(from), Some(to)) = ends else {
            continue;
        };
        let reader = &circuit.wiring().readers[edge.reader];
        let share = if largest > 0.0 {
            f64::from(score.abs() / largest)
        } else {
            1.0
        };
        let (x, y) = (from.x, from.y - HEIGHT / 2.0);
        let (to_x, to_y) = (entry(to, reader), to.y + HEIGHT / 2.0);
        let reach = (y - to_y).max(ROW / 2.0) * 0.45;
        // Long edges swing out, past the nodes between.
        let rows = ((y - to_y) / ROW).floor();
        let side = if to_x + x < places_middle(places) * 2.0 {
            -1.0
        } else {
            1.0
        };
        let swing = if rows > 1.0 {
            side * (10.0 + 9.0 * rows)
        } else if rows == 1.0 {
            // The curve is off by three quarters of the swing where it passes the one row, half way.
            let middle = f64::midpoint(x, to_x);
            let passed = places.iter().flatten();
            let passed = passed.filter(|place| place.y < from.y && place.y > to.y);
            (gap(passed, middle) - middle) / 0.75
        } else {
            0.0
        };
        writeln!(
            svg,
            "<path d=\"M{x:.1} {y:.1}C{:.1} {:.1} {:.1} {:.1} {to_x:.1} {to_y:.1}\" stroke=\"{}\" \
             stroke-width=\"{:.2}\" stroke-opacity=\"{:.2}\"><title>{} {score:e}</title></path>",
            x + swing,
            y - reach,
            to_x + swing,
            to_y + reach,
            if score < 0.0 { LOWERS } else { RAISES },
            0.7 + 4.3 * share.sqrt(),
            0.25 + 0.65 * share.sqrt(),
            escaped(&circuit.wiring().name(edge)),
        )
        .expect(STRING);
    }
    svg.push_str("</g>\n");
}

/// Where an edge best passes a row of nodes: where none is, nearest to `x`.
fn gap<'a>(row: impl Iterator<Item = &'a Place>, x: f64) -> f64 {
    let mut ends: Vec<(f64, f64)> = row
        .map(|place| (place.x - place.width / 2.0, place.x + place.width / 2.0))
        .collect();
    ends.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (Some(&(first, _)), Some(&(_, last))) = (ends.first(), ends.last()) else {
        return x;
    };
    let between = ends.windows(2);
    let between = between.map(|pair| f64::midpoint(pair[0].1, pair[1].0));
    let gaps = between.chain([x.min(first - GAP), x.max(last + GAP)]);
    let far = |gap: &f64| (gap - x).abs();
    gaps.min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(x)
}

/// The middle of the picture.
fn places_middle(places: &[Option<Place>]) -> f64 {
    let xs = || places.iter().flatten();
    let left = xs().map(|place| place.x).fold(f64::INFINITY, f64::min);
    let right = xs().map(|place| place.x).fold(0.0, f64::max);
    f64::midpoint(left, right)
}

/// Where an edge enters a node.
fn entry(place: Place, reader: &Port) -> f64 {
    let third = place.width / 3.0;
    place.x
        + match reader.slot {
            Some(Slot::Q) => -third,
            Some(Slot::V) => third,
            Some(Slot::K) | None => 0.0,
        }
}

fn boxed(svg: &mut String, name: &str, place: Place) {
    let Place {
        x,
        y,
        width,
        is_kept,
    } = place;
    let (stroke, ink, fill) = if is_kept {
        (TEXT, TEXT, "white")
    } else {
        (FAINT, "#8A949E", "#FAFBFC")
    };
    if width < 20.0 {
        writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{ink}\">\
             <title>{}</title></rect>",
            x - width / 2.0,
            y - HEIGHT / 2.0,
            escaped(name)
        )
        .expect(STRING);
        return;
    }
    writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"5\" fill=\"{fill}\" \
         stroke=\"{stroke}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{}</text>",
        x - width / 2.0,
        y - HEIGHT / 2.0,
        y + 4.0,
        escaped(name)
    )
    .expect(STRING);
}

/// The letters of queries, keys and values below the heads that read by them.
fn slots(svg: &mut String, circuit: &Circuit, nodes: &Nodes, places: &[Option<Place>]) {
    let mut named: Vec<usize> = circuit.scored().map(|(edge, _)| edge.reader).collect();
    named.sort_unstable();
    named.dedup();
    for reader in named {
        let port = &circuit.wiring().readers[reader];
        if let (Some(slot), Some(place)) = (port.slot, places[nodes.readers[reader]]) {
            writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"8\" text-anchor=\"middle\" fill=\"{MUTED}\">{slot}</text>",
                entry(place, port) + 6.0,
                place.y + HEIGHT / 2.0 + 9.0
            )
            .expect(STRING);
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{Place, gap};

    #[test]
    fn an_edge_passes_a_row_between_its_nodes() {
        let row = [100.0, 200.0].map(|x| Place {
            x,
            y: 0.0,
            width: 80.0,
            is_kept: true,
        });
        // Nodes lie at 60 to 140 and at 160 to 240.
        for (x, expected) in [(110.0, 150.0), (190.0, 150.0), (70.0, 46.0), (300.0, 300.0)] {
            assert_eq!(gap(row.iter(), x), expected, "{x}");
        }
        assert_eq!(gap([].iter(), 7.0), 7.0);
    }
}
