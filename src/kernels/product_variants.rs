//! The shaders of matrix products: one table for all transpositions and for the projection of q, k and v. Each shader combines
//! a front, which does the kernel's loads and stores, with a tile and its loop.

use super::kernel::Class;

/// The variants of a kernel whose result is m×n. `each` is the front for any size, element by element. `quads` takes four
/// elements at a time and `octets` eight, for products on matrices; both are for launches that `fit`. Variants that only this
/// kernel has come after `also`.
///
/// Variants on matrices for subgroups of 32 lanes come first, and adapters with wider subgroups are not offered them.
macro_rules! product_variants {
    (
        $p:ident: &$params:ty,
        [$m:expr, $n:expr],
        each [$($each:literal),*],
        quads [$($quad:literal),*] fit $fits:expr,
        octets [$($octet:literal),*] fit $fit_octets:expr
        $(, also [$($more:expr),*])?
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
                $($quad,)* "shared/tile_large.wgsl", "shared/product_fetch.wgsl", "shared/product_whole.wgsl",
                "shared/product_blocked.wgsl"
            ] {
                fits: $fits,
                "main": tiles([$m, $n], [128, 128]),
            }),
            variant!($p: &$params, "medium" = [
                $($quad,)* "shared/tile_medium.wgsl", "shared/product_fetch.wgsl", "shared/product_whole.wgsl",
                "shared/product_blocked.wgsl"
            ] {
                fits: $fits,
                "main": tiles([$m, $n], [64, 64]),
            }),
            variant!($p: &$params, "sliced" = [
                $($quad,)* "shared/tile_sliced.wgsl", "shared/product_fetch.wgsl", "shared/product_whole.wgsl",
                "shared/product_sliced.wgsl"
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
            $($($more,)*)?
        ]
    }};
}

pub(super) use product_variants;

/// Workgroups for a result of m×n in tiles of rows×columns.
pub fn tiles([m, n]: [u32; 2], [rows, columns]: [u32; 2]) -> [u32; 3] {
    [n.div_ceil(columns), m.div_ceil(rows), 1]
}

/// Tiles of 128×128 in a result of m×n.
fn large_tiles([m, n]: [u32; 2]) -> u64 {
    u64::from(m.div_ceil(128)) * u64::from(n.div_ceil(128))
}

/// About how many workgroups `split` makes of a result with few tiles: two for each compute unit of a large GPU.
const SPLIT_WORKGROUPS: u64 = 256;
/// With at least this many terms, the work of a workgroup outweighs what it leaves to the second pass.
const SPLIT_TERMS: u64 = 256;
/// The most elements that all parts together may take: 32 MiB.
const SPLIT_ELEMENTS: u64 = 8 << 20;

/// How many parts `split` cuts the depth of a product of m×n×k into. Each part leaves a result and its m sums. It is 1 where
/// `split` does not apply.
pub fn depth_parts([m, n, k]: [u32; 3]) -> u32 {
    let wanted = SPLIT_WORKGROUPS.div_ceil(large_tiles([m, n]));
    let held = SPLIT_ELEMENTS / (u64::from(m) * (u64::from(n) + 1));
    wanted.min(held).min(u64::from(k) / SPLIT_TERMS).max(1) as u32
}

/// The design of a product: on matrices where the adapter has them, else the largest tile that leaves no compute unit idle.
/// `parts` comes from `depth_parts` if the kernel has the variant `split`, and is 1 otherwise. A GPU with many units wants
/// `split` wherever it helps; a GPU with few wants it only where tiles are even fewer. With hardly any terms there is nothing
/// for `sliced` to slice.
pub fn product_design([m, n, k]: [u32; 3], parts: u32, class: Class) -> &'static [&'static str] {
    let units = match class {
        Class::Discrete => 96,
        Class::Integrated => 16,
        Class::Software => return &["direct"],
    };
    let split = parts > 1 && (class == Class::Discrete || large_tiles([m, n]) < units);
    let medium_tiles = u64::from(m.div_ceil(64)) * u64::from(n.div_ceil(64));
    match () {
        () if split && large_tiles([m, n]) >= units => {
            &["cooperative_large_32", "cooperative_large", "cooperative_8_large", "cooperative_8_large_f32", "split"]
        }
        () if split => {
            &["cooperative_small_32", "cooperative_small", "cooperative_8_small", "cooperative_8_small_f32", "split"]
        }
        () if large_tiles([m, n]) >= units => {
            &["cooperative_large_32", "cooperative_large", "cooperative_8_large", "cooperative_8_large_f32", "large"]
        }
        () if medium_tiles >= units || k < 64 => {
            &["cooperative_small_32", "cooperative_small", "cooperative_8_large", "cooperative_8_large_f32", "medium"]
        }
        () => {
            &["cooperative_small_32", "cooperative_small", "cooperative_8_small", "cooperative_8_small_f32", "sliced"]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradients of BERT-base's weights, and that of the vocabulary's table, which has enough tiles.
    #[test]
    fn small_results_are_split_within_bounds() {
        for (shape, parts) in [
            ([768, 768, 4096], 8),
            ([2304, 768, 4096], 3),
            ([3072, 768, 16384], 2),
            ([768, 768, 511], 1),
            ([30528, 768, 4096], 1),
        ] {
            assert_eq!(depth_parts(shape), parts, "{shape:?}");
        }
        for shape in [[1, 1, 1 << 20], [128, 128, 1 << 20], [1024, 1024, 16384], [2000, 2000, 1 << 16]] {
            let [m, n, _] = shape.map(u64::from);
            assert!(u64::from(depth_parts(shape)) * (m * n + m) <= SPLIT_ELEMENTS, "{shape:?}");
        }
    }

    #[test]
    fn designs_go_by_tiles_and_units() {
        let last = |shape, parts, class| *product_design(shape, parts, class).last().unwrap();
        assert_eq!(last([4096, 768, 768], 1, Class::Discrete), "large");
        assert_eq!(last([1024, 768, 768], 1, Class::Discrete), "medium");
        assert_eq!(last([1024, 768, 768], 1, Class::Integrated), "large");
        assert_eq!(last([128, 768, 768], 1, Class::Discrete), "sliced");
        assert_eq!(last([768, 768, 4096], 8, Class::Discrete), "split");
        assert_eq!(last([768, 768, 4096], 8, Class::Integrated), "large");
        assert_eq!(last([128, 128, 4096], 16, Class::Integrated), "split");
    }
}
