//! The shaders of matrix products: one table for all transpositions and for the projection of q, k and v. Each is put together
//! from a front, which loads and stores as its kernel needs it, and a tile with its loop.

use super::kernel::Class;

/// The variants of a kernel whose result is m×n. `each` is the front that takes any size, element by element; `quads` takes
/// four elements at a time, `octets` eight for products on matrices, both of launches that `fit`.
///
/// Those on matrices that are for subgroups of 32 lanes come first: on adapters with wider ones they are not offered.
macro_rules! product_variants {
    (
        $p:ident: &$params:ty,
        [$m:expr, $n:expr],
        each [$($each:literal),*],
        quads [$($quad:literal),*] fit $fits:expr,
        octets [$($octet:literal),*] fit $fit_octets:expr
    ) => {{
        use $crate::kernels::declare::variant;
        use $crate::kernels::product_variants::tiles;
        &[
            variant!($p: &$params, "tiled" = [$($each,)* "shared/product_tiled.wgsl"] {
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "direct" = [$($quad,)* "shared/product_direct.wgsl"] {
                fits: $fits,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "large" = [
                $($quad,)* "shared/tile_large.wgsl", "shared/product_fetch.wgsl", "shared/product_blocked.wgsl"
            ] {
                fits: $fits,
                "main": tiles([$m, $n], [128, 128]),
            }),
            variant!($p: &$params, "medium" = [
                $($quad,)* "shared/tile_medium.wgsl", "shared/product_fetch.wgsl", "shared/product_blocked.wgsl"
            ] {
                fits: $fits,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "sliced" = [
                $($quad,)* "shared/tile_sliced.wgsl", "shared/product_fetch.wgsl", "shared/product_sliced.wgsl"
            ] {
                fits: $fits,
                "main": tiles([$m, $n], [32, 32]),
            }),
            variant!($p: &$params, "cooperative_large_32" = [
                $($octet,)* "shared/matrices_16.wgsl", "shared/cells_16.wgsl", "shared/matrices_large_shallow.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 16,
                lanes: 32,
                workgroup_memory: 24 * 1024,
                fits: $fit_octets,
                "main": tiles([$m, $n], [128, 128]),
            }),
            variant!($p: &$params, "cooperative_large" = [
                $($octet,)* "shared/matrices_16.wgsl", "shared/cells_16.wgsl", "shared/matrices_large.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 16,
                lanes: 64,
                workgroup_memory: 32 * 1024,
                fits: $fit_octets,
                "main": tiles([$m, $n], [128, 128]),
            }),
            variant!($p: &$params, "cooperative_small_32" = [
                $($octet,)* "shared/matrices_16.wgsl", "shared/cells_16.wgsl", "shared/matrices_small_shallow.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 16,
                lanes: 32,
                fits: $fit_octets,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "cooperative_small" = [
                $($octet,)* "shared/matrices_16.wgsl", "shared/cells_16.wgsl", "shared/matrices_small.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 16,
                lanes: 64,
                fits: $fit_octets,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "cooperative_8_large" = [
                $($octet,)* "shared/matrices_8.wgsl", "shared/cells_8.wgsl", "shared/matrices_large.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 8,
                lanes: 32,
                fits: $fit_octets,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "cooperative_8_small" = [
                $($octet,)* "shared/matrices_8.wgsl", "shared/cells_8.wgsl", "shared/matrices_small.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SHADER_F16 | SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 8,
                lanes: 32,
                fits: $fit_octets,
                "main": tiles([$m, $n], [32, 32]),
            }),
            variant!($p: &$params, "cooperative_8_large_f32" = [
                $($octet,)* "shared/matrices_8.wgsl", "shared/cells_8.wgsl", "shared/matrices_large.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 8 of F32,
                lanes: 32,
                workgroup_memory: 24 * 1024,
                fits: $fit_octets,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "cooperative_8_small_f32" = [
                $($octet,)* "shared/matrices_8.wgsl", "shared/cells_8.wgsl", "shared/matrices_small.wgsl",
                "shared/product_matrices.wgsl"
            ] {
                needs: SUBGROUP | EXPERIMENTAL_COOPERATIVE_MATRIX,
                matrices: 8 of F32,
                lanes: 32,
                fits: $fit_octets,
                "main": tiles([$m, $n], [32, 32]),
            }),
        ]
    }};
}

pub(super) use product_variants;

/// Workgroups of a result of m×n in tiles of rows×columns.
pub fn tiles([m, n]: [u32; 2], [rows, columns]: [u32; 2]) -> [u32; 3] {
    [n.div_ceil(columns), m.div_ceil(rows), 1]
}

/// The design of a product: on matrices where there are any, else the largest tile that leaves no compute unit without one.
pub fn product_design([m, n]: [u32; 2], class: Class) -> &'static [&'static str] {
    let units = match class {
        Class::Discrete => 64,
        Class::Integrated => 8,
        Class::Software => return &["direct"],
    };
    let workgroups = |side: u32| u64::from(m.div_ceil(side)) * u64::from(n.div_ceil(side));
    match () {
        () if workgroups(128) >= units => {
            &["cooperative_large_32", "cooperative_large", "cooperative_8_large", "cooperative_8_large_f32", "large"]
        }
        () if workgroups(64) >= units => {
            &["cooperative_small_32", "cooperative_small", "cooperative_8_large", "cooperative_8_large_f32", "medium"]
        }
        () => {
            &["cooperative_small_32", "cooperative_small", "cooperative_8_small", "cooperative_8_small_f32", "sliced"]
        }
    }
}
