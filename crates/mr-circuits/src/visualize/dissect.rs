//! Network dissection.

use mr_models::{Model, ModelError, floats, run_with_cache};

use super::concepts::ConceptImages;
use crate::error::CircuitError;

/// What a channel marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Dissected {
    /// The channel.
    pub channel: usize,
    /// The activation above which it marks a pixel.
    pub threshold: f32,
    /// By concept, intersection over union of what it marks and what shows the concept, in [0, 1].
    pub overlaps: Vec<f64>,
    /// The concept that it overlaps most; of equal ones the first. None for a channel that is never active.
    pub best: Option<usize>,
}

/// Holds each channel of a map against each concept (Bau et al. 2017, "Network Dissection", section 2): the
/// channel marks the pixels where its activation, enlarged to the size of the image, is among the highest
/// `share` of all, and detects a concept as far as these are the pixels that show it. The authors take .005
/// and call an overlap above .04 a detector.
///
/// Enlarged bilinearly, between the middles of what each position stands for.
///
/// # Errors
/// [`CircuitError::Model`] for an unknown site, one that is no map, images that do not fit, or a share that is
/// not between 0 and 1.
pub fn dissect(
    model: &dyn Model,
    site: &str,
    seen: &ConceptImages,
    share: f64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Dissected>, CircuitError> {
    let spec = model.spec();
    spec.accepts(&seen.images)?;
    let held = spec.site(site)?;
    let Some(grid) = held.grid else {
        let reason = format!("`{site}` is no map: its channels mark no pixels");
        return Err(ModelError::Unfit(reason).into());
    };
    if !(share > 0.0 && share < 1.0) {
        let reason = format!("a share of {share}: must be above 0 and below 1");
        return Err(ModelError::Unfit(reason).into());
    }
    let (_, cache) = run_with_cache(model, &seen.images, &[site])?;
    let maps = floats(held.as_map(cache.get(site)?.clone()));
    let (images, cells) = (seen.images.batch(), grid[0] * grid[1]);
    let mut found = Vec::with_capacity(held.channels);
    for channel in 0..held.channels {
        let mut enlarged = Vec::with_capacity(images * seen.size[0] * seen.size[1]);
        for image in 0..images {
            let first = (image * held.channels + channel) * cells;
            enlarge(&maps[first..first + cells], grid, seen.size, &mut enlarged);
        }
        found.push(marked(channel, &enlarged, seen, share));
        progress(channel + 1, held.channels);
    }
    Ok(found)
}

fn marked(channel: usize, activation: &[f32], seen: &ConceptImages, share: f64) -> Dissected {
    let mut sorted = activation.to_vec();
    let at = ((1.0 - share) * sorted.len() as f64) as usize;
    let at = at.min(sorted.len().saturating_sub(1));
    let threshold = *sorted.select_nth_unstable_by(at, f32::total_cmp).1;
    let overlap = |mask: &[bool]| {
        let (mut both, mut either) = (0, 0);
        for (&value, &shows) in activation.iter().zip(mask) {
            let marks = value > threshold;
            both += usize::from(marks && shows);
            either += usize::from(marks || shows);
        }
        both as f64 / either.max(1) as f64
    };
    let overlaps: Vec<f64> = seen
        .concepts
        .iter()
        .map(|concept| overlap(&concept.mask))
        .collect();
    let largest = overlaps.iter().copied().fold(0.0, f64::max);
    Dissected {
        channel,
        threshold,
        best: overlaps
            .iter()
            .position(|&overlap| overlap == largest && largest > 0.0),
        overlaps,
    }
}

/// A map as large as an image, appended.
fn enlarge(map: &[f32], [rows, columns]: [usize; 2], size: [usize; 2], out: &mut Vec<f32>) {
    let place = |at: usize, large: usize, small: usize| {
        let middle = (at as f32 + 0.5) * small as f32 / large as f32 - 0.5;
        let middle = middle.clamp(0.0, small as f32 - 1.0);
        let low = middle.floor();
        (
            low as usize,
            (low as usize + 1).min(small - 1),
            middle - low,
        )
    };
    let across: Vec<_> = (0..size[1]).map(|x| place(x, size[1], columns)).collect();
    for y in 0..size[0] {
        let (top, bottom, down) = place(y, size[0], rows);
        for &(left, right, along) in &across {
            let row = |row: usize| {
                map[row * columns + left] * (1.0 - along) + map[row * columns + right] * along
            };
            out.push(row(top) * (1.0 - down) + row(bottom) * down);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{Architecture, ConvNet, Network};

    use super::super::concepts::concept_images;
    use super::*;

    #[test]
    fn maps_are_enlarged_between_their_middles() {
        let mut out = Vec::new();
        enlarge(&[0.0, 4.0], [1, 2], [1, 4], &mut out);
        assert_eq!(out, [0.0, 1.0, 3.0, 4.0]);
        out.clear();
        enlarge(&[1.0, 2.0, 3.0, 4.0], [2, 2], [2, 2], &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0]);
    }

    /// A net of one filter for each colour: it copies red, green, blue.
    fn by_colour() -> Network {
        let convnet = ConvNet {
            input: [3, 12, 12],
            widths: vec![3],
            kernel: 1,
            hidden: vec![2],
            classes: 2,
            ..ConvNet::default()
        };
        let made = Network::init(Architecture::Convnet(convnet.clone()), 0, &Device::flex());
        let made = made.unwrap();
        let named = made.weights().entries().iter().map(|entry| {
            let values = match entry.name.as_str() {
                "conv1.weight" => vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
                "conv1.bias" => vec![0.0; 3],
                _ => floats(entry.values.clone()),
            };
            (entry.name.clone(), entry.shape.clone(), values)
        });
        let named = named.collect();
        Network::with_weights(Architecture::Convnet(convnet), named, &Device::flex()).unwrap()
    }

    #[test]
    fn filters_of_one_colour_detect_it() {
        let (net, device) = (by_colour(), Device::flex());
        let seen = concept_images([3, 12, 12], 60, 0, &device);
        let found = dissect(&net, "conv1.hook_out", &seen, 0.05, &mut |_, _| {}).unwrap();
        for (channel, name) in found.iter().zip(["red", "green", "blue"]) {
            let best = channel.best.unwrap();
            assert_eq!(seen.concepts[best].name, name);
            assert!(channel.overlaps[best] > 0.5, "{:?}", channel.overlaps);
            // Chance: as many pixels elsewhere.
            let other = seen
                .concepts
                .iter()
                .position(|concept| concept.name == "disc");
            assert!(channel.overlaps[other.unwrap()] < 0.3);
        }
        let error = dissect(&net, "linear1.hook_out", &seen, 0.05, &mut |_, _| {});
        assert!(error.unwrap_err().to_string().contains("no map"));
        let error = dissect(&net, "conv1.hook_out", &seen, 1.5, &mut |_, _| {});
        assert!(error.unwrap_err().to_string().contains("below 1"));
    }
}
