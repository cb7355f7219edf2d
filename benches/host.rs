//! What a training step costs the host beside waiting for the device: BERT-base at 8 × 128 on wgpu's `noop` backend, where
//! everything is validated and encoded and nothing is computed.
//!
//! ```text
//! cargo bench --bench host
//! ```

#[path = "../kernels-tests/steps.rs"]
mod steps;

use cloze::config::{ModelConfig, Recipe};
use std::time::{Duration, Instant};

fn main() {
    let config = ModelConfig::new(Recipe::Bert, 30522, 12, 768, 12).expect("it is BERT-base");
    let mut steps = steps::Steps::new(&steps::noop(), &config, 8, 128);
    (0..20).for_each(|_| steps.step());
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let (start, waited) = (Instant::now(), steps.executor.waited());
            steps.step();
            start.elapsed() - (steps.executor.waited() - waited)
        })
        .collect();
    times.sort();
    let [fast, median, slow] = [10, 50, 90].map(|percent| times[percent].as_secs_f64() * 1e3);
    println!("host time a step: {median:.3} ms (10 % below {fast:.3}, 10 % above {slow:.3})");
}
