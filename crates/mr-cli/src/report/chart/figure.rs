//! A chart as a figure of the page: picture, legend and caption.

use maud::{Markup, PreEscaped, html};
use mr_metrics::Short;
use mr_metrics::finding::{PlotGroup, PlotKind, Scale};

use super::canvas::Canvas;
use super::frame::Frame;
use super::mark::{draw, swatch};
use super::plan::{Chart, Mark, Size};

/// The figure, or a sentence in its place if nothing can be drawn.
pub(in super::super) fn figure(chart: &Chart) -> Markup {
    let marks = chart.all_marks();
    if marks.iter().all(Vec::is_empty) {
        return html! {
            p.missing { "No plot “" (chart.data.title) "”: none of its points can be drawn." }
        };
    }
    html! {
        figure.chart {
            @if chart.size == Size::Wide {
                // A phone gets a drawing of its own: shrunk to half, text could not be read.
                div.wide { (picture(chart, &marks)) }
                div.narrow {
                    (picture(&Chart { size: Size::Narrow, ..chart.clone() }, &marks))
                }
            } @else {
                (picture(chart, &marks))
            }
            figcaption {
                strong { (chart.data.title) "." } " " (described(chart, &marks))
            }
        }
    }
}

/// The drawing, and a legend where lines are not labelled in it.
fn picture(chart: &Chart, marks: &[Vec<Mark>]) -> Markup {
    let size = chart.size.units();
    let frame = Frame::of(chart, marks);
    let drawn = Canvas::draw(size, |canvas| {
        frame.draw(canvas, chart);
        draw(canvas, chart, &frame, marks);
    });
    let groups = &chart.data.groups;
    let named = groups.iter().any(|group| !group.name.is_empty());
    html! {
        svg viewBox=(Canvas::view_box(size)) role="img" aria-label=(spoken(chart, marks)) {
            (PreEscaped(drawn))
        }
        @if named && !frame.direct {
            ul.legend {
                @for (number, group) in groups.iter().enumerate() {
                    @let (mark, size) = swatch(chart.data.kind, number, chart.is_dense());
                    li {
                        svg viewBox=(Canvas::view_box(size)) aria-hidden="true" {
                            (PreEscaped(mark))
                        }
                        span {
                            (group.name)
                            @if marks[number].is_empty() { span.quiet { " (no points)" } }
                        }
                    }
                }
            }
        }
    }
}

/// What a reader needs to know to read the picture.
fn described(chart: &Chart, marks: &[Vec<Mark>]) -> String {
    let mut sentences = Vec::new();
    let seeds = seeds(&chart.data.groups);
    let intervals = marks.iter().flatten().any(|mark| mark.ends.is_some());
    match (chart.data.kind, seeds) {
        (PlotKind::Scatter, _) => sentences.push("Each point is one run.".to_owned()),
        (PlotKind::Line, Some((1, 1))) => sentences.push("One seed behind each point.".into()),
        (PlotKind::Line, Some((least, most))) if least == most => {
            sentences.push(format!("Mean over {most} seeds."));
        }
        (PlotKind::Line, Some((least, most))) => {
            sentences.push(format!("Mean over {least} to {most} seeds."));
        }
        (PlotKind::Line, None) => {}
    }
    if intervals {
        let drawn = if chart.is_dense() { "Bands" } else { "Bars" };
        sentences.push(format!("{drawn} are {}.", chart.intervals.described()));
    }
    match chart.lost() {
        0 => {}
        lost => sentences.push(format!(
            "Not drawn: {lost} point{} without a place on {} axis.",
            if lost == 1 { "" } else { "s" },
            if chart.data.x_scale == Scale::Log || chart.y_scale == Scale::Log {
                "a logarithmic"
            } else {
                "an"
            }
        )),
    }
    sentences.join(" ")
}

/// Fewest and most seeds behind a point.
fn seeds(groups: &[PlotGroup]) -> Option<(usize, usize)> {
    let all = || groups.iter().flat_map(|group| group.n.iter().copied());
    all().min().zip(all().max())
}

/// The picture in words, for those who hear it.
fn spoken(chart: &Chart, marks: &[Vec<Mark>]) -> String {
    let data = &chart.data;
    let range = |of: fn(&Mark) -> f64| {
        let ends = marks
            .iter()
            .flatten()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        format!("from {} to {}", Short(ends.0), Short(ends.1))
    };
    let kind = match data.kind {
        PlotKind::Line => "Line plot",
        PlotKind::Scatter => "Scatter plot",
    };
    let names: Vec<&str> = data
        .groups
        .iter()
        .map(|group| group.name.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    let shown = if names.is_empty() {
        String::new()
    } else {
        format!(" Shown: {}.", names.join("; "))
    };
    format!(
        "{kind}: {}. Horizontal: {}, {}. Vertical: {}, {}.{shown}",
        data.title,
        data.x_label,
        range(|mark| mark.x),
        data.y_label,
        range(|mark| mark.y)
    )
}

#[cfg(test)]
mod tests {
    use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};

    use super::super::plan::{Chart, Intervals, Size};
    use super::figure;

    fn chart(kind: PlotKind, groups: &[(&str, &[f64], &[f64])]) -> Chart {
        let groups = groups
            .iter()
            .map(|(name, x, y)| PlotGroup {
                name: (*name).into(),
                x: x.to_vec(),
                y: y.to_vec(),
                low: y.iter().map(|y| Some(y - 0.1)).collect(),
                high: y.iter().map(|y| Some(y + 0.1)).collect(),
                n: vec![3; x.len()],
            })
            .collect();
        let data = PlotData {
            title: "Title <1>".into(),
            kind,
            x_scale: Scale::Linear,
            x_label: "x".into(),
            y_label: "y".into(),
            groups,
        };
        Chart::new(data, Intervals::OverSeeds(0.95), Size::Wide)
    }

    fn drawn(chart: &Chart) -> String {
        figure(chart).into_string()
    }

    #[test]
    fn a_figure_says_what_its_intervals_are() {
        let html = drawn(&chart(
            PlotKind::Line,
            &[
                ("a", &[0.0, 1.0], &[1.0, 2.0]),
                ("b", &[0.0, 1.0], &[3.0, 1.0]),
            ],
        ));
        assert!(html.contains("Title &lt;1&gt;"), "{html}");
        assert!(
            html.contains("Mean over 3 seeds. Bars are 95 % bootstrap intervals over seeds."),
            "{html}"
        );
        // Two short names stand at their lines: no legend.
        assert!(!html.contains("legend"), "{html}");
        assert_eq!(html.matches("viewBox").count(), 2, "wide and narrow");
        assert!(!html.contains("http"), "{html}");
        assert!(html.contains("Horizontal: x, from 0 to 1. Vertical: y, from 1 to 3."));
    }

    #[test]
    fn what_has_no_room_at_the_lines_goes_into_a_legend() {
        let long = "a name that goes on and on, as generated names of groups are wont to do";
        let html = drawn(&chart(
            PlotKind::Line,
            &[
                (long, &[0.0, 1.0], &[1.0, 2.0]),
                ("b", &[0.0, 1.0], &[3.0, 1.0]),
            ],
        ));
        assert!(
            html.contains("class=\"legend\"") && html.contains(long),
            "{html}"
        );
        let twenty: Vec<(&str, &[f64], &[f64])> = vec![("s", &[0.0, 1.0], &[1.0, 2.0]); 20];
        let html = drawn(&chart(PlotKind::Scatter, &twenty));
        // Once for a wide page, once for a narrow one.
        assert_eq!(html.matches("<li>").count(), 2 * 20);
    }

    #[test]
    fn points_without_a_place_are_counted_and_a_chart_without_points_says_so() {
        let mut log = chart(
            PlotKind::Line,
            &[("", &[0.0, 0.1, 1.0], &[1.0, f64::NAN, 2.0])],
        );
        log.data.x_scale = Scale::Log;
        let html = drawn(&log);
        assert!(
            html.contains("Not drawn: 2 points without a place on a logarithmic axis."),
            "{html}"
        );
        for groups in [
            &[][..],
            &[("a", &[][..], &[][..])],
            &[("a", &[1.0], &[f64::NAN])],
        ] {
            let html = drawn(&chart(PlotKind::Line, groups));
            assert!(html.contains("none of its points can be drawn"), "{html}");
        }
    }

    #[test]
    fn single_and_equal_values_are_drawn() {
        for y in [&[2.0][..], &[0.0, 0.0, 0.0], &[1e-160, 1e149]] {
            let x: Vec<f64> = (0..y.len()).map(|x| x as f64).collect();
            for kind in [PlotKind::Line, PlotKind::Scatter] {
                let html = drawn(&chart(kind, &[("a", &x, y)]));
                assert!(html.contains("<svg") && !html.contains("NaN"), "{html}");
            }
        }
    }
}
