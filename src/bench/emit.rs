//! Writes kernels into files, for offline compilers that need no device.

use super::shape::{BenchShape, case};
use crate::kernels::translate::Parsed;
use crate::kernels::{Class, Kernel, Precision, Variant};
use crate::{Error, Result};
use std::fmt;
use std::fs;
use std::path::Path;

/// The name of the file that lists the others.
pub const LIST: &str = "list";

/// The features that the emitted shaders use beyond what a variant needs: nearly every GPU has 64-bit integers.
const OFFERED: wgpu::Features = wgpu::Features::SHADER_INT64;

/// A variant of a kernel, compiled for the parameters of a launch.
pub struct Shader {
    pub kernel: &'static Kernel,
    pub variant: &'static Variant,
    pub precision: Precision,
    pub wgsl: String,
    /// Whether some GPU runs it when nothing has been measured.
    pub design: bool,
}

/// The variants of a kernel that compute a shape, in both precisions.
///
/// # Errors
/// As [`case`].
pub fn shaders(kernel: &'static Kernel, shape: &BenchShape) -> Result<Vec<Shader>> {
    let case = case(kernel, shape)?;
    let mut shaders = Vec::new();
    for precision in [Precision::F32, Precision::F16] {
        if precision == Precision::F16 && !kernel.stores_reals() {
            continue;
        }
        for variant in kernel.variants.iter().filter(|variant| variant.suits(&case.params, precision)) {
            let wgsl = kernel.wgsl(variant, &case.params, case.present(), precision, OFFERED);
            let design = runs_by_design(kernel, variant, &case.params, precision);
            shaders.push(Shader { kernel, variant, precision, wgsl, design });
        }
    }
    Ok(shaders)
}

/// Whether some GPU runs this variant when nothing has been measured. That is the preset variant for a class of GPUs, or the
/// next one for a GPU that lacks what the preset needs.
fn runs_by_design(kernel: &'static Kernel, variant: &Variant, params: &[u32], precision: Precision) -> bool {
    let had_everywhere = |known: &Variant| precision.needs().contains(known.needs) && known.matrices.is_none();
    [Class::Discrete, Class::Integrated].into_iter().any(|class| {
        let fitting = kernel.designed(params, class).filter(|known| known.suits(params, precision));
        let mut best: Vec<&Variant> = fitting.chain([kernel.reference()]).collect();
        let last = best.iter().position(|known| had_everywhere(known)).expect("the reference needs nothing");
        best.drain(..=last).any(|known| known.name == variant.name)
    })
}

impl Shader {
    /// # Errors
    /// The shader is not valid.
    pub fn parse(&self) -> Result<Parsed> {
        Parsed::new(&self.wgsl, self.variant.needs | self.precision.needs() | OFFERED)
    }

    /// How many buffers it binds: the parameters at binding 0, and the arguments.
    pub fn bindings(&self) -> usize {
        1 + self.kernel.args.len()
    }
}

/// `matmul_nt-large-f16`
impl fmt::Display for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = match self.precision {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        };
        write!(f, "{}-{}-{precision}", self.kernel.name, self.variant.name)
    }
}

/// How much was written.
pub struct Emitted {
    /// Entry points of shaders.
    pub entries: usize,
    /// Entry points that some GPU runs when nothing has been measured.
    pub designed: usize,
}

/// Writes every variant of the kernels that computes the shape into a folder, in both precisions: `NAME.wgsl`, and for each
/// entry point `NAME-ENTRY.spv`, `.metal` and, if DX12 has what it needs, `.hlsl`. A file `list` has one line per entry point:
/// `FILE.spv ENTRY BINDINGS NAME`, with `design` at its end if some GPU runs it unmeasured. Other files in the folder stay.
///
/// # Errors
/// As [`case`]; the folder can't be written to.
pub fn emit(folder: &Path, kernels: &[&'static Kernel], shape: &BenchShape) -> Result<Emitted> {
    let shaders = kernels.iter().map(|kernel| shaders(kernel, shape)).collect::<Result<Vec<_>>>()?;
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut list = String::new();
    let mut emitted = Emitted { entries: 0, designed: 0 };
    for shader in shaders.iter().flatten() {
        write_shader(folder, shader)?;
        for pass in shader.variant.passes {
            let design = if shader.design { " design" } else { "" };
            let (entry, bindings) = (pass.entry, shader.bindings());
            list += &format!("{shader}-{entry}.spv {entry} {bindings} {shader}{design}\n");
            emitted.entries += 1;
            emitted.designed += usize::from(shader.design);
        }
    }
    write(folder, LIST, list)?;
    Ok(emitted)
}

fn write_shader(folder: &Path, shader: &Shader) -> Result<()> {
    write(folder, &format!("{shader}.wgsl"), &shader.wgsl)?;
    let parsed = shader.parse()?;
    for pass in shader.variant.passes {
        let file = |ending| format!("{shader}-{}.{ending}", pass.entry);
        write(folder, &file("spv"), bytemuck::cast_slice(&parsed.spirv(pass.entry)?))?;
        write(folder, &file("metal"), parsed.metal(pass.entry)?)?;
        if parsed.suits_dx12() {
            write(folder, &file("hlsl"), parsed.hlsl(pass.entry)?)?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, content).map_err(Error::io(&path))
}
