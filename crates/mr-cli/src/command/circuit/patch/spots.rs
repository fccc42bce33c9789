//! What is patched: spots of sites.

use anyhow::{Result, bail};
use mr_circuits::Grid;
use mr_models::{Input, Model, Network};

use super::Arguments;

/// What is patched, spot by spot.
pub(super) fn grid(arguments: &Arguments, network: &Network, clean: &Input) -> Result<Grid> {
    let spec = network.spec();
    let one = |usual: &'static str| match arguments.of.as_slice() {
        [] => Ok(usual.to_string()),
        [name] => Ok(name.clone()),
        more => bail!("--of {}: one name, please", more.join(" --of ")),
    };
    let sites = || -> Result<Vec<String>> {
        if arguments.of.is_empty() {
            let sites = spec.sites.iter().map(|site| site.name.clone());
            return Ok(sites.filter(|name| name.ends_with("hook_out")).collect());
        }
        let names = arguments.of.iter();
        let resolved = names.map(|name| Ok(spec.resolve(name)?.name.clone()));
        resolved.collect()
    };
    let found = match arguments.over.as_deref() {
        None => Grid::of_network(spec)?,
        Some("heads") => Grid::heads(spec, &one("z")?)?,
        Some("positions") => {
            let grid = Grid::positions(spec, &one("resid_pre")?)?;
            match clean {
                Input::Tokens(tokens) => grid.narrowed(tokens.dims()[1]),
                Input::Real(_) => grid,
            }
        }
        Some("channels") => Grid::channels(spec, &sites()?)?,
        Some("sites") => Grid::sites(spec, &sites()?)?,
        Some(other) => bail!("--over {other}: valid: heads, positions, channels, sites"),
    };
    if found.spots().is_empty() {
        bail!(
            "this network has no such sites: name some with --over sites --of SITE (`mr models --sites`)"
        );
    }
    Ok(found)
}
