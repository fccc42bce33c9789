//! The pages: an index of all latents, and so many latents a page. They need no network and no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use mr_metrics::Short;

use super::example::{Names, example, thumbnail};
use super::latents::Latent;
use crate::report::style;

/// Latents of a page.
pub(super) const LATENTS: usize = 100;

/// What stands above all pages.
pub(super) struct Heading {
    /// The dictionary and its site.
    pub(super) title: String,
    /// What is said of it: name and value.
    pub(super) facts: Vec<(String, String)>,
    /// How effects on logits were found.
    pub(super) effects: &'static str,
    /// Latents by the log10 of their density: where a bin begins and how many it holds.
    pub(super) densities: Vec<(f64, u64)>,
}

/// What the shared style sheet lacks.
const SHEET: &str = "
.latent { padding-top: 1.25rem; margin-top: 1.5rem; }
.latent h2 { font-size: 1.15rem; margin-bottom: .2rem; }
.columns { display: grid; grid-template-columns: 11rem 1fr 1fr 1fr; gap: 1.25rem; font: .8rem/1.45 var(--sans); margin: .5rem 0 .75rem; }
.columns h4 { font-size: .8rem; margin: 0 0 .25rem; color: var(--quiet); }
.columns ol { list-style: none; margin: 0; padding: 0; }
.columns li { display: flex; justify-content: space-between; gap: .6rem; font-variant-numeric: tabular-nums; }
.columns li > :first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars { display: block; width: 100%; height: 3.6rem; border-bottom: 1px solid var(--quiet); }
.bars rect { fill: #2a78d6; }
.scale { display: flex; justify-content: space-between; color: var(--quiet); font: .72rem/1.4 var(--sans); }
.shots { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: 0; padding: 0; font: .72rem/1.3 var(--sans); color: var(--quiet); }
.shots li { width: 5.25rem; }
.shots svg, .thumb { display: block; width: 100%; height: auto; image-rendering: pixelated; border-radius: 3px; outline: 1px solid var(--line); }
.thumb { width: 2.2rem; }
.lines { list-style: none; margin: 0; padding: 0; font: .78rem/1.7 var(--mono); }
.lines li { display: flex; gap: .75rem; border-bottom: 1px solid var(--line); }
.lines .amount { flex: none; width: 3.2rem; text-align: right; color: var(--quiet); font-family: var(--sans); }
.lines .text { white-space: pre-wrap; overflow-wrap: anywhere; }
.lines mark { color: inherit; border-radius: 2px; } .lines mark.peak { outline: 1.5px solid currentColor; }
.pages { font: .88rem/1.6 var(--sans); } .pages a { margin-right: .9rem; white-space: nowrap; }
main, header, footer { max-width: 58rem; }
@media screen and (max-width: 40rem) { .columns { grid-template-columns: 1fr 1fr; } }
";

fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(style())) (PreEscaped(SHEET)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The file of a page.
pub(super) fn file(page: usize) -> String {
    format!("latents-{page:03}.html")
}

/// Where a latent is shown, if it is.
fn address(number: usize, all: &[Latent]) -> Option<String> {
    let at = all
        .binary_search_by_key(&number, |latent| latent.number)
        .ok()?;
    Some(format!("{}#l{number}", file(at / LATENTS)))
}

/// The index. Latents are in the order of their numbers.
pub(super) fn index(heading: &Heading, all: &[Latent], names: &Names<'_>) -> String {
    let mut order: Vec<&Latent> = all.iter().collect();
    order.sort_by(|a, b| {
        b.density
            .total_cmp(&a.density)
            .then(a.number.cmp(&b.number))
    });
    let heights: Vec<u64> = heading.densities.iter().map(|bin| bin.1).collect();
    let body = html! {
        header {
            h1 { (heading.title) }
            dl.facts { @for (name, value) in &heading.facts { dt { (name) } dd { (value) } } }
        }
        main {
            section id="density" {
                h2 { "How often latents are on" }
                (bars(&heights))
                div.scale {
                    @for (begin, _) in heading.densities.iter().step_by(heading.densities.len().div_ceil(6).max(1)) {
                        span { (Short(100.0 * 10f64.powf(*begin))) " %" }
                    }
                    span { "100 %" }
                }
                p.quiet { "Latents by the share of samples that turn them on, on a logarithmic axis." }
            }
            section id="latents" {
                h2 { (all.len()) " latents, the most frequent first" }
                div.scroll { table.results {
                    thead { tr {
                        th { "latent" } th.number { "on" } th.number { "largest" } th.number { "mean" }
                        th { "most active on" } th { "raises" } th { "lowers" } th { "nearest" }
                    } }
                    tbody { @for latent in &order { tr {
                        th { a href=[address(latent.number, all)] { (latent.number) } }
                        td.number { (percent(latent.density)) }
                        td.number { (short(latent.largest)) }
                        td.number { (Short(latent.mean)) }
                        td { @if let Some(first) = latent.examples.first() { (thumbnail(first, names)) } }
                        td { @if let Some((class, _)) = latent.raises.first() { (names.class(*class)) } }
                        td { @if let Some((class, _)) = latent.lowers.first() { (names.class(*class)) } }
                        td { @if let Some((other, cosine)) = latent.nearest.first() {
                            (link(*other, all)) " (" (format!("{cosine:.2}")) ")"
                        } }
                    } } }
                } }
            }
        }
    };
    page(&heading.title, &body)
}

/// A page of latents.
pub(super) fn latents(
    heading: &Heading,
    number: usize,
    all: &[Latent],
    names: &Names<'_>,
) -> String {
    let shown: Vec<&Latent> = all.iter().skip(number * LATENTS).take(LATENTS).collect();
    let pages = all.len().div_ceil(LATENTS);
    let ends = match (shown.first(), shown.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.number, last.number),
        _ => String::new(),
    };
    let way = html! {
        p.pages {
            a href="index.html" { "all latents" }
            @if number > 0 { a href=(file(number - 1)) { "page before" } }
            @if number + 1 < pages { a href=(file(number + 1)) { "next page" } }
        }
    };
    let title = format!("{}: latents {ends}", heading.title);
    let body = html! {
        header { h1 { (title) } (way) p.quiet { (heading.effects) } }
        main { @for latent in shown { (card(latent, all, names)) } }
        footer { (way) }
    };
    page(&title, &body)
}

fn card(latent: &Latent, all: &[Latent], names: &Names<'_>) -> Markup {
    let heights: Vec<u64> = latent.histogram.bins().iter().map(|bin| bin.1).collect();
    let classes = |title: &str, list: &[(usize, f32)]| {
        html! {
            @if !list.is_empty() { div {
                h4 { (title) }
                ol { @for &(class, effect) in list {
                    li { span { (names.class(class)) } span { (signed(effect)) } }
                } }
            } }
        }
    };
    html! {
        section.latent id={ "l" (latent.number) } {
            h2 { "Latent " (latent.number) }
            p.quiet {
                "On in " (percent(latent.density)) " of samples, " (Short(latent.mean)) " where it is on, "
                (short(latent.largest)) " at most."
            }
            div.columns {
                div {
                    h4 { "Activity where it is on" }
                    (bars(&heights))
                    div.scale { span { "0" } span { (short(latent.largest)) } }
                }
                (classes("Raises", &latent.raises))
                (classes("Lowers", &latent.lowers))
                div {
                    h4 { "Nearest directions" }
                    ol { @for &(other, cosine) in &latent.nearest {
                        li { (link(other, all)) span { (format!("{cosine:.2}")) } }
                    } }
                }
            }
            (example(latent, names))
        }
    }
}

fn link(number: usize, all: &[Latent]) -> Markup {
    html! {
        @match address(number, all) {
            Some(address) => a href=(address) { (number) },
            None => span { (number) },
        }
    }
}

/// A histogram without axes. What is there at all can be seen.
fn bars(heights: &[u64]) -> Markup {
    let most = heights.iter().copied().max().unwrap_or(0).max(1) as f64;
    let width = heights.len().max(1);
    html! {
        svg.bars viewBox={ "0 0 " (width) " 100" } preserveAspectRatio="none" aria-hidden="true" {
            @for (at, &height) in heights.iter().enumerate() {
                @if height > 0 {
                    @let tall = (100.0 * height as f64 / most).max(1.5);
                    rect x=(at) y=(format!("{:.1}", 100.0 - tall)) width="0.9" height=(format!("{tall:.1}"))
                        {}
                }
            }
        }
    }
}

fn short(value: f32) -> Short {
    Short(f64::from(value))
}

fn signed(value: f32) -> String {
    let text = short(value).to_string();
    if value > 0.0 {
        format!("+{text}")
    } else {
        text
    }
}

fn percent(share: f64) -> String {
    format!("{} %", Short(100.0 * share))
}
