//! The examples of a latent: images with the place marked, or text with its tokens shaded.

use maud::{Markup, html};
use mr_metrics::Short;
use mr_models::data::Dataset;

use super::super::fed::Fed;
use super::latents::{Example, Latent};
use crate::command::words::Words;
use crate::report::png::data_uri;

/// Tokens that are shown before the most active one, and after it.
const BEFORE: usize = 40;
const AFTER: usize = 12;
/// The colour of activity.
const ACTIVE: [f32; 3] = [1.0, 0.45, 0.0];
/// How much of a pixel that colour takes where activity is largest.
const COVER: f32 = 0.65;

/// What classes and tokens are called, and what examples look like.
pub(super) struct Names<'a> {
    pub(super) data: &'a Fed,
    pub(super) words: Words,
    /// Height and width of the site, where it is a map.
    pub(super) grid: Option<[usize; 2]>,
}

impl Names<'_> {
    /// What a logit is of.
    pub(super) fn class(&self, class: usize) -> String {
        match self.data {
            Fed::Images(data) => {
                let named = data.class_names().get(class);
                named.map_or_else(|| class.to_string(), String::clone)
            }
            _ => self.words.word(class),
        }
    }

    /// A token as it stands in a text.
    pub(super) fn token(&self, token: usize) -> String {
        self.words.word(token).replace('\u{b7}', " ")
    }

    /// The tokens of an example.
    pub(super) fn tokens(&self, example: usize) -> Vec<usize> {
        match self.data {
            Fed::Sequences(data) => {
                let tokens = data.tokens(example).iter().take(data.positions());
                tokens.map(|&token| token as usize).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// All examples of a latent.
pub(super) fn example(latent: &Latent, names: &Names<'_>) -> Markup {
    if let Fed::Images(data) = names.data {
        return html! {
            ul.shots { @for one in &latent.examples { li {
                (image(data, one, names.grid))
                (label(data, one)) br; (Short(f64::from(one.peak.value)))
            } } }
        };
    }
    html! {
        ul.lines { @for one in &latent.examples { li {
            span.amount { (Short(f64::from(one.peak.value))) }
            span.text { (text(one, names)) }
        } } }
    }
}

/// The first example, small.
pub(super) fn thumbnail(one: &Example, names: &Names<'_>) -> Markup {
    if let Fed::Images(data) = names.data {
        return html! {
            @match data_uri(&data.image(one.peak.example), data.shape()) {
                Some(uri) => img.thumb src=(uri) alt=(label(data, one));,
                None => (label(data, one)),
            }
        };
    }
    let tokens = names.tokens(one.peak.example);
    html! {
        @if let Some(&token) = tokens.get(one.peak.position) { code { (names.words.word(token)) } }
    }
}

fn label(data: &Dataset, one: &Example) -> String {
    let label = data.labels()[one.peak.example];
    let named = data.class_names().get(label);
    named.map_or_else(|| label.to_string(), String::clone)
}

/// The image in grey, coloured where the latent is active, with a frame around the position where it is most so.
fn image(data: &Dataset, one: &Example, grid: Option<[usize; 2]>) -> Markup {
    let [channels, height, width] = data.shape();
    let values = data.image(one.peak.example);
    let grid =
        grid.filter(|[rows, columns]| rows * columns == one.values.len() && rows * columns > 1);
    let Some([rows, columns]) = grid else {
        return html! {
            @match data_uri(&values, data.shape()) {
                Some(uri) => svg viewBox={ "0 0 " (width) " " (height) } {
                    image href=(uri) width=(width) height=(height) {}
                },
                None => span { "example " (one.peak.example) },
            }
        };
    };
    let area = height * width;
    let mut coloured = vec![0.0; 3 * area];
    for pixel in 0..area {
        let cell = (pixel / width * rows / height) * columns + pixel % width * columns / width;
        let cover = COVER * (one.values[cell] / one.peak.value).clamp(0.0, 1.0);
        for (channel, active) in ACTIVE.iter().enumerate() {
            let own = values[channel.min(channels - 1) * area + pixel];
            coloured[channel * area + pixel] = own * (1.0 - cover) + active * cover;
        }
    }
    let (row, column) = (one.peak.position / columns, one.peak.position % columns);
    let (tall, wide) = (height as f32 / rows as f32, width as f32 / columns as f32);
    html! {
        svg viewBox={ "0 0 " (width) " " (height) } {
            @if let Some(uri) = data_uri(&coloured, [3, height, width]) {
                image href=(uri) width=(width) height=(height) style="image-rendering: pixelated" {}
            }
            rect x=(column as f32 * wide) y=(row as f32 * tall) width=(wide) height=(tall)
                fill="none" stroke="#00a0ff" stroke-width=(width as f32 / 40.0) {}
        }
    }
}

/// The text around the most active token; each token is as dark as the latent is active.
fn text(one: &Example, names: &Names<'_>) -> Markup {
    let tokens = names.tokens(one.peak.example);
    let first = one.peak.position.saturating_sub(BEFORE);
    let last = tokens.len().min(one.peak.position + AFTER + 1);
    // Neighbours that are not active are one piece.
    let mut pieces: Vec<(String, f32, bool)> = Vec::new();
    for (at, &token) in tokens.iter().enumerate().take(last).skip(first) {
        let value = one.values.get(at).copied().unwrap_or(0.0) / one.peak.value;
        let value = value.clamp(0.0, 1.0);
        let is_peak = at == one.peak.position;
        let word = names.token(token);
        match pieces.last_mut() {
            Some((text, 0.0, false)) if value == 0.0 && !is_peak => text.push_str(&word),
            _ => pieces.push((word, value, is_peak)),
        }
    }
    html! {
        @if first > 0 { "… " }
        @for (word, value, is_peak) in pieces {
            @if value == 0.0 { (word) } @else {
                mark.peak[is_peak] style=(format!("background:rgb(255 115 0/{:.2})", 0.08 + 0.6 * value)) { (word) }
            }
        }
        @if last < tokens.len() { " …" }
    }
}
