//! What a kernel is: its parameters, arguments, shader entry points, cost, test cases, CPU twin and mathematics, declared once.

use super::case::Sizes;
pub(crate) use super::declare::{kernel, params};
pub use super::mathematics::{Contents, Formula, Gradient, Mathematics};
pub use super::variant::{Class, Design, Matrices, Pass, Variant};
pub(crate) use super::variant::{on_gpus, usual_design};
pub use super::view::{View, Views};
use bytemuck::Pod;
use serde::{Deserialize, Serialize};

/// How a kernel uses an argument. Gradients of parameters are added to (`InOut`), everything else is written (`Out`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    In,
    Out,
    InOut,
    /// Working memory: written and read within the launch. Its content means nothing afterwards.
    Scratch,
    /// Like `Scratch`, but only for shaders: the twin sees an empty slice, and a plan for the CPU gives it no memory.
    ShaderScratch,
    /// An input that may be absent; the shader sees `HAS_<NAME>`, the twin an empty slice.
    MaybeIn,
    /// An output that may be absent.
    MaybeOut,
    /// An accumulated output that may be absent.
    MaybeInOut,
}

impl Access {
    pub fn optional(self) -> bool {
        matches!(self, Access::MaybeIn | Access::MaybeOut | Access::MaybeInOut)
    }

    pub fn reads_only(self) -> bool {
        matches!(self, Access::In | Access::MaybeIn)
    }

    /// Whether it is working memory.
    pub fn is_scratch(self) -> bool {
        matches!(self, Access::Scratch | Access::ShaderScratch)
    }

    /// Whether the argument's content before the launch matters.
    pub fn reads(self) -> bool {
        !matches!(self, Access::Out | Access::MaybeOut | Access::Scratch | Access::ShaderScratch)
    }
}

/// Element type of an argument.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elem {
    f32,
    u32,
    /// A number that is computed as f32 and stored in the launch's precision: activations, their gradients and the weights of
    /// products. The shader declares it as `array<Real>`, with `f32(…)` around loads and `Real(…)` around stores; the twin sees
    /// f32.
    real,
}

impl Elem {
    /// Bytes of an element in a launch of this precision.
    pub fn bytes(self, precision: Precision) -> usize {
        match self {
            Elem::f32 | Elem::u32 => 4,
            Elem::real => precision.bytes(),
        }
    }
}

/// How `real` arguments are stored. Sums, statistics and losses are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    F16,
}

impl Precision {
    /// Bytes of a `real` element.
    pub fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
        }
    }

    /// What an adapter must offer.
    pub fn needs(self) -> wgpu::Features {
        match self {
            Precision::F32 => wgpu::Features::empty(),
            Precision::F16 => wgpu::Features::SHADER_F16,
        }
    }

    /// What `Real` is in a shader.
    fn prelude(self) -> &'static str {
        match self {
            Precision::F32 => "alias Real = f32;\n",
            Precision::F16 => "alias Real = f16;\n",
        }
    }
}

/// An argument of a kernel: binding `1 + its place` in the shader.
pub struct Arg {
    pub name: &'static str,
    pub access: Access,
    pub elem: Elem,
    /// Elements the kernel touches, from the launch parameters.
    pub len: fn(&[u32]) -> usize,
    /// The most elements that one launch touches. If rows are picked from a table, that is fewer than the table has.
    pub touched: fn(&[u32]) -> usize,
}

/// A field of a parameter struct: one 32-bit word at `offset` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub elem: Elem,
    pub offset: u32,
}

/// Launch parameters: a struct of `u32` and `f32` words, the uniform at binding 0.
pub trait Params: Pod {
    const FIELDS: &'static [Field];

    fn words(&self) -> &[u32] {
        bytemuck::cast_slice(std::slice::from_ref(self))
    }

    /// Panics if `words` has another length than the struct: launches are only made from the struct itself.
    fn from_words(words: &[u32]) -> &Self {
        bytemuck::from_bytes(bytemuck::cast_slice(words))
    }
}

/// The arguments of a launch; `T` is a tensor. `kernel!` makes such a struct for each kernel.
pub trait Arguments<T> {
    type Params: Params;
    const KERNEL: &'static Kernel;

    /// One for each argument of the kernel, in the order of its declaration.
    fn list(self) -> Vec<Argument<T>>;
}

/// An argument of a launch.
pub enum Argument<T> {
    Given(T),
    Absent,
    /// Working memory, which the launch makes itself.
    Scratch,
}

/// A value compiled into a shader, as a `const` before its source. Unlike a WGSL `override`, it may size any array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    U32(u32),
    Bool(bool),
}

impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Constant::U32(value)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Constant::Bool(value)
    }
}

/// The high half of a product, which the random number generator needs: one text for every device, and one for devices with
/// 64-bit integers. A shader that uses it gets one of them; the bits are the same.
pub const MULTIPLY_HIGH: [&str; 2] = [
    include_str!("../../shaders/shared/multiply_high.wgsl"),
    include_str!("../../shaders/shared/multiply_high_wide.wgsl"),
];

/// The WGSL lines that some features need before everything else.
fn directives(needs: wgpu::Features) -> String {
    let enable = [
        (wgpu::Features::SHADER_F16, "enable f16;\n"),
        (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "enable wgpu_cooperative_matrix;\n"),
    ];
    enable.iter().filter(|(feature, _)| needs.contains(*feature)).map(|(_, line)| *line).collect()
}

/// The declaration of a kernel; see `kernel!`.
pub struct Kernel {
    pub name: &'static str,
    pub fields: &'static [Field],
    pub args: &'static [Arg],
    pub constants: fn(&[u32]) -> Vec<(&'static str, Constant)>,
    pub variants: &'static [Variant],
    /// The variants that suit a launch on a class of adapter, the best first. Variants that an adapter lacks or gets wrong are
    /// skipped, and the reference comes after the last.
    pub design: Design,
    /// Floating-point operations of a launch.
    pub flops: fn(&[u32]) -> u64,
    /// Largest error of a GPU against the twin, and of the twin against the mathematics, relative to the largest magnitude of the
    /// output.
    pub tolerance: f32,
    /// Whether small integers as inputs give an exact result, in any order of summation.
    pub exact: bool,
    pub cases: fn() -> Vec<Case>,
    /// A launch as in a model of these sizes, for benchmarks. It may be repeated.
    pub bench: fn(&Sizes) -> Case,
    /// What the arguments of a launch typically hold, for timing variants: one fill for each.
    pub typical: fn(&[u32]) -> Vec<Fill>,
    pub twin: for<'a> fn(&[u32], Views<'a>),
    /// What the twin has to compute.
    pub mathematics: Mathematics,
}

impl Kernel {
    /// Whether it has arguments that are stored in the launch's precision.
    pub fn stores_reals(&self) -> bool {
        self.args.iter().any(|arg| arg.elem == Elem::real)
    }

    /// The variant that stands in for the others.
    pub fn reference(&self) -> &'static Variant {
        &self.variants[0]
    }

    /// A variant's place in the declaration.
    pub fn place(&self, variant: &Variant) -> usize {
        let place = self.variants.iter().position(|known| known.name == variant.name);
        place.expect("a variant of this kernel")
    }

    /// The variants that suit a launch on a class of adapter, the best first.
    pub fn designed(&self, params: &[u32], class: Class) -> impl Iterator<Item = &'static Variant> {
        let names = (self.design)(params, class).iter();
        names.filter_map(|name| self.variants.iter().find(|variant| variant.name == *name))
    }

    /// The WGSL of a variant: the type `Real`, the launch's constants, then the source. `present` has one bit for each argument
    /// that is given. `features` are the device's; the text may use more of them than the variant needs, if the bits stay the
    /// same.
    pub fn wgsl(
        &self,
        variant: &Variant,
        params: &[u32],
        present: u32,
        precision: Precision,
        features: wgpu::Features,
    ) -> String {
        let mut text = directives(variant.needs | precision.needs());
        text += precision.prelude();
        for (name, value) in (self.constants)(params) {
            match value {
                Constant::U32(value) => text += &format!("const {name}: u32 = {value}u;\n"),
                Constant::Bool(value) => text += &format!("const {name}: bool = {value};\n"),
            }
        }
        for (place, arg) in self.args.iter().enumerate().filter(|(_, arg)| arg.access.optional()) {
            text += &format!("const HAS_{}: bool = {};\n", arg.name.to_uppercase(), present >> place & 1 == 1);
        }
        text += &variant.source.concat();
        if text.contains("multiply_high(") {
            text += MULTIPLY_HIGH[usize::from(features.contains(wgpu::Features::SHADER_INT64))];
        }
        text
    }

    /// The arguments that a pass is bound to, with their places in the declaration.
    pub fn bound(&self, pass: &Pass) -> impl Iterator<Item = (usize, &'static Arg)> {
        let args = pass.args;
        self.args.iter().enumerate().filter(move |(_, arg)| args.is_empty() || args.contains(&arg.name))
    }

    /// A name for everything that decides how fast a launch is: the kernel, the sizes of its arguments, its constants, its work
    /// and f16.
    pub fn shape(&self, params: &[u32], present: u32, precision: Precision) -> String {
        let given = self.args.iter().enumerate().filter(|(place, _)| present >> place & 1 == 1);
        let sizes: Vec<String> = given.map(|(_, arg)| format!("{}:{}", arg.name, (arg.len)(params))).collect();
        let constants = (self.constants)(params).into_iter().map(|(name, value)| match value {
            Constant::U32(value) => format!(" {name}={value}"),
            Constant::Bool(value) => format!(" {name}={value}"),
        });
        let constants: String = constants.collect();
        let half = if precision == Precision::F16 && self.stores_reals() { " f16" } else { "" };
        format!("{} {}{constants} {}{half}", self.name, sizes.join(" "), (self.flops)(params))
    }

    /// The places of the fields that give lengths of arguments, unlike fields that are switches or sites.
    pub fn sizes(&self, params: &[u32]) -> Vec<usize> {
        let lengths = |params: &[u32]| -> Vec<usize> { self.args.iter().map(|arg| (arg.len)(params)).collect() };
        let matters = |at: usize| {
            let mut doubled = params.to_vec();
            doubled[at] *= 2;
            lengths(&doubled) != lengths(params)
        };
        (0..self.fields.len()).filter(|&at| self.fields[at].elem == Elem::u32 && matters(at)).collect()
    }

    /// Bytes that a launch must move: inputs and outputs once, in-place arguments twice, and of tables only the rows that are
    /// picked. Data that some variants leave for a second pass does not count.
    pub fn bytes(&self, params: &[u32], present: u32, precision: Precision) -> u64 {
        let moved = |arg: &Arg| {
            let bytes = (arg.elem.bytes(precision) * (arg.touched)(params)) as u64;
            bytes * if !arg.access.reads_only() && arg.access.reads() { 2 } else { 1 }
        };
        let given = |&(place, arg): &(usize, &Arg)| present >> place & 1 == 1 && arg.access != Access::ShaderScratch;
        self.args.iter().enumerate().filter(given).map(|(_, arg)| moved(arg)).sum()
    }
}

/// Most arguments that a pass of a kernel may be bound to: the storage bindings that every adapter offers.
pub const MAX_BINDINGS: usize = 8;

/// Most arguments a kernel may have.
pub const MAX_ARGS: usize = 12;

/// What a test or a benchmark puts into an argument.
#[derive(Clone, Debug)]
pub enum Fill {
    /// Outputs and scratch: the harness poisons them.
    Nothing,
    Absent,
    /// Uniform random numbers in the range; small integers within it in an exact run.
    Uniform(f32, f32),
    Ids {
        below: u32,
    },
    Words(Vec<u32>),
}

impl Fill {
    /// Numbers about one. Integers are zero, since they are mostly ids and indices.
    pub fn any(elem: Elem) -> Fill {
        match elem {
            Elem::f32 | Elem::real => Fill::Uniform(-1.0, 1.0),
            Elem::u32 => Fill::Nothing,
        }
    }
}

/// A launch for tests, benchmarks and `cloze doctor`: parameters and a fill for each argument.
#[derive(Clone, Debug)]
pub struct Case {
    pub params: Vec<u32>,
    pub fills: Vec<Fill>,
    /// Whether an exact kernel is exact here too.
    pub exact: bool,
}

impl Case {
    pub fn new<P: Params>(params: P, fills: impl Into<Vec<Fill>>) -> Self {
        Case { params: params.words().to_vec(), fills: fills.into(), exact: true }
    }

    /// The case of an exact kernel with an epilogue that is not exact.
    pub fn inexact(self) -> Self {
        Case { exact: false, ..self }
    }
}

/// The grid of `count` workgroups, folded because a dimension holds at most 65 535. The shader computes a workgroup's number as
/// `group.y * groups.x + group.x`.
pub fn fold(count: usize) -> [u32; 3] {
    const MOST: usize = 65_535;
    let x = count.clamp(1, MOST);
    [x as u32, count.div_ceil(x).max(1) as u32, 1]
}
