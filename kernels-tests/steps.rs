//! Training steps on a device that does nothing, to see what they cost the host; and training steps on the CPU.

use cloze::data::{Batch, Example};
use cloze::device::Device;
use cloze::exec::Executor;
use cloze::exec::gpu::Gpu;
use cloze::model::{ModelConfig, Shape};
use cloze::optim::AdamW;
use cloze::tasks::MaskedLm;
use cloze::train::{Training, TrainingOptions};

/// wgpu's `noop` backend: everything is validated and nothing is computed.
pub fn noop() -> Device {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions::enabled();
    let adapters = wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::NOOP);
    let adapter = pollster::block_on(adapters).pop().expect("the backend was asked for");
    Device::Gpu(Box::new(Gpu::open(&adapter).expect("it opens")))
}

/// A training with a batch to repeat.
pub struct Steps {
    training: Training,
    pub executor: Box<dyn Executor>,
    batch: Batch,
    done: u64,
}

impl Steps {
    pub fn new(device: &Device, config: &ModelConfig, batch: usize, sequence: usize) -> Self {
        let selected: Vec<u32> = (0..sequence as u32).step_by(7).collect();
        let shape = Shape { batch, sequence, selected: batch * selected.len() };
        let ids = (0..sequence).map(|t| (t * 31 % config.vocab_size) as u32).collect();
        let one = Example::new(ids, selected.clone(), vec![1; selected.len()]);
        let options = TrainingOptions::new(shape, device.binding());
        let training = Training::new(&MaskedLm::new(config), &AdamW::default(), options).unwrap();
        let executor = training.start(device, config).unwrap();
        Steps { batch: Batch::for_training(&vec![one; batch], selected.len()), training, executor, done: 0 }
    }

    /// Launches of a step.
    #[allow(dead_code, reason = "one of the two programs that share this file asks")]
    pub fn launches(&self) -> usize {
        let phases = [self.training.accumulate, self.training.update];
        phases.iter().map(|&phase| self.training.program.cost(phase).0).sum()
    }

    /// Takes a step like the training loop: metrics are requested, and collected when they have arrived.
    pub fn step(&mut self) {
        let (executor, batches) = (&mut *self.executor, std::slice::from_ref(&self.batch));
        self.training.step(executor, batches, 1e-3, 1, self.done).unwrap();
        executor.request(&[self.training.metrics, self.training.optimizer]).unwrap();
        while executor.collect(false).unwrap().is_some() {}
        self.done += 1;
    }
}
