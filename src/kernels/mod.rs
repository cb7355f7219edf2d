//! The kernels. There is one file per family, with its parameter structs, declarations, test cases and CPU twins; the WGSL is
//! in `shaders/` under the same name.

pub mod adamw;
pub mod attention;
pub mod attention_backward;
pub mod case;
pub mod cpu;
pub mod cross_entropy;
pub(crate) mod declare;
pub mod dropout;
pub mod embedding;
pub mod gelu;
pub mod gradient_norm;
pub mod kernel;
pub mod layer_norm;
pub mod mathematics;
pub mod matmul;
mod memory_model;
pub mod muon;
pub mod product_variants;
pub mod qkv;
pub mod rows;
pub mod step;
pub mod tanh;
pub mod translate;
pub mod variant;
pub mod view;

pub use case::{SIZES, Sizes};
pub use kernel::{
    Access, Arg, Argument, Arguments, Case, Class, Constant, Elem, Fill, Kernel, Params, Precision, Variant, View,
    Views,
};

/// Every kernel. Executors, parity tests, gradient checks and benches all use this table.
pub static KERNELS: &[&Kernel] = &[
    &embedding::EMBEDDING,
    &embedding::EMBEDDING_BACKWARD,
    &layer_norm::LAYER_NORM,
    &layer_norm::LAYER_NORM_BACKWARD,
    &matmul::MATMUL_NT,
    &matmul::MATMUL_NN,
    &matmul::MATMUL_TN,
    &qkv::QKV,
    &qkv::QKV_BACKWARD,
    &attention::ATTENTION,
    &attention_backward::ATTENTION_BACKWARD,
    &gelu::GELU,
    &gelu::GELU_BACKWARD,
    &gelu::GATED_GELU,
    &gelu::GATED_GELU_BACKWARD,
    &tanh::TANH,
    &tanh::TANH_BACKWARD,
    &dropout::DROPOUT,
    &rows::GATHER_ROWS,
    &rows::SCATTER_ROWS,
    &cross_entropy::CROSS_ENTROPY,
    &gradient_norm::SUM_SQUARES,
    &gradient_norm::GRADIENT_NORM,
    &adamw::ADAMW,
    &muon::MUON_MOMENTUM,
    &muon::MUON_NORM,
    &muon::MUON_POLYNOMIAL,
    &muon::MUON_UPDATE,
];

/// The kernels that have a separate form in a precision.
pub fn kernels_of(precision: Precision) -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().copied().filter(move |kernel| precision == Precision::F32 || kernel.stores_reals())
}

/// The variant with a name such as `matmul_nt/direct`.
pub fn find_variant(name: &str) -> Option<(&'static Kernel, &'static Variant)> {
    let (kernel, variant) = name.split_once('/')?;
    let kernel = KERNELS.iter().find(|known| known.name == kernel)?;
    kernel.variants.iter().find(|known| known.name == variant).map(|variant| (*kernel, variant))
}
