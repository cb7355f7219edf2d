//! A kernel that is launched over and over, to be timed.

use crate::Result;
use crate::exec::gpu::{GpuExecutor, Options};
use crate::exec::{Device, Executor, Phase, Program, Role, Tensor};
use crate::kernels::{Case, Kernel};
use crate::random::{Site, Stream};
use std::time::{Duration, Instant};

/// A run that takes less time is too short to be timed: what a submission costs would count.
const SHORT: Duration = Duration::from_millis(10);

/// Runs of a kernel over the same arguments.
pub struct Launches {
    executor: Box<dyn Executor>,
    runs: Vec<Run>,
    /// A tensor of one word: reading it waits for the device.
    end: Tensor,
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
    /// The device has no room for the arguments, or refuses the shader.
    pub fn new(
        device: &Device,
        variant: Option<usize>,
        kernel: &'static Kernel,
        runs: &[(Case, u64)],
    ) -> Result<Launches> {
        let mut program = Program::new();
        let end = program.tensor(Role::Output, "end", &[1]);
        let contents = runs[0].0.contents(kernel, &mut Stream::new(1, Site::Init, 0));
        let args: Vec<Tensor> = (kernel.args.iter().zip(&contents))
            .map(|(arg, words)| match words.len() {
                0 => Tensor::NONE,
                len => program.tensor(Role::Output, arg.name, &[len]),
            })
            .collect();
        let record = |(case, count): &(Case, u64)| {
            let phase = program.phase(kernel.name);
            (0..*count).for_each(|_| program.launch_words(kernel, &case.params, &args));
            Run { case: case.clone(), count: *count, phase }
        };
        let runs = runs.iter().map(record).collect();
        let program = program.finish()?;
        let mut executor = match device {
            Device::Gpu(gpu) if variant.is_some() => {
                Box::new(GpuExecutor::new(gpu, &program, Options { variant, ..Default::default() })?)
            }
            _ => device.executor(&program)?,
        };
        for (&arg, words) in args.iter().zip(&contents).filter(|(arg, _)| **arg != Tensor::NONE) {
            executor.write(arg, words);
        }
        Ok(Launches { executor, runs, end })
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
}
