//! The stages as a directed acyclic graph, in an order in which needs come first.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::expand::Stage;

/// Stages in topological order, each with the places of those it needs.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In order; what a stage needs stands before it.
    pub(crate) stages: Vec<Stage>,
    /// For each stage, places in `stages`, ascending.
    pub(crate) needs: Vec<Vec<usize>>,
}

impl Plan {
    /// Resolves needs and orders the stages, keeping their given order where needs allow.
    pub(crate) fn new(stages: Vec<Stage>) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (place, stage) in stages.iter().enumerate() {
            if places.insert(stage.name.as_str(), place).is_some() {
                bail!(
                    "two stages are named `{}`; every matrix variable that differs must stand in the name",
                    stage.name
                );
            }
        }
        let needs: Vec<BTreeSet<usize>> = stages
            .iter()
            .map(|stage| resolve(stage, &places))
            .collect::<Result<_>>()?;
        let order = sort(&stages, &needs)?;

        let mut moved = vec![0; stages.len()];
        for (new, &old) in order.iter().enumerate() {
            moved[old] = new;
        }
        let needs = order
            .iter()
            .map(|&old| {
                needs[old]
                    .iter()
                    .map(|&need| moved[need])
                    .collect::<BTreeSet<_>>()
            })
            .map(|set| set.into_iter().collect())
            .collect();
        let stages = order.iter().map(|&old| stages[old].clone()).collect();
        Ok(Self { stages, needs })
    }
}

fn resolve(stage: &Stage, places: &BTreeMap<&str, usize>) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for need in &stage.needs {
        let before = found.len();
        if let Some(prefix) = need.strip_suffix('*') {
            let matching = places
                .iter()
                .filter(|(name, _)| name.starts_with(prefix) && **name != stage.name);
            let mut any = false;
            for (_, &place) in matching {
                found.insert(place);
                any = true;
            }
            if any {
                continue;
            }
        } else if let Some(&place) = places.get(need.as_str()) {
            found.insert(place);
            continue;
        }
        debug_assert_eq!(before, found.len());
        let mut names: Vec<&str> = places.keys().copied().collect();
        names.sort_by_key(|name| std::cmp::Reverse(shared(name, need)));
        names.truncate(5);
        bail!(
            "stage `{}` needs `{need}`, and this profile has no such stage; the nearest: {}",
            stage.name,
            names.join(", ")
        );
    }
    Ok(found)
}

/// How many characters two names share from their start.
fn shared(left: &str, right: &str) -> usize {
    left.chars()
        .zip(right.chars())
        .take_while(|(l, r)| l == r)
        .count()
}

/// Kahn (1962): repeatedly take the first stage whose needs are all taken.
fn sort(stages: &[Stage], needs: &[BTreeSet<usize>]) -> Result<Vec<usize>> {
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut users = vec![Vec::new(); stages.len()];
    for (place, set) in needs.iter().enumerate() {
        for &need in set {
            users[need].push(place);
        }
    }
    let mut ready: BTreeSet<usize> = (0..stages.len())
        .filter(|&place| open[place] == 0)
        .collect();
    let mut order = Vec::new();
    while let Some(place) = ready.pop_first() {
        order.push(place);
        for &user in &users[place] {
            open[user] -= 1;
            if open[user] == 0 {
                ready.insert(user);
            }
        }
    }
    if order.len() == stages.len() {
        return Ok(order);
    }
    // Every stage left needs a stage left: following needs must come back to where it was.
    let left = |place: &usize| open[*place] > 0;
    let mut path: Vec<usize> = (0..stages.len()).filter(left).take(1).collect();
    loop {
        let last = path[path.len() - 1];
        let next = *needs[last]
            .iter()
            .find(|need| left(need))
            .expect("a stage left needs another");
        if let Some(start) = path.iter().position(|&place| place == next) {
            let names: Vec<&str> = path[start..]
                .iter()
                .chain([&next])
                .map(|&place| stages[place].name.as_str())
                .collect();
            bail!(
                "the stages need each other in a circle: {}",
                names.join(" needs ")
            );
        }
        path.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, needs: &[&str]) -> Stage {
        Stage {
            name: name.into(),
            arguments: Vec::new(),
            inputs: Vec::new(),
            needs: needs.iter().map(ToString::to_string).collect(),
        }
    }

    fn error(stages: Vec<Stage>) -> String {
        Plan::new(stages).unwrap_err().to_string()
    }

    #[test]
    fn needs_come_first_and_order_is_otherwise_kept() {
        let plan = Plan::new(vec![
            stage("all", &["toy-*", "b"]),
            stage("toy-1", &["b"]),
            stage("toy-0", &[]),
            stage("b", &[]),
        ])
        .unwrap();
        let names: Vec<&str> = plan
            .stages
            .iter()
            .map(|stage| stage.name.as_str())
            .collect();
        assert_eq!(names, ["toy-0", "b", "toy-1", "all"]);
        assert_eq!(plan.needs, [vec![], vec![], vec![1], vec![0, 1, 2]]);
    }

    #[test]
    fn a_pattern_leaves_the_stage_itself_out() {
        let plan = Plan::new(vec![stage("m-all", &["m-*"]), stage("m-0", &[])]).unwrap();
        assert_eq!(plan.needs, [vec![], vec![0]]);
    }

    #[test]
    fn culprits_are_named() {
        let twice = error(vec![stage("a", &[]), stage("a", &[])]);
        assert!(twice.starts_with("two stages are named `a`"), "{twice}");
        let unknown = error(vec![stage("toy-0", &[]), stage("eval", &["toy-1"])]);
        assert!(unknown.contains("`eval` needs `toy-1`"), "{unknown}");
        assert!(unknown.ends_with("the nearest: toy-0, eval"), "{unknown}");
        let empty = error(vec![stage("a", &["mlp-*"])]);
        assert!(empty.contains("`a` needs `mlp-*`"), "{empty}");
        let circle = error(vec![
            stage("ok", &[]),
            stage("user", &["a"]),
            stage("a", &["b", "ok"]),
            stage("b", &["a"]),
        ]);
        assert_eq!(
            circle,
            "the stages need each other in a circle: a needs b needs a"
        );
        let own = error(vec![stage("a", &["a"])]);
        assert!(own.ends_with("a needs a"), "{own}");
    }
}
