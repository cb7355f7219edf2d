//! A kernel that is launched over and over, to be timed.

use super::Device;
use crate::Result;
use crate::exec::gpu::{Gpu, GpuExecutor, Options};
use crate::exec::{Executor, Phase, Program, Role, Tensor, halves};
use crate::kernels::{Arg, Case, Kernel, Precision, Variant};
use crate::random::{Site, Stream};
use std::time::{Duration, Instant};

/// Random numbers that an argument has at most; then they repeat themselves.
const MOST_RANDOM: usize = 1 << 18;

/// A run that takes less time is too short to be timed: what a submission costs would count.
const SHORT: Duration = Duration::from_millis(10);

/// Runs of a kernel over the same arguments.
pub struct Launches {
    /// Of the program that was recorded.
    pub precision: Precision,
    executor: Box<dyn Executor>,
    args: Vec<Given>,
    runs: Vec<Run>,
    /// A tensor of one word: reading it waits for the device.
    end: Tensor,
}

/// An argument that the case has.
struct Given {
    arg: &'static Arg,
    tensor: Tensor,
    /// As the tensor stores them; what repeats itself, once.
    words: Vec<u32>,
}

/// So many launches of one case.
struct Run {
    case: Case,
    count: u64,
    phase: Phase,
}

impl Launches {
    /// `runs` are cases, whose arguments are of the same sizes, with how often to launch each: from the least work to the
    /// most. A GPU runs the variant at the place `variant`, or the one it has for training.
    ///
    /// # Errors
    /// The device has no room for the arguments, does not have the precision, or refuses the shader.
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

    /// A run of one launch for each of some variants on a GPU, all over the same arguments.
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

    /// Gives the arguments what they had at first.
    fn fill(&mut self) {
        for Given { tensor, words, .. } in &self.args {
            self.executor.write_over_and_over(*tensor, words);
        }
    }

    /// What one of the runs makes of the arguments as they were at first: each output, as it is stored.
    ///
    /// # Errors
    /// The device fails.
    pub fn outputs_of(&mut self, run: usize) -> Result<Vec<(&'static Arg, Vec<u32>)>> {
        self.fill();
        self.executor.run(self.runs[run].phase)?;
        let written = self.args.iter().filter(|given| !given.arg.access.reads_only() && !given.arg.access.is_scratch());
        written.map(|given| Ok((given.arg, self.executor.read(given.tensor)?))).collect()
    }

    /// How long a launch takes, `samples` times over, by the first of the runs that is long enough to tell; and its case.
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

    /// The median of what [`Launches::times`] gives, and the case.
    ///
    /// # Errors
    /// The device fails.
    pub fn median(&mut self, samples: usize) -> Result<(Duration, &Case)> {
        let (mut times, case) = self.times(samples)?;
        times.sort();
        Ok((times[samples / 2], case))
    }

    /// How long one of the runs takes.
    ///
    /// # Errors
    /// The device fails.
    pub fn time(&mut self, run: usize) -> Result<Duration> {
        let start = Instant::now();
        self.executor.run(self.runs[run].phase)?;
        self.executor.read(self.end)?;
        Ok(start.elapsed())
    }

    /// How long the kernels of a run take by the device's own clock; all of it by the host's where the device has none.
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
