//! A test case of a kernel as a launch of its own. Its data is generated, every argument is placed between guards, outputs are
//! poisoned, and after the run the guards are checked.

use crate::Result;
use crate::exec::{Executor, Phase, Program, Role, Tensor, halves};
use crate::kernels::{Arg, Case, Fill, Kernel, Precision};
use crate::random::{Site, Stream};

/// Which numbers `Fill::Uniform` generates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers {
    Real,
    /// Small integers, whose products and sums are exact in any order.
    Integers,
}

/// Words on either side of an argument: a multiple of 256 bytes, at which every device allows a binding to start.
pub const GUARD_WORDS: usize = 64;
/// A large number as an f32, as a u32 and as two f16, so that reading a guard spoils the result.
const GUARD_WORD: u32 = 0x7b5a_7b5a;
/// A NaN that no kernel produces.
const POISON: u32 = 0x7fc0_dead;

/// A case recorded as a phase of a program.
pub struct Trial {
    pub kernel: &'static Kernel,
    pub case: Case,
    /// The case's index in the kernel's declaration.
    pub number: usize,
    pub numbers: Numbers,
    pub precision: Precision,
    phase: Phase,
    args: Vec<Guarded>,
}

struct Guarded {
    /// Guard, argument, guard; `Tensor::NONE` when the argument is absent.
    whole: Tensor,
    /// Words as they are stored. An odd number of f16 is followed by half a word of guard.
    content: Vec<u32>,
    /// Bytes of an element.
    width: usize,
}

/// The content of an argument after the run.
pub struct Output {
    pub arg: &'static Arg,
    /// One word per element; what is stored as f16 is an f32 here.
    pub words: Vec<u32>,
}

/// Records the chosen cases of a kernel, and records exact ones a second time with small integers.
///
/// # Errors
/// A case is too large for any device.
pub fn record(
    kernel: &'static Kernel,
    precision: Precision,
    chosen: impl Fn(&Case) -> bool,
) -> Result<(Program, Vec<Trial>)> {
    let mut program = Program::of(precision);
    let mut trials = Vec::new();
    for (number, case) in (kernel.cases)().into_iter().enumerate().filter(|(_, case)| chosen(case)) {
        trials.push(Trial::record(&mut program, kernel, case.clone(), number, Numbers::Real));
        if kernel.exact && case.exact {
            trials.push(Trial::record(&mut program, kernel, case, number, Numbers::Integers));
        }
    }
    Ok((program.finish()?, trials))
}

impl Trial {
    fn record(program: &mut Program, kernel: &'static Kernel, case: Case, number: usize, numbers: Numbers) -> Trial {
        assert_eq!(case.fills.len(), kernel.args.len(), "{} case {number}: a fill for each argument", kernel.name);
        let phase = program.phase(&format!("{} case {number}", kernel.name));
        let (mut args, mut parts) = (Vec::new(), Vec::new());
        for (place, (arg, fill)) in kernel.args.iter().zip(&case.fills).enumerate() {
            let width = arg.elem.bytes(program.precision());
            let (mut whole, mut part, mut words) = (Tensor::NONE, Tensor::NONE, Vec::new());
            if !matches!(fill, Fill::Absent) {
                let mut stream = Stream::new(1, Site::Init, (number * kernel.args.len() + place) as u64);
                let len = (arg.len)(&case.params);
                words = content(fill, len, numbers, &mut stream);
                assert_eq!(words.len(), len, "{} case {number}: wrong length of `{}`", kernel.name, arg.name);
                let guard = GUARD_WORDS * 4 / width;
                let shape = [guard + len.next_multiple_of(4 / width) + guard];
                whole = program.elements(arg.elem, Role::Output, arg.name, &shape);
                part = program.part(whole, guard, len, arg.name);
                words = guarded(words, width);
            }
            args.push(Guarded { whole, content: words, width });
            parts.push(part);
        }
        program.launch_words(kernel, &case.params, &parts);
        Trial { kernel, case, number, numbers, precision: program.precision(), phase, args }
    }

    /// Runs the trial. Returns what it wrote (without scratch), or which guard was damaged.
    pub fn run(&self, executor: &mut dyn Executor) -> Result<Vec<Output>, String> {
        let present = || self.kernel.args.iter().zip(&self.args).filter(|(_, guarded)| guarded.whole != Tensor::NONE);
        for (_, guarded) in present() {
            executor.write(guarded.whole, &guarded.with_guards());
        }
        let failed = |error: crate::Error| format!("{self}: {error}");
        executor.run(self.phase).map_err(failed)?;
        executor.request(&present().map(|(_, guarded)| guarded.whole).collect::<Vec<_>>()).map_err(failed)?;
        let wholes = executor.collect(true).map_err(failed)?.expect("a request is answered");
        let mut outputs = Vec::new();
        for ((arg, guarded), whole) in present().zip(wholes) {
            let (before, rest) = whole.split_at(GUARD_WORDS);
            let (words, after) = rest.split_at(rest.len() - GUARD_WORDS);
            let len = (arg.len)(&self.case.params);
            for (side, guard) in [("before", before), ("after", after)] {
                if let Some(place) = guard.iter().position(|&word| word != GUARD_WORD) {
                    return Err(format!("{self}: element {place} of the guard {side} `{}` was written", arg.name));
                }
            }
            let odd = guarded.width == 2 && len % 2 == 1;
            if odd && words.last().map(|word| word >> 16) != Some(GUARD_WORD >> 16) {
                return Err(format!("{self}: element 0 of the guard after `{}` was written", arg.name));
            }
            if !arg.access.reads_only() && !arg.access.is_scratch() {
                outputs.push(Output { arg, words: halves::loaded(words, len, guarded.width) });
            }
        }
        Ok(outputs)
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let half = if self.precision == Precision::F16 { " in f16" } else { "" };
        write!(f, "{} case {} {:?} on {:?}{half}", self.kernel.name, self.number, self.case.params, self.numbers)
    }
}

impl Guarded {
    fn with_guards(&self) -> Vec<u32> {
        [&[GUARD_WORD; GUARD_WORDS], self.content.as_slice(), &[GUARD_WORD; GUARD_WORDS]].concat()
    }
}

/// Elements as they are stored. An odd number of f16 is followed by half a word of guard.
fn guarded(words: Vec<u32>, width: usize) -> Vec<u32> {
    let odd = width == 2 && words.len() % 2 == 1;
    let mut stored = halves::stored(words, width);
    if let Some(last) = stored.last_mut().filter(|_| odd) {
        *last = GUARD_WORD << 16 | (*last & 0xffff);
    }
    stored
}

/// Content as in benchmarks, except for poison in outputs and integers where they are asked for.
fn content(fill: &Fill, len: usize, numbers: Numbers, stream: &mut Stream) -> Vec<u32> {
    match (fill, numbers) {
        (Fill::Nothing, _) => vec![POISON; len],
        (Fill::Uniform(low, high), Numbers::Integers) => {
            let count = (high.floor() - low.ceil()) as u32 + 1;
            (0..len).map(|_| (low.ceil() + stream.below(count) as f32).to_bits()).collect()
        }
        _ => fill.words(len, stream),
    }
}
