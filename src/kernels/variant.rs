//! A variant: one of the ways to compute a kernel on a GPU, what it needs of an adapter, and which is taken by design.

use super::kernel::Precision;

/// One dispatch of a launch. The passes of a variant run in order over the same arguments.
pub struct Pass {
    pub entry: &'static str,
    /// The names of the arguments that it is bound to, `MAX_BINDINGS` at most; all of the kernel's where none is named.
    pub args: &'static [&'static str],
    /// Workgroups, from the launch parameters.
    pub grid: fn(&[u32]) -> [u32; 3],
}

/// Cooperative matrices that a variant multiplies, with sums in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrices {
    /// M, N and K.
    pub side: u32,
    /// Of the elements, and of the launches that it computes.
    pub of: Precision,
}

/// One way to compute a kernel on a GPU. The first variant of a kernel is its reference.
pub struct Variant {
    pub name: &'static str,
    /// The WGSL, in pieces that are put one after another.
    pub source: &'static [&'static str],
    /// What an adapter must offer; nothing for a reference.
    pub needs: wgpu::Features,
    /// The cooperative matrices that it multiplies, if any.
    pub matrices: Option<Matrices>,
    /// The most lanes that a subgroup may have, where a workgroup has to have so many subgroups.
    pub lanes: Option<u32>,
    /// Bytes of workgroup memory that it takes at most.
    pub workgroup_memory: u32,
    /// Whether it computes a launch of these parameters. A reference computes every launch.
    pub fits: fn(&[u32]) -> bool,
    pub passes: &'static [Pass],
}

impl Variant {
    /// Whether it computes launches of this precision: one that multiplies matrices those of their elements, one that needs half
    /// precision for itself those in f16.
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

/// The kinds of adapter that variants are chosen for before anything was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A GPU with memory of its own: some 30 to 150 compute units.
    Discrete,
    /// A GPU that shares the machine's memory: some 4 to 40 compute units.
    Integrated,
    /// A program on the CPU that imitates a GPU, such as llvmpipe.
    Software,
}

/// From launch parameters and the class of an adapter to names of variants.
pub type Design = fn(&[u32], Class) -> &'static [&'static str];

/// The design of a kernel that says nothing of its own: the reference.
pub(crate) fn usual_design(_: &[u32], _: Class) -> &'static [&'static str] {
    &[]
}

/// A design of variants for GPUs; programs that imitate one run the reference.
pub(crate) fn on_gpus(class: Class, names: &'static [&'static str]) -> &'static [&'static str] {
    match class {
        Class::Discrete | Class::Integrated => names,
        Class::Software => &[],
    }
}
