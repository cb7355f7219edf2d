//! Times every kernel of `KERNELS` at the sizes of a small and of a full-sized model: its CPU twin, and its shader on the
//! best adapter there is. In the report an "elem" is a floating-point operation of the kernel's declaration.
//!
//! ```text
//! cargo bench --bench kernels -- --quick                     a first look at everything
//! cargo bench --bench kernels -- 'matmul_.*/bert-base/cpu'   some of it: kernel/sizes/device
//! cargo bench --bench kernels -- --save-baseline before      to compare with, by --baseline before
//! ```

use cloze::exec::gpu::is_software;
use cloze::exec::{Device, DeviceChoice, Executor, Phase, Program, Role, Tensor};
use cloze::kernels::{Case, KERNELS, Kernel, SIZES};
use cloze::random::{Site, Stream};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::time::{Duration, Instant};

criterion_group!(benches, kernels);
criterion_main!(benches);

fn kernels(criterion: &mut Criterion) {
    let targets = targets();
    for kernel in KERNELS {
        let mut group = criterion.benchmark_group(kernel.name);
        group.sampling_mode(SamplingMode::Flat).sample_size(20).measurement_time(Duration::from_secs(2));
        for (number, sizes) in SIZES.iter().enumerate() {
            let case = (kernel.bench)(sizes);
            group.throughput(throughput(kernel, &case));
            for target in targets.iter().filter(|target| number < target.sizes) {
                // Criterion calls the closure for each sample, and not at all when the name is filtered out.
                let mut bench = None;
                group.bench_function(BenchmarkId::new(sizes.name, target.name), |bencher| {
                    let bench = bench.get_or_insert_with(|| Bench::new(target, kernel, &case));
                    bencher.iter_custom(|times| bench.time(times));
                });
            }
        }
    }
}

/// What kernels are timed on.
struct Target {
    name: &'static str,
    device: Device,
    /// How many of `SIZES` to run: a program that imitates a GPU takes minutes for the larger ones.
    sizes: usize,
    /// Launches that are queued at once, so that what a submission costs does not count.
    launches: u32,
}

fn targets() -> Vec<Target> {
    let mut targets = vec![Target { name: "cpu", device: Device::Cpu, sizes: SIZES.len(), launches: 1 }];
    match Device::open(DeviceChoice::Gpu) {
        Ok(device) => {
            println!("gpu: {}", device.describe());
            let software = matches!(&device, Device::Gpu(gpu) if is_software(&gpu.info));
            let (sizes, launches) = if software { (1, 1) } else { (SIZES.len(), 16) };
            targets.push(Target { name: "gpu", device, sizes, launches });
        }
        Err(error) => println!("skipping the gpu: {error}"),
    }
    targets
}

fn throughput(kernel: &Kernel, case: &Case) -> Throughput {
    let (flops, bytes) = ((kernel.flops)(&case.params), kernel.bytes(&case.params, case.present()));
    match flops {
        0 => Throughput::BytesDecimal(bytes),
        elements => Throughput::ElementsAndBytes { elements, bytes },
    }
}

/// A case, ready to run.
struct Bench {
    executor: Box<dyn Executor>,
    phase: Phase,
    /// A tensor of one word: reading it waits for the device.
    end: Tensor,
    launches: u32,
}

impl Bench {
    fn new(target: &Target, kernel: &'static Kernel, case: &Case) -> Self {
        let mut program = Program::new();
        let end = program.tensor(Role::Output, "end", &[1]);
        let mut stream = Stream::new(1, Site::Init, 0);
        let contents: Vec<Vec<u32>> = case.contents(kernel, &mut stream);
        let tensor = |(arg, words): (usize, &Vec<u32>)| match words.len() {
            0 => Tensor::NONE,
            len => program.tensor(Role::Output, kernel.args[arg].name, &[len]),
        };
        let args: Vec<Tensor> = contents.iter().enumerate().map(tensor).collect();
        let phase = program.phase(kernel.name);
        (0..target.launches).for_each(|_| program.launch_words(kernel, &case.params, &args));
        let executor = program.finish().and_then(|program| target.device.executor(&program));
        let mut executor = executor.unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
        for (&arg, words) in args.iter().zip(&contents).filter(|(arg, _)| **arg != Tensor::NONE) {
            executor.write(arg, words);
        }
        Bench { executor, phase, end, launches: target.launches }
    }

    /// How long `times` launches take.
    fn time(&mut self, times: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            self.executor.run(self.phase).expect("the kernel runs");
        }
        self.executor.read(self.end).expect("the device answers");
        start.elapsed() / self.launches
    }
}
