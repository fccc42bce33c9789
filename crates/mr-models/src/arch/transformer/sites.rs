//! The sites of a transformer, in the order in which a pass reaches them.

use super::config::Positions;
use super::config::{HeadKind, NormKind, Placement, Transformer, TransformerInput, Unembedding};
use crate::site::Site;

/// Sites of one length, appended stage by stage.
struct Sites<'a> {
    net: &'a Transformer,
    stage: usize,
    prefix: String,
    all: Vec<Site>,
}

impl Sites<'_> {
    fn push(&mut self, name: &str, channels: usize) {
        let name = format!("{}{name}", self.prefix);
        let site = Site::sequence(name, self.net.context(), channels);
        self.all.push(site.in_stage(self.stage));
    }

    fn on_demand(&mut self, name: &str, channels: usize) {
        self.push(name, channels);
        let last = self.all.pop().expect("it was just pushed");
        self.all.push(last.on_demand());
    }

    fn norm(&mut self, name: &str) {
        if self.net.norm != NormKind::None {
            self.push(&format!("{name}.hook_scale"), 1);
            self.push(&format!("{name}.hook_normalized"), self.net.d_model);
        }
    }

    fn embedding(&mut self) {
        let width = self.net.d_model;
        self.prefix = self.net.embedding().into();
        self.push("hook_embed", width);
        if self.net.positions == Positions::Learned {
            self.push("hook_pos_embed", width);
        }
        if matches!(
            self.net.input,
            TransformerInput::Tokens {
                token_types: 1..,
                ..
            }
        ) {
            self.push("hook_token_type_embed", width);
        }
        if self.net.embedding_norm {
            self.norm("ln");
            self.prefix.clear();
            self.push("hook_full_embed", width);
        }
    }

    fn attention(&mut self) {
        let net = self.net;
        let (queries, keys) = (net.heads, net.key_value_heads());
        let (width, head) = (net.d_model, net.d_head());
        self.push("hook_resid_pre", width);
        self.on_demand("hook_q_input", queries * width);
        self.on_demand("hook_k_input", keys * width);
        self.on_demand("hook_v_input", keys * width);
        if net.placement == Placement::Pre {
            self.norm("ln1");
        }
        self.push("attn.hook_q", queries * head);
        self.push("attn.hook_k", keys * head);
        self.push("attn.hook_v", keys * head);
        if net.rotary().is_some() {
            self.push("attn.hook_rot_q", queries * head);
            self.push("attn.hook_rot_k", keys * head);
        }
        self.push("attn.hook_attn_scores", queries * net.context());
        self.push("attn.hook_pattern", queries * net.context());
        self.push("attn.hook_z", queries * head);
        self.on_demand("attn.hook_result", queries * width);
        self.push("hook_attn_out", width);
    }

    fn mlp(&mut self) {
        let net = self.net;
        let width = net.d_model;
        self.push("hook_mlp_in", width);
        self.norm(match net.placement {
            Placement::Pre => "ln2",
            Placement::Post => "ln1",
        });
        self.push("mlp.hook_pre", net.d_mlp);
        if net.gated {
            self.push("mlp.hook_pre_linear", net.d_mlp);
        }
        self.push("mlp.hook_post", net.d_mlp);
        self.push("hook_mlp_out", width);
    }

    fn block(&mut self, layer: usize) {
        let width = self.net.d_model;
        self.prefix = format!("blocks.{layer}.");
        self.attention();
        if self.net.is_sequential() {
            self.push("hook_resid_mid", width);
            self.stage += 1;
        }
        if self.net.has_mlp() {
            self.mlp();
        }
        self.push("hook_resid_post", width);
        if self.net.placement == Placement::Post {
            self.norm("ln2");
            self.push("hook_normalized_resid_post", width);
        }
        self.stage += 1;
    }

    fn head(&mut self) {
        let net = self.net;
        self.prefix.clear();
        if net.final_norm {
            self.norm("ln_final");
        }
        if net.head == HeadKind::MaskedTokens {
            self.norm("mlm_head.ln");
        }
        if net.unembedding != Unembedding::None {
            self.push("unembed.hook_in", net.d_model);
        }
        self.push("unembed.hook_out", net.logits());
        // Of an image one position is unembedded.
        if let TransformerInput::Image { .. } = net.input {
            let unembedded = self.all.iter_mut().rev();
            for site in unembedded.take_while(|site| site.name.starts_with("unembed")) {
                site.positions = 1;
            }
        }
    }
}

/// Every site of a transformer.
pub(super) fn sites(net: &Transformer) -> Vec<Site> {
    let mut sites = Sites {
        net,
        stage: 0,
        prefix: String::new(),
        all: Vec::new(),
    };
    sites.embedding();
    sites.stage = 1;
    for layer in 0..net.layers {
        sites.block(layer);
    }
    sites.head();
    sites.all
}
