//! The wiring of a chain of layers.

use crate::site::Site;
use crate::wiring::{Joined, Port, Wiring};

/// The wiring of layers whose sites are `NAME.hook_pre`, `NAME.hook_out` each, and `NAME.hook_out` alone
/// for the logits. Nodes are the channels of the input, of maps and of vectors, and the logits.
pub(super) fn chain(input_channels: usize, sites: &[Site]) -> Wiring {
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for channel in 0..input_channels {
        let node = match input_channels {
            1 => "input".into(),
            _ => format!("input.c{channel}"),
        };
        let site = "input".to_string();
        writers.push(Port::new(node, site, channel..channel + 1, [0, 0]));
    }
    let mut order = 0;
    for site in sites {
        let (layer, part) = site.name.rsplit_once('.').unwrap_or((&site.name, ""));
        let letter = if site.grid.is_some() { 'c' } else { 'n' };
        let nodes =
            (0..site.channels).map(|channel| (format!("{layer}.{letter}{channel}"), channel));
        let is_read = part == "hook_pre";
        order += usize::from(is_read);
        let port =
            |node, channels| Port::new(node, site.name.clone(), channels, [site.stage, order]);
        let ports = nodes.map(|(node, channel)| port(node, channel..channel + 1));
        if is_read {
            readers.extend(ports);
        } else if sites.last() == Some(site) {
            let all = 0..site.channels;
            let at = [site.stage, order + 1];
            readers.push(Port::new("logits".into(), site.name.clone(), all, at));
        } else {
            writers.extend(ports);
        }
    }
    Wiring {
        writers,
        readers,
        joined: Joined::Layers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_reaches_the_next_layer_alone() {
        let sites = [
            Site::map("conv1.hook_pre", 2, 4, 4),
            Site::map("conv1.hook_out", 2, 4, 4),
            Site::vector("linear1.hook_pre", 3).in_stage(1),
            Site::vector("linear1.hook_out", 3).in_stage(1),
            Site::vector("linear2.hook_out", 10).in_stage(2),
        ];
        let wiring = chain(1, &sites);
        let names: Vec<String> = wiring
            .edges()
            .into_iter()
            .map(|edge| {
                assert!(wiring.reaches(edge));
                let name = wiring.name(edge);
                assert_eq!(wiring.edge(&name).unwrap(), edge);
                name
            })
            .collect();
        let expected = [
            "input->conv1.c0",
            "input->conv1.c1",
            "conv1.c0->linear1.n0",
            "conv1.c1->linear1.n0",
            "conv1.c0->linear1.n1",
            "conv1.c1->linear1.n1",
            "conv1.c0->linear1.n2",
            "conv1.c1->linear1.n2",
            "linear1.n0->logits",
            "linear1.n1->logits",
            "linear1.n2->logits",
        ];
        assert_eq!(names, expected);
        assert_eq!(wiring.layers(), [[0..1, 0..2], [1..3, 2..5], [3..6, 5..6]]);
        assert_eq!(wiring.readers[5].channels, 0..10);
        assert!(wiring.edge("input->linear1.n0").is_err());
        assert!(wiring.edge("input->logits").is_err());
        assert_eq!(chain(3, &sites).writers[2].node, "input.c2");
    }
}
