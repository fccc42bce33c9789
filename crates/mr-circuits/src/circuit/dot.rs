//! Circuits for Graphviz.

use std::fmt::Write;

use super::graph::Circuit;
use super::nodes::Nodes;

const STRING: &str = "a string takes everything that is written to it";

impl Circuit {
    /// The circuit in the DOT language: nodes of one layer in one rank, the input at the bottom, edges as
    /// wide as the square root of their score, blue where it is above 0 and orange below.
    pub fn to_dot(&self) -> String {
        let nodes = Nodes::of(self.wiring());
        let touched = self.nodes();
        let mut text = String::from(
            "digraph circuit {\n  rankdir=BT;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
        );
        let mut at = 0;
        while at < nodes.names.len() {
            let order = nodes.orders[at];
            let end = nodes.orders.partition_point(|&other| other <= order);
            let here = nodes.names[at..end].iter();
            let here: Vec<String> = here
                .filter(|name| touched.contains(name))
                .map(|name| format!("\"{name}\";"))
                .collect();
            if !here.is_empty() {
                writeln!(text, "  {{ rank=same; {} }}", here.join(" ")).expect(STRING);
            }
            at = end;
        }
        let largest = self
            .scored()
            .fold(0.0_f32, |all, (_, score)| all.max(score.abs()));
        for (edge, score) in self.scored() {
            let (from, to) = (
                &self.wiring().writers[edge.writer],
                &self.wiring().readers[edge.reader],
            );
            let share = if largest > 0.0 {
                score.abs() / largest
            } else {
                1.0
            };
            let width = 0.5 + 3.5 * share.sqrt();
            let colour = if score < 0.0 { "#D55E00" } else { "#0072B2" };
            let slot = to
                .slot
                .map_or(String::new(), |slot| format!(", headlabel=\"{slot}\""));
            writeln!(
                text,
                "  \"{}\" -> \"{}\" [penwidth={width:.2}, color=\"{colour}\", tooltip=\"{score:e}\"{slot}];",
                from.node, to.node
            )
            .expect(STRING);
        }
        text.push_str("}\n");
        text
    }
}
