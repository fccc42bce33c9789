//! Names of lines that draw different metrics.

use mr_metrics::finding::{Plot, PlotData};

/// A plot of several metrics names each line by the last part of its metric's path. Where those are
/// the same, as `lambda_0.1.F` and `lambda_0.01.F` are both `F`, gives them more of their paths.
pub(super) fn tell_apart(plot: &Plot, data: &mut PlotData) {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let lasts: Vec<String> = plot.y.iter().map(|path| last(path)).collect();
    let alike = |name: &String| lasts.iter().filter(|other| *other == name).count() > 1;
    if !lasts.iter().any(alike) || !data.groups.len().is_multiple_of(plot.y.len()) {
        return;
    }
    let start = differing(&plot.y);
    // Each group of runs has a line per metric, in the order of the metrics.
    for (index, group) in data.groups.iter_mut().enumerate() {
        let metric = index % plot.y.len();
        if let Some(rest) = group.name.strip_prefix(lasts[metric].as_str())
            && alike(&lasts[metric])
        {
            group.name = format!("{}{rest}", &plot.y[metric][start..]);
        }
    }
}

/// Where paths begin to differ: at a whole part, and not in the middle of a number.
fn differing(paths: &[String]) -> usize {
    let Some((first, others)) = paths.split_first() else {
        return 0;
    };
    let parts: Vec<usize> = std::iter::once(0)
        .chain(first.match_indices('.').map(|(dot, _)| dot + 1))
        .collect();
    let same = |start: usize| others.iter().all(|path| path.starts_with(&first[..start]));
    let in_number = |start: usize| first[start..].starts_with(|c: char| c.is_ascii_digit());
    parts
        .into_iter()
        .rfind(|&start| same(start) && !in_number(start))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use mr_metrics::finding::{Findings, PlotData, PlotGroup, PlotKind, Scale};

    use super::tell_apart;

    fn named(y: &str, names: &[&str]) -> Vec<String> {
        let text = format!(
            "[[finding]]\nid = \"a\"\ntitle = \"\"\nclaim = \"\"\nsource = \"\"\n\
             [[finding.checks]]\nname = \"c\"\ntest = \"value\"\nmetric = \"m\"\nmust = {{ min = 0 }}\n\
             [[finding.plots]]\ntitle = \"p\"\nx = \"x\"\ny = {y}\n"
        );
        let findings = Findings::from_toml(&text).unwrap();
        let group = |name: &&str| PlotGroup {
            name: (*name).into(),
            ..PlotGroup::default()
        };
        let mut data = PlotData {
            title: String::new(),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: String::new(),
            y_label: String::new(),
            groups: names.iter().map(group).collect(),
        };
        tell_apart(&findings.findings[0].plots[0], &mut data);
        data.groups.into_iter().map(|group| group.name).collect()
    }

    #[test]
    fn metrics_with_the_same_last_part_get_more_of_their_paths() {
        let y = r#"["numbers.hook.lambda_0.1.F", "numbers.hook.lambda_0.01.F"]"#;
        let names = named(y, &["F", "F"]);
        assert_eq!(names, ["lambda_0.1.F", "lambda_0.01.F"]);
        let names = named(
            y,
            &["F, seed = 0", "F, seed = 0", "F, seed = 1", "F, seed = 1"],
        );
        assert_eq!(names[3], "lambda_0.01.F, seed = 1");
    }

    #[test]
    fn names_that_differ_are_kept() {
        let y = r#"["numbers.a.F", "numbers.a.G"]"#;
        assert_eq!(named(y, &["F", "G"]), ["F", "G"]);
        assert_eq!(named(r#""numbers.F""#, &["seed = 0"]), ["seed = 0"]);
    }
}
