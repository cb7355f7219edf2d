//! The plan predicts what a device allocates.

use crate::adapter::{gpus, skip};
use cloze::device::Device;
use cloze::model::{Kind, ModelConfig, Recipe, Recompute, Shape};
use cloze::optim::AdamW;
use cloze::tasks::MaskedLm;
use cloze::train::{Training, TrainingOptions};

#[test]
fn the_allocator_has_given_out_what_was_planned() {
    let model = ModelConfig::new(Recipe::Bert, 8192, 4, 512, 8).unwrap();
    let shape = Shape { batch: 8, sequence: 128, selected: 160 };
    for gpu in gpus("memory") {
        // The device is used for nothing else: the report counts everything on it.
        let gpu = gpu.reopen().unwrap();
        let device = Device::Gpu(Box::new(gpu));
        for recompute in Recompute::ALL {
            let options = TrainingOptions { recompute, ..TrainingOptions::new(shape, device.binding()) };
            let training = Training::new(&MaskedLm::new(&model), &AdamW::default(), options).unwrap();
            let mut executor = training.start(&device, &model).unwrap();
            training.parameters.initialize(&mut *executor, 1);
            training.parameters.read(&mut *executor, Kind::Value).unwrap();
            let planned = executor.memory().total();
            assert!(planned > 200 << 20, "{planned} bytes are too few to tell");
            match executor.measured_memory() {
                None => skip("memory", format!("{} does not tell what it has given out", device.describe())),
                Some(measured) => {
                    println!("{recompute:?}: {planned} planned, {measured} measured");
                    let error = (measured as f64 / planned as f64 - 1.0).abs();
                    assert!(error < 0.05, "{recompute:?}: {planned} planned, {measured} measured");
                }
            }
        }
    }
}
