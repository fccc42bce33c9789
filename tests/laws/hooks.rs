//! Looking changes nothing.

use burn::tensor::Device;
use mr_models::{Cache, Edit, Intervened, Model, Rewrite, floats, run_with_cache};

use crate::nets::all;

#[test]
fn idle_and_caching_hooks_change_no_bit() {
    let device = Device::flex();
    for golden in all() {
        let net = golden.network(&device);
        let input = golden.input(&device);
        let plain = floats(net.logits(&input));
        let mut cache = Cache::of_all(net.spec());
        assert_eq!(
            plain,
            floats(net.run(&input, &mut cache)),
            "{}",
            golden.file
        );
        assert_eq!(cache.iter().count(), net.spec().sites.len());
        let none = Intervened::new(&net, Vec::new()).unwrap();
        assert_eq!(plain, floats(none.logits(&input)));
    }
}

#[test]
fn a_cached_activation_patched_back_into_its_own_run_changes_no_bit() {
    let device = Device::flex();
    for golden in all() {
        let net = golden.network(&device);
        let input = golden.input(&device);
        let plain = floats(net.logits(&input));
        for site in &net.spec().sites {
            let (_, cache) = run_with_cache(&net, &input, &[&site.name]).unwrap();
            let patch = Rewrite::patch(cache.get(&site.name).unwrap().clone());
            let edit = Edit::at(&site.name, patch);
            let patched = Intervened::new(&net, vec![edit]).unwrap();
            let what = format!("{} {}", golden.file, site.name);
            assert_eq!(plain, floats(patched.logits(&input)), "{what}");
        }
    }
}

#[test]
fn a_cache_is_never_silently_empty() {
    let golden = &all()[0];
    let net = golden.network(&Device::flex());
    let error = Cache::of(net.spec(), &["linear1.hook_pree"]).unwrap_err();
    assert!(error.to_string().contains("did you mean linear1.hook_pre"));
    let (_, cache) =
        run_with_cache(&net, &golden.input(&Device::flex()), &["linear1.hook_pre"]).unwrap();
    let error = cache.get("linear2.hook_out").unwrap_err().to_string();
    assert!(
        error.contains("the cache holds: linear1.hook_pre"),
        "{error}"
    );
}
