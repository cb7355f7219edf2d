//! How `--device auto` compares an integrated GPU with the CPU.

use crate::adapter::gpus;
use cloze::config::Config;
use cloze::device::{Device, comparison};
use cloze::train::planning;
use std::path::Path;

#[test]
fn both_devices_are_timed_at_the_sizes_of_a_training() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/tiny-bert.toml");
    let sets = ["model.heads=4", "model.intermediate_size=360", "data.sequence_length=100", "train.batch_size=6"];
    let sizes = planning::sizes(&Config::load(&config, &sets.map(String::from)).unwrap());
    assert_eq!([sizes.batch, sizes.sequence, sizes.width, sizes.heads, sizes.inner], [6, 100, 128, 4, 360]);
    for gpu in gpus("comparison") {
        let device = Device::Gpu(Box::new(gpu.reopen().unwrap()));
        let (on_gpu, on_cpu) =
            (comparison::seconds(&device, &sizes).unwrap(), comparison::seconds(&Device::Cpu, &sizes).unwrap());
        assert!(on_gpu > 0.0 && on_cpu > 0.0, "{on_gpu} and {on_cpu} s");
    }
}
