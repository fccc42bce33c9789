//! Spots in rows and columns: what a sweep goes over, and what its picture shows.

use mr_models::{InputKind, ModelError, ModelSpec, Region};

use crate::error::CircuitError;
use crate::patching::spot::Spot;

/// Spots of a network in rows and columns, such as heads by layer.
///
/// A spec says the sizes of its longest sequence. For shorter ones, builders take the spec of their
/// length ([`ModelSpec::of_length`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// What each row is called.
    pub rows: Vec<String>,
    /// What each column is called.
    pub columns: Vec<String>,
    /// The spots, row by row; `None` where the row has no such column.
    pub cells: Vec<Option<Spot>>,
}

impl Grid {
    fn of(rows: Vec<(String, Vec<Spot>)>, column: impl Fn(usize) -> String) -> Self {
        let width = rows.iter().map(|(_, spots)| spots.len()).max().unwrap_or(0);
        let columns = (0..width).map(column).collect();
        let (rows, spots): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let cells = spots.into_iter().flat_map(|spots| {
            let cells = spots.into_iter().map(Some);
            let cells: Vec<_> = cells.chain(std::iter::repeat(None)).take(width).collect();
            cells
        });
        Self {
            rows,
            columns,
            cells: cells.collect(),
        }
    }

    /// Every head of every block, layers by heads: what it writes (`z`, `result`), reads (`q_input`) or
    /// looks at (`q`, `k`, `v`, `pattern`, `attn_scores`).
    ///
    /// # Errors
    /// [`CircuitError::Model`] if no block has such a site, or it is none of heads.
    pub fn heads(spec: &ModelSpec, what: &str) -> Result<Self, CircuitError> {
        const OF_HEADS: [&str; 12] = [
            "z",
            "result",
            "q",
            "k",
            "v",
            "rot_q",
            "rot_k",
            "pattern",
            "attn_scores",
            "q_input",
            "k_input",
            "v_input",
        ];
        if !OF_HEADS.contains(&what) {
            return Err(ModelError::unknown("activation of heads", what, OF_HEADS).into());
        }
        let mut rows = Vec::new();
        for layer in 0.. {
            let pattern = format!("blocks.{layer}.attn.hook_pattern");
            let Ok(pattern) = spec.site(&pattern) else {
                break;
            };
            let queries = pattern.channels / pattern.positions;
            let site = spec.resolve(&format!("{what}.{layer}"))?;
            // Fewer heads may give keys and values.
            let count = match what {
                "k" | "v" | "rot_k" | "k_input" | "v_input" => {
                    let q = spec.site(&format!("blocks.{layer}.attn.hook_q"))?;
                    let k = spec.site(&format!("blocks.{layer}.attn.hook_k"))?;
                    queries * k.channels / q.channels
                }
                _ => queries,
            };
            let width = site.channels / count;
            let heads = (0..count).map(|head| {
                let channels = head * width..(head + 1) * width;
                Spot::new(&site.name, Region::channels(channels))
            });
            rows.push((format!("layer {layer}"), heads.collect()));
        }
        if rows.is_empty() {
            // The error names what there is instead.
            spec.site("blocks.0.attn.hook_z")?;
        }
        Ok(Self::of(rows, |head| format!("head {head}")))
    }

    /// Every position of a site of each block, layers by positions: `resid_pre`, `attn_out`, `mlp_out`, ...
    ///
    /// # Errors
    /// [`CircuitError::Model`] if no block has such a site.
    pub fn positions(spec: &ModelSpec, what: &str) -> Result<Self, CircuitError> {
        let mut sites = Vec::new();
        while let Ok(site) = spec.resolve(&format!("{what}.{}", sites.len())) {
            sites.push(site);
        }
        if sites.is_empty() {
            let short = spec.sites.iter().filter_map(|site| {
                let inside = site.name.strip_prefix("blocks.0.")?;
                inside.split_once("hook_").map(|(_, short)| short)
            });
            return Err(ModelError::unknown("site of blocks", what, short).into());
        }
        let rows = sites.iter().enumerate().map(|(layer, site)| {
            let positions =
                (0..site.positions).map(|at| Spot::new(&site.name, Region::position(at)));
            (format!("layer {layer}"), positions.collect())
        });
        Ok(Self::of(rows.collect(), |at| at.to_string()))
    }

    /// Every channel of each of these sites, sites by channels.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site.
    pub fn channels<S: AsRef<str>>(spec: &ModelSpec, sites: &[S]) -> Result<Self, CircuitError> {
        let mut rows = Vec::new();
        for site in sites {
            let site = spec.site(site.as_ref())?;
            let channels = (0..site.channels).map(|at| Spot::new(&site.name, Region::channel(at)));
            rows.push((site.name.clone(), channels.collect()));
        }
        Ok(Self::of(rows, |channel| channel.to_string()))
    }

    /// Each of these sites as a whole, one to a row.
    ///
    /// # Errors
    /// [`CircuitError::Model`] for an unknown site.
    pub fn sites<S: AsRef<str>>(spec: &ModelSpec, sites: &[S]) -> Result<Self, CircuitError> {
        let mut rows = Vec::new();
        for site in sites {
            let site = spec.site(site.as_ref())?;
            rows.push((site.name.clone(), vec![Spot::whole(&site.name)]));
        }
        Ok(Self::of(rows, |_| "all".into()))
    }

    /// Heads of a transformer, whole sites of another network of tokens, such as the steps of a recurrent one, and
    /// channels of every `hook_out` elsewhere; not of the logits.
    ///
    /// # Errors
    /// [`CircuitError::Model`] if the network has none.
    pub fn of_network(spec: &ModelSpec) -> Result<Self, CircuitError> {
        if spec.site("blocks.0.attn.hook_z").is_ok() {
            return Self::heads(spec, "z");
        }
        let is_of_tokens = matches!(spec.input, InputKind::Tokens { .. });
        let sites = spec.sites.iter().map(|site| site.name.as_str());
        let sites: Vec<&str> = sites
            .filter(|name| is_of_tokens || name.ends_with("hook_out"))
            .collect();
        // The last one holds the logits.
        let sites = &sites[..sites.len().saturating_sub(1)];
        if is_of_tokens {
            return Self::sites(spec, sites);
        }
        Self::channels(spec, sites)
    }

    /// The first columns alone: the positions that an input has.
    #[must_use]
    pub fn narrowed(self, columns: usize) -> Self {
        let width = self.columns.len().max(1);
        let rows = self.cells.chunks(width);
        let cells = rows.flat_map(|row| row[..columns.min(row.len())].to_vec());
        Self {
            cells: cells.collect(),
            columns: self.columns.into_iter().take(columns).collect(),
            rows: self.rows,
        }
    }

    /// The spots in the order of their cells, without the cells that hold none.
    pub fn spots(&self) -> Vec<Spot> {
        self.cells.iter().flatten().cloned().collect()
    }

    /// One number for each spot as a number for each cell, row by row; NaN where a cell holds none.
    ///
    /// # Panics
    /// If there are fewer numbers than spots.
    pub fn spread(&self, values: &[f32]) -> Vec<Vec<f32>> {
        let mut values = values.iter();
        let cells = self.cells.iter().map(|cell| match cell {
            Some(_) => *values.next().expect("there is one number for each spot"),
            None => f32::NAN,
        });
        let cells: Vec<f32> = cells.collect();
        let rows = cells.chunks(self.columns.len().max(1));
        rows.map(<[f32]>::to_vec).collect()
    }
}
