//! A kernel that is launched repeatedly, to be timed.

use super::Device;
use crate::Result;
use crate::exec::gpu::{Gpu, GpuExecutor, Options};
use crate::exec::{Executor, Phase, Program, Role, Tensor, halves};
use crate::kernels::{Arg, Case, Kernel, Precision, Variant};
use crate::random::{Site, Stream};
use std::time::{Duration, Instant};

/// The most random numbers for an argument; after that they repeat.
const MOST_RANDOM: usize = 1 << 18;

/// A shorter run cannot be timed well, since the cost of the submission would count.
const SHORT: Duration = Duration::from_millis(10);

/// Runs of a kernel over the same arguments.
pub struct Launches {
    /// The precision of the recorded program.
    pub precision: Precision,
    executor: Box<dyn Executor>,
    args: Vec<Given>,
    runs: Vec<Run>,
    /// A tensor of one word: reading it waits for the device.
    end: Tensor,
}

/// An argument that the case gives.
struct Given {
    arg: &'static Arg,
    tensor: Tensor,
    /// The words as the tensor stores them; a repeating pattern is stored once.
    words: Vec<u32>,
}

/// A number of launches of one case.
struct Run {
    case: Case,
    count: u64,
    phase: Phase,
}

impl Launches {
    /// `runs` are cases with arguments of the same sizes, each with the number of its launches, from the least work to the
    /// most. A GPU runs the variant at the place `variant`, or else the one it uses for training.
    ///
    /// # Errors
    /// The device has no room for the arguments, lacks the precision, or refuses the shader.
    pub fn new(
        device: &Device,
        variant: Option<usize>,
        kernel: &'static Kernel,
        precision: Precision,
        runs: &[(Case, u64)],
    ) -> Result<Launches> {
        let runs: Vec<_> = runs.iter().map(|(case, count)| (case.clone(), *count, variant)).collect();
        Self::record(kernel, precision, &runs, |program| match device {
            Device::Gpu(gpu) if variant.is_some() => on_gpu(gpu, program),
            _ => device.executor(program),
        })
    }

    /// Runs of one launch each, for some variants on a GPU, all over the same arguments.
    ///
    /// # Errors
    /// As [`Launches::new`].
    pub fn of_variants(
        gpu: &Gpu,
        variants: &[&Variant],
        kernel: &'static Kernel,
        precision: Precision,
        case: &Case,
    ) -> Result<Launches> {
        let runs: Vec<_> = variants.iter().map(|variant| (case.clone(), 1, Some(kernel.place(variant)))).collect();
        Self::record(kernel, precision, &runs, |program| on_gpu(gpu, program))
    }

    fn record(
        kernel: &'static Kernel,
        precision: Precision,
        runs: &[(Case, u64, Option<usize>)],
        executor: impl FnOnce(&Program) -> Result<Box<dyn Executor>>,
    ) -> Result<Launches> {
        let mut program = Program::of(precision);
        let end = program.tensor(Role::Output, "end", &[1]);
        let contents = runs[0].0.contents(kernel, &mut Stream::new(1, Site::Init, 0), MOST_RANDOM);
        let args: Vec<Tensor> = (kernel.args.iter().zip(&contents))
            .map(|(arg, words)| match words.is_empty() {
                true => Tensor::NONE,
                false => program.elements(arg.elem, Role::Output, arg.name, &[(arg.len)(&runs[0].0.params)]),
            })
            .collect();
        let record = |(case, count, variant): &(Case, u64, Option<usize>)| {
            let phase = program.phase(kernel.name);
            (0..*count).for_each(|_| program.launch_variant(kernel, &case.params, &args, *variant));
            Run { case: case.clone(), count: *count, phase }
        };
        let runs = runs.iter().map(record).collect();
        let executor = executor(&program.finish()?)?;
        let given = args.into_iter().zip(kernel.args).zip(contents).filter(|((tensor, _), _)| *tensor != Tensor::NONE);
        let args = given.map(|((tensor, arg), words)| {
            let words = halves::stored(words, arg.elem.bytes(precision));
            Given { arg, tensor, words }
        });
        let mut launches = Launches { precision, executor, args: args.collect(), runs, end };
        launches.fill();
        launches.executor.read(end)?; // Writes do not count in what is timed.
        Ok(launches)
    }

    /// Resets the arguments to their first content.
    fn fill(&mut self) {
        for Given { tensor, words, .. } in &self.args {
            self.executor.write_over_and_over(*tensor, words);
        }
    }

    /// The result of one run over the arguments' first content: each output, as it is stored.
    ///
    /// # Errors
    /// The device fails.
    pub fn outputs_of(&mut self, run: usize) -> Result<Vec<(&'static Arg, Vec<u32>)>> {
        self.fill();
        self.executor.run(self.runs[run].phase)?;
        let written = self.args.iter().filter(|given| !given.arg.access.reads_only() && !given.arg.access.is_scratch());
        written.map(|given| Ok((given.arg, self.executor.read(given.tensor)?))).collect()
    }

    /// The time of a launch, measured `samples` times with the first run that is long enough to time; and the case of that run.
    ///
    /// # Errors
    /// The device fails.
    pub fn times(&mut self, samples: usize) -> Result<(Vec<Duration>, &Case)> {
        self.time(0)?; // Touches the memory, and may compile.
        let mut chosen = 0;
        while chosen + 1 < self.runs.len() && self.time(chosen)? < SHORT {
            chosen += 1;
        }
        let count = self.runs[chosen].count as u32;
        let times = (0..samples).map(|_| Ok(self.time(chosen)? / count)).collect::<Result<_>>()?;
        Ok((times, &self.runs[chosen].case))
    }

    /// The median of the times from [`Launches::times`], and the case.
    ///
    /// # Errors
    /// The device fails.
    pub fn median(&mut self, samples: usize) -> Result<(Duration, &Case)> {
        let (mut times, case) = self.times(samples)?;
        times.sort();
        Ok((times[samples / 2], case))
    }

    /// The time of one run.
    ///
    /// # Errors
    /// The device fails.
    pub fn time(&mut self, run: usize) -> Result<Duration> {
        let start = Instant::now();
        self.executor.run(self.runs[run].phase)?;
        self.executor.read(self.end)?;
        Ok(start.elapsed())
    }

    /// The time of a run's kernels by the device's own clock, or of the whole run by the host's clock if the device has none.
    ///
    /// # Errors
    /// The device fails.
    pub fn time_in_kernels(&mut self, run: usize) -> Result<Duration> {
        let clock = self.executor.start_profile().is_ok();
        let took = self.time(run)?;
        if clock { Ok(Duration::from_secs_f64(self.executor.finish_profile()?.seconds())) } else { Ok(took) }
    }
}

fn on_gpu(gpu: &Gpu, program: &Program) -> Result<Box<dyn Executor>> {
    Ok(Box::new(GpuExecutor::new(gpu, program, Options::default())?))
}
