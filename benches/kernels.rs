//! Times every kernel of `KERNELS` at the sizes of a small and of a full-sized model: its CPU twin, and its shader on the
//! best adapter there is. In the report an "elem" is a floating-point operation of the kernel's declaration.
//!
//! ```text
//! cargo bench --bench kernels -- --quick                     a first look at everything
//! cargo bench --bench kernels -- 'matmul_.*/bert-base/cpu'   some of it: kernel/sizes/device
//! cargo bench --bench kernels -- --save-baseline before      to compare with, by --baseline before
//! ```

use cloze::device::launches::Launches;
use cloze::device::{Device, DeviceChoice};
use cloze::exec::gpu::is_software;
use cloze::kernels::{Case, KERNELS, Kernel, Precision, SIZES};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::time::Duration;

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
                    let bench = bench.get_or_insert_with(|| {
                        let runs = [(case.clone(), target.launches.into())];
                        Launches::new(&target.device, None, kernel, Precision::F32, &runs)
                            .expect("the device has room for the kernel")
                    });
                    bencher.iter_custom(|times| {
                        let time = |_| bench.time(0).expect("the device runs the kernel");
                        (0..times).map(time).sum::<Duration>() / target.launches
                    });
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
    match Device::open(&DeviceChoice::Gpu) {
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
    let (flops, bytes) = ((kernel.flops)(&case.params), kernel.bytes(&case.params, case.present(), Precision::F32));
    match flops {
        0 => Throughput::BytesDecimal(bytes),
        elements => Throughput::ElementsAndBytes { elements, bytes },
    }
}
