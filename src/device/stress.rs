//! Variants on cooperative matrices at sizes where a lost barrier shows: what a driver may reorder goes unseen on small inputs.

use crate::exec::gpu::{Gpu, GpuExecutor, Options};
use crate::exec::{Executor, Phase, Program, Role, Tensor, halves};
use crate::kernels::{Arg, Case, Class, Elem, Kernel, Precision, Sizes, Variant};
use crate::random::{Site, Stream};

/// Products of 1024³, and attention over 512 positions.
const SIZES: Sizes = Sizes {
    name: "stress",
    batch: 2,
    sequence: 512,
    width: 1024,
    heads: 16,
    inner: 1024,
    vocabulary: 1024,
    masked: 128,
};
/// Random numbers that an argument has at most; then they repeat themselves.
const MOST_RANDOM: usize = 1 << 16;
/// Error beside a variant without matrices, relative to the largest magnitude: matrix units add up less exactly than f32, and
/// what a lost barrier leaves is far off.
const ALLOWED: f32 = 4e-3;

/// A launch by the variant in question and by a plain one, over the same arguments.
struct Stress {
    kernel: &'static Kernel,
    args: Vec<Tensor>,
    /// As the arguments are stored; what repeats itself, once.
    contents: Vec<Vec<u32>>,
    executor: GpuExecutor,
    questioned: Phase,
    plain: Phase,
}

/// Runs a variant over and over: the same bits each time, and within bounds of one without matrices.
///
/// # Errors
/// What is wrong with it.
pub fn check(gpu: &Gpu, kernel: &'static Kernel, variant: &Variant, precision: Precision) -> Result<(), String> {
    let case = (kernel.bench)(&SIZES);
    let plain = kernel
        .designed(&case.params, gpu.class())
        .find(|plain| plain.matrices.is_none() && gpu.trusts(kernel, plain, precision) && (plain.fits)(&case.params));
    let plain = plain.unwrap_or(kernel.reference());
    // A program on the CPU loses no barrier, and takes its time.
    let times = if gpu.class() == Class::Software { 2 } else { 10 };
    let mut stress = Stress::new(gpu, kernel, case, precision, [variant, plain]).map_err(|error| error.to_string())?;
    let wanted = stress.run(stress.plain)?;
    let first = stress.run(stress.questioned)?;
    for (arg, (got, want)) in stress.outputs().zip(first.iter().zip(&wanted)) {
        compare(arg, got, want, precision).map_err(|problem| format!("{} {}: {problem}", kernel.name, variant.name))?;
    }
    for time in 1..times {
        if stress.run(stress.questioned)? != first {
            return Err(format!("{} {}: run {time} of the same launch gives other bits", kernel.name, variant.name));
        }
    }
    Ok(())
}

impl Stress {
    fn new(
        gpu: &Gpu,
        kernel: &'static Kernel,
        case: Case,
        precision: Precision,
        variants: [&Variant; 2],
    ) -> crate::Result<Stress> {
        let mut program = Program::of(precision);
        let contents = case.contents(kernel, &mut Stream::new(1, Site::Init, 0), MOST_RANDOM);
        let tensor = |(arg, words): (&Arg, &Vec<u32>)| match words.is_empty() {
            true => Tensor::NONE,
            false => program.elements(arg.elem, Role::Output, arg.name, &[(arg.len)(&case.params)]),
        };
        let args: Vec<Tensor> = kernel.args.iter().zip(&contents).map(tensor).collect();
        let [questioned, plain] = variants.map(|variant| {
            let place = kernel.variants.iter().position(|known| known.name == variant.name);
            let phase = program.phase(variant.name);
            program.launch_variant(kernel, &case.params, &args, place);
            phase
        });
        let executor = GpuExecutor::new(gpu, &program.finish()?, Options::default())?;
        let stored = kernel.args.iter().zip(contents);
        let contents = stored.map(|(arg, words)| halves::stored(words, arg.elem.bytes(precision))).collect();
        Ok(Stress { kernel, args, contents, executor, questioned, plain })
    }

    fn outputs(&self) -> impl Iterator<Item = &'static Arg> {
        let present = self.kernel.args.iter().zip(&self.args).filter(|(_, tensor)| **tensor != Tensor::NONE);
        present.map(|(arg, _)| arg).filter(|arg| !arg.access.reads_only() && !arg.access.is_scratch())
    }

    /// What the outputs hold after a phase, as they are stored.
    fn run(&mut self, phase: Phase) -> Result<Vec<Vec<u32>>, String> {
        let failed = |error: crate::Error| error.to_string();
        let given = self.args.iter().zip(&self.contents).filter(|(tensor, _)| **tensor != Tensor::NONE);
        for (tensor, words) in given {
            self.executor.write_over_and_over(*tensor, words);
        }
        self.executor.run(phase).map_err(failed)?;
        let names: Vec<&str> = self.outputs().map(|arg| arg.name).collect();
        let written = self.kernel.args.iter().zip(&self.args).filter(|(arg, _)| names.contains(&arg.name));
        let tensors: Vec<Tensor> = written.map(|(_, tensor)| *tensor).collect();
        tensors.into_iter().map(|tensor| self.executor.read(tensor).map_err(failed)).collect()
    }
}

fn compare(arg: &Arg, got: &[u32], want: &[u32], precision: Precision) -> Result<(), String> {
    let width = arg.elem.bytes(precision);
    let numbers = |words: &[u32]| -> Vec<f32> {
        let words = halves::loaded(words, words.len() * 4 / width, width);
        words.into_iter().map(f32::from_bits).collect()
    };
    if arg.elem == Elem::u32 {
        return if got == want { Ok(()) } else { Err(format!("`{}` differs", arg.name)) };
    }
    let (got, want) = (numbers(got), numbers(want));
    let largest = want.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    // Not a number is off too.
    let close = |(got, want): &(&f32, &f32)| (*got - *want).abs() <= ALLOWED * largest;
    let off = want.len() - got.iter().zip(&want).filter(close).count();
    match off {
        0 => Ok(()),
        off => Err(format!("{off} of {} elements of `{}` are off", want.len(), arg.name)),
    }
}
