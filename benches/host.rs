//! What a training step costs the host beside waiting for the device: BERT-base at 8 × 128 on wgpu's `noop` backend, where
//! everything is validated and encoded and nothing is computed.
//!
//! ```text
//! cargo bench --bench host
//! ```

#[path = "../kernels-tests/steps.rs"]
mod steps;

use cloze::config::{ModelConfig, Recipe};
use std::time::Instant;

fn main() {
    let config = ModelConfig::new(Recipe::Bert, 30522, 12, 768, 12).expect("it is BERT-base");
    let mut steps = steps::Steps::new(&steps::noop(), &config, 8, 128);
    (0..20).for_each(|_| steps.step());
    let mut times: Vec<[f64; 2]> = (0..100)
        .map(|_| {
            let (start, waited) = (Instant::now(), steps.executor.waited());
            steps.step();
            [start.elapsed(), steps.executor.waited() - waited].map(|time| 1e3 * time.as_secs_f64())
        })
        .collect();
    times.sort_by(|[a, _], [b, _]| a.total_cmp(b));
    let [[fast, _], [median, waiting], [slow, _]] = [10, 50, 90].map(|percent| times[percent]);
    println!("a step of {} launches: {median:.3} ms ({fast:.3} to {slow:.3})", steps.launches());
    println!("of it in wgpu's wait for the device: {waiting:.3} ms");
}
