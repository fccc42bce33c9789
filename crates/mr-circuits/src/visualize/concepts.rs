//! Images with known contents.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::Input;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Something that an image may show, with the pixels that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    /// `disc`, `stripes-across`, `red`, `top`, ...
    pub name: &'static str,
    /// Of each image, row by row, one after the other: whether the pixel shows it.
    pub mask: Vec<bool>,
}

/// Images, and what is to be seen in each.
#[derive(Debug, Clone)]
pub struct ConceptImages {
    /// `[image, channel, height, width]` in [0, 1].
    pub images: Input,
    /// What there is to see.
    pub concepts: Vec<Concept>,
    /// Height and width.
    pub size: [usize; 2],
}

const SHAPES: [&str; 4] = ["disc", "square", "ring", "cross"];
const TEXTURES: [&str; 4] = ["plain", "stripes-across", "stripes-down", "stripes-aslant"];
const PLACES: [&str; 4] = ["top", "bottom", "left", "right"];
const SHADES: [&str; 2] = ["bright", "dim"];
const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// One thing in each image, of a random shape, texture, colour (of one channel: brightness) and place, before
/// a dark ground with noise. Which of them it has is drawn for each apart, so that no two concepts go together
/// more often than chance.
///
/// # Panics
/// If an image is smaller than 8 x 8.
pub fn concept_images(
    shape: [usize; 3],
    count: usize,
    seed: u64,
    device: &Device,
) -> ConceptImages {
    let [channels, height, width] = shape;
    assert!(
        height.min(width) >= 8,
        "{height}x{width} pixels show no shapes"
    );
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let colours: &[&str] = if channels == 3 { &COLOURS } else { &SHADES };
    let names = SHAPES.iter().chain(&TEXTURES).chain(colours).chain(&PLACES);
    let mut concepts: Vec<Concept> = names
        .map(|&name| Concept {
            name,
            mask: vec![false; count * height * width],
        })
        .collect();
    let mut pixels = Vec::with_capacity(count * channels * height * width);
    for image in 0..count {
        let thing = Thing::draw([height, width], colours.len(), &mut rng);
        let shown = thing.concepts([height, width]);
        let mut drawn = vec![0.0; channels * height * width];
        for at in 0..height * width {
            let (y, x) = ((at / width) as f32, (at % width) as f32);
            let is_in = thing.covers(y, x);
            for channel in 0..channels {
                let ground = rng.random_range(0.0..0.1);
                let light = thing.light(y, x, channel, channels);
                drawn[channel * height * width + at] = if is_in { light } else { ground };
            }
            if is_in {
                for &concept in &shown {
                    concepts[concept].mask[image * height * width + at] = true;
                }
            }
        }
        pixels.extend(drawn);
    }
    let data = TensorData::new(pixels, [count, channels, height, width]);
    ConceptImages {
        images: Tensor::<4>::from_data(data, device).into(),
        concepts,
        size: [height, width],
    }
}

/// What an image shows.
struct Thing {
    shape: usize,
    texture: usize,
    colour: usize,
    colours: usize,
    middle: [f32; 2],
    radius: f32,
}

impl Thing {
    fn draw([height, width]: [usize; 2], colours: usize, rng: &mut ChaCha8Rng) -> Self {
        let side = height.min(width) as f32;
        let radius = rng.random_range(0.15 * side..0.25 * side);
        let mut middle = |side: usize| rng.random_range(radius..side as f32 - 1.0 - radius);
        let middle = [middle(height), middle(width)];
        Self {
            shape: rng.random_range(0..SHAPES.len()),
            texture: rng.random_range(0..TEXTURES.len()),
            colour: rng.random_range(0..colours),
            colours,
            middle,
            radius,
        }
    }

    /// The indices of what it is, in the order of the concepts.
    fn concepts(&self, [height, width]: [usize; 2]) -> Vec<usize> {
        let places = SHAPES.len() + TEXTURES.len() + self.colours;
        let is_low = self.middle[0] > (height as f32 - 1.0) / 2.0;
        let is_right = self.middle[1] > (width as f32 - 1.0) / 2.0;
        vec![
            self.shape,
            SHAPES.len() + self.texture,
            SHAPES.len() + TEXTURES.len() + self.colour,
            places + usize::from(is_low),
            places + 2 + usize::from(is_right),
        ]
    }

    fn covers(&self, y: f32, x: f32) -> bool {
        let [dy, dx] = [(y - self.middle[0]).abs(), (x - self.middle[1]).abs()];
        let far = dy.hypot(dx);
        match SHAPES[self.shape] {
            "disc" => far <= self.radius,
            "square" => dy.max(dx) <= 0.85 * self.radius,
            "ring" => far <= self.radius && far >= 0.55 * self.radius,
            _ => dy.max(dx) <= self.radius && dy.min(dx) <= 0.3 * self.radius,
        }
    }

    fn light(&self, y: f32, x: f32, channel: usize, channels: usize) -> f32 {
        let along = match TEXTURES[self.texture] {
            "stripes-across" => y,
            "stripes-down" => x,
            "stripes-aslant" => (y + x) / 2.0_f32.sqrt(),
            _ => 0.0,
        };
        let is_gap = self.texture > 0 && along.rem_euclid(4.0) >= 2.0;
        let full = match (channels, SHADES.get(self.colour)) {
            (3, _) => f32::from(u8::from(channel == self.colour)),
            (_, Some(&"dim")) => 0.5,
            _ => 1.0,
        };
        if is_gap { 0.2 * full } else { full }
    }
}

#[cfg(test)]
mod tests {
    use mr_models::floats;

    use super::*;

    #[test]
    fn masks_mark_what_is_drawn() {
        let found = concept_images([3, 16, 20], 40, 1, &Device::flex());
        let pixels = floats(found.images.real());
        assert_eq!(pixels.len(), 40 * 3 * 320);
        let mask = |name: &str| {
            let mut all = found.concepts.iter();
            &all.find(|concept| concept.name == name).unwrap().mask
        };
        let plain = mask("plain");
        for (at, &is_red) in mask("red").iter().enumerate() {
            let (image, pixel) = (at / 320, at % 320);
            let red = pixels[image * 960 + pixel];
            if is_red {
                assert!(!mask("blue")[at] && pixels[image * 960 + 640 + pixel] == 0.0);
                assert!(if plain[at] {
                    red == 1.0
                } else {
                    red >= 0.2 - 1e-6
                });
            }
        }
        // Every image is of one shape, in one half.
        for (of, count) in [(&SHAPES, 1), (&PLACES, 2)] {
            for image in 0..40 {
                let shown = of
                    .iter()
                    .filter(|name| mask(name)[image * 320..][..320].contains(&true));
                assert_eq!(shown.count(), count);
            }
        }
        let again = concept_images([3, 16, 20], 40, 1, &Device::flex());
        assert_eq!(floats(again.images.real()), pixels);
    }

    #[test]
    fn grey_images_have_shades() {
        let found = concept_images([1, 12, 12], 4, 0, &Device::flex());
        let names: Vec<&str> = found.concepts.iter().map(|concept| concept.name).collect();
        assert!(names.contains(&"dim") && !names.contains(&"red"));
        assert_eq!(names.len(), 14);
    }
}
