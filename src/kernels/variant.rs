//! A variant: one of the ways to compute a kernel on a GPU, what it needs of an adapter, and which one is chosen by design.

use super::kernel::Precision;

/// One dispatch of a launch. The passes of a variant run in order over the same arguments.
pub struct Pass {
    pub entry: &'static str,
    /// The names of the arguments that it is bound to, `MAX_BINDINGS` at most. If none is named, it is bound to all of them.
    pub args: &'static [&'static str],
    /// Workgroups, from the launch parameters.
    pub grid: fn(&[u32]) -> [u32; 3],
}

/// The cooperative matrices that a variant multiplies, with sums in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// M, N and K.
    pub side: u32,
    /// The type of the elements, and the precision of the launches that it computes.
    pub of: Precision,
}

/// One way to compute a kernel on a GPU. The first variant of a kernel is its reference.
pub struct Variant {
    pub name: &'static str,
    /// The WGSL, in pieces that are concatenated.
    pub source: &'static [&'static str],
    /// Features that an adapter must have; none for a reference.
    pub needs: wgpu::Features,
    /// The cooperative matrices that it multiplies, if any.
    pub matrices: Option<Matrices>,
    /// The most lanes that a subgroup may have, if a workgroup must have a certain number of subgroups.
    pub lanes: Option<u32>,
    /// The most bytes of workgroup memory that it takes.
    pub workgroup_memory: u32,
    /// Whether it computes a launch of these parameters. A reference computes every launch.
    pub fits: fn(&[u32]) -> bool,
    pub passes: &'static [Pass],
}

impl Variant {
    /// Whether it computes launches of this precision. A variant on matrices computes those in its elements' precision; one
    /// that needs half precision itself computes those in f16.
    pub fn computes_in(&self, precision: Precision) -> bool {
        match self.matrices {
            Some(matrices) => matrices.of == precision,
            None => precision == Precision::F16 || !self.needs.contains(wgpu::Features::SHADER_F16),
        }
    }

    /// Whether it computes a launch of these parameters and this precision.
    pub fn suits(&self, params: &[u32], precision: Precision) -> bool {
        self.computes_in(precision) && (self.fits)(params)
    }
}

/// The classes of adapter, by which variants are chosen before anything was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A GPU with memory of its own: some 30 to 150 compute units.
    Discrete,
    /// A GPU that shares the machine's memory: some 4 to 40 compute units.
    Integrated,
    /// A program on the CPU that imitates a GPU, such as llvmpipe.
    Software,
}

/// Maps launch parameters and the class of an adapter to names of variants.
pub type Design = fn(&[u32], Class) -> &'static [&'static str];

/// The design of a kernel that does not declare one: only the reference.
pub(crate) fn usual_design(_: &[u32], _: Class) -> &'static [&'static str] {
    &[]
}

/// A design with these variants on GPUs. Software adapters run the reference.
pub(crate) fn on_gpus(class: Class, names: &'static [&'static str]) -> &'static [&'static str] {
    match class {
        Class::Discrete | Class::Integrated => names,
        Class::Software => &[],
    }
}
