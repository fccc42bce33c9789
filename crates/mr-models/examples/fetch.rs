//! Fetches data sets and models by name: `cargo run -p mr-models --example fetch -- mnist lenet5`.
//! Without names it lists what can be fetched and what is there.

use mr_models::data::DataCache;
use mr_models::data::fetch::{fetch, status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = DataCache::platform()?;
    for name in std::env::args().skip(1) {
        let folder = fetch(&name, &cache, &mut |step| eprintln!("{name}: {step:?}"))?;
        println!("{}", folder.display());
    }
    for one in status(&cache)? {
        println!(
            "{:14} {:9?} {:>11} bytes, {} ({}; {})",
            one.entry.name,
            one.state,
            one.bytes,
            one.entry.holds,
            one.entry.source(),
            one.entry.licence,
        );
    }
    Ok(())
}
