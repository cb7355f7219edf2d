//! What a training step costs the host: BERT-base at 8 × 128 on wgpu's `noop` backend, where everything is validated and
//! encoded and nothing is computed, and on every adapter there is (at 1 × 16 on one that imitates a GPU).
//!
//! ```text
//! cargo bench --bench host
//! ```

#[path = "../kernels-tests/steps.rs"]
mod steps;

use cloze::device::Device;
use cloze::exec::gpu::{Gpu, adapters, is_software};
use cloze::model::{ModelConfig, Recipe};
use std::time::Instant;
use steps::{Steps, noop};

fn main() {
    measure("noop", &noop(), (8, 128), 100);
    for adapter in adapters().expect("WGPU_BACKEND names backends") {
        let gpu = Gpu::open(&adapter).expect("it opens");
        let (software, name) = (is_software(&gpu.info), gpu.info.name.clone());
        let (shape, samples) = if software { ((1, 16), 5) } else { ((8, 128), 100) };
        measure(&name, &Device::Gpu(Box::new(gpu)), shape, samples);
    }
}

fn measure(name: &str, device: &Device, (batch, sequence): (usize, usize), samples: usize) {
    let config = ModelConfig::new(Recipe::Bert, 30522, 12, 768, 12).expect("it is BERT-base");
    let mut steps = Steps::new(device, &config, batch, sequence);
    (0..samples).for_each(|_| steps.step());
    let mut times: Vec<[f64; 2]> = (0..samples)
        .map(|_| {
            let (start, waited) = (Instant::now(), steps.executor.waited());
            steps.step();
            let waited = steps.executor.waited() - waited;
            [start.elapsed() - waited, waited].map(|time| 1e3 * time.as_secs_f64())
        })
        .collect();
    times.sort_by(|[a, _], [b, _]| a.total_cmp(b));
    let [[least, _], [median, waited], [most, _]] = [0, samples / 2, samples - 1].map(|place| times[place]);
    println!(
        "{name}: {} launches, {median:.3} ms a step ({least:.3} to {most:.3}) beside {waited:.3} ms of waiting for the device",
        steps.launches()
    );
}
