//! The walk of a forward pass past the sites of its spec.

use burn::tensor::Tensor;

use crate::hook::Hook;
use crate::site::{ModelSpec, Site};

/// Walks a forward pass past sites, in their order. A site's name may be given by its end alone.
pub(crate) struct Trace<'a> {
    sites: std::slice::Iter<'a, Site>,
    hook: &'a mut dyn Hook,
}

/// An activation that a hook may have changed, `[batch, position, channel]` each.
pub(crate) struct Changed {
    pub(crate) before: Tensor<3>,
    pub(crate) after: Tensor<3>,
}

impl<'a> Trace<'a> {
    /// A walk that begins with a stage.
    pub(crate) fn from(spec: &'a ModelSpec, stage: usize, hook: &'a mut dyn Hook) -> Self {
        let first = spec.sites.partition_point(|site| site.stage < stage);
        Self::over(&spec.sites[first..], hook)
    }

    /// The rest of a walk, which begins at the first of these sites.
    pub(crate) fn over(sites: &'a [Site], hook: &'a mut dyn Hook) -> Self {
        Self {
            sites: sites.iter(),
            hook,
        }
    }

    fn next(&mut self, name: &str) -> &'a Site {
        let site = self.sites.next().expect("the spec lists every site");
        debug_assert!(
            site.name.ends_with(name),
            "{} before {name}: sites are listed in forward order",
            site.name
        );
        site
    }

    /// Passes a site that this run does not reach: a step that a shorter sequence does not have.
    pub(crate) fn absent(&mut self, name: &str) {
        self.next(name);
    }

    /// Passes a site that the hook does not want, if this is one.
    pub(crate) fn skips(&mut self, name: &str) -> bool {
        let wanted = self.sites.as_slice().first();
        let skips = wanted.is_some_and(|site| !self.hook.wants(site));
        if skips {
            self.next(name);
        }
        skips
    }

    /// Passes an activation that a hook sees as `there` gives it, and that `back` takes back.
    pub(crate) fn seen<const D: usize>(
        &mut self,
        name: &str,
        x: Tensor<D>,
        there: impl FnOnce(Tensor<D>) -> Tensor<3>,
        back: impl FnOnce(Tensor<3>) -> Tensor<D>,
    ) -> Tensor<D> {
        let site = self.next(name);
        if !self.hook.wants(site) {
            return x;
        }
        if self.hook.only_reads(site) {
            self.hook.at(site, there(x.clone()));
            return x;
        }
        back(self.hook.at(site, there(x)))
    }

    /// Passes a site that nothing goes through: what a hook sees there is computed for it. Where it may
    /// have been changed, the pass has to go on with the change.
    pub(crate) fn aside(
        &mut self,
        name: &str,
        activation: impl FnOnce() -> Tensor<3>,
    ) -> Option<Changed> {
        let site = self.next(name);
        if !self.hook.wants(site) {
            return None;
        }
        let before = activation();
        let after = self.hook.at(site, before.clone());
        (!self.hook.only_reads(site)).then_some(Changed { before, after })
    }

    /// Passes a vector per position `[batch, position, channel]`.
    pub(crate) fn sequence(&mut self, name: &str, x: Tensor<3>) -> Tensor<3> {
        self.seen(name, x, |x| x, |x| x)
    }

    /// Passes a vector per example `[batch, channel]`.
    pub(crate) fn vector(&mut self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let [batch, channels] = x.dims();
        self.seen(
            name,
            x,
            |x| x.reshape([batch, 1, channels]),
            |x| x.reshape([batch, channels]),
        )
    }

    /// Passes a map per example `[batch, channel, height, width]`.
    pub(crate) fn map(&mut self, name: &str, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        self.seen(
            name,
            x,
            |x| x.reshape([batch, channels, height * width]).swap_dims(1, 2),
            |x| x.swap_dims(1, 2).reshape([batch, channels, height, width]),
        )
    }
}
