//! The macros that kernels and their parameters are declared with; `kernel.rs` has what they make.

/// Declares a parameter struct, laid out alike in Rust and WGSL.
macro_rules! params {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident: $elem:ident,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$doc])* pub $field: $elem,)* }

        impl $crate::kernels::kernel::Params for $name {
            const FIELDS: &'static [$crate::kernels::kernel::Field] = &[$($crate::kernels::kernel::Field {
                name: stringify!($field),
                elem: $crate::kernels::kernel::Elem::$elem,
                offset: std::mem::offset_of!($name, $field) as u32,
            },)*];
        }
    };
}

/// Declares a kernel. `p` names the launch parameters in every expression. Of an argument that rows are picked from, such as a
/// table of embeddings, `touched` says how many elements a launch touches. A variant may say in front of its passes which
/// features of `wgpu::Features` it needs, of which size its cooperative matrices are (of f16, unless it
/// says `of F32`), how many lanes a subgroup may have, how much
/// workgroup memory it takes at most and which launches it fits:
/// `needs: SUBGROUP | SHADER_F16, matrices: 16, lanes: 32, workgroup_memory: 24 * 1024, fits: p.k % 4 == 0,`
macro_rules! kernel {
    (
        $(#[$meta:meta])*
        pub static $id:ident = $name:literal ($p:ident: &$params:ty);
        args { $($access:ident $arg:ident: $elem:ident[$len:expr] $(touched $touched:expr)?,)* }
        constants { $($constant:ident = $value:expr,)* }
        $(variant $variant:literal = [$($source:literal),*] {
            $(needs: $($feature:ident)|+,)?
            $(matrices: $matrices:literal $(of $element:ident)?,)?
            $(lanes: $lanes:literal,)?
            $(workgroup_memory: $workgroup_memory:expr,)?
            $(fits: $fits:expr,)?
            $($entry:literal: $grid:expr,)*
        })+
        flops: $flops:expr,
        tolerance: $tolerance:expr,
        exact: $exact:expr,
        cases: $cases:expr,
        bench: $bench:expr,
        $(typical: $typical:expr,)?
        twin: $twin:path,
    ) => {
        $(#[$meta])*
        pub static $id: $crate::kernels::kernel::Kernel = {
            use $crate::kernels::kernel::*;
            Kernel {
                name: $name,
                fields: <$params as Params>::FIELDS,
                args: &[$(Arg {
                    name: stringify!($arg),
                    access: Access::$access,
                    elem: Elem::$elem,
                    len: |words| {
                        let $p = <$params as Params>::from_words(words);
                        let _ = $p;
                        ($len) as usize
                    },
                    touched: |words| {
                        let $p = <$params as Params>::from_words(words);
                        let _ = $p;
                        let touched = <[u32]>::first(&[$($touched)?]).copied();
                        touched.map_or(($len) as usize, |touched| (touched as usize).min(($len) as usize))
                    },
                },)*],
                constants: |words| {
                    let $p = <$params as Params>::from_words(words);
                    let _ = $p;
                    vec![$((stringify!($constant), Constant::from($value)),)*]
                },
                variants: &[$(Variant {
                    name: $variant,
                    source: &[$(include_str!(concat!("../../shaders/", $source)),)*],
                    needs: wgpu::Features::empty()$($(.union(wgpu::Features::$feature))+)?,
                    matrices: <[Matrices]>::first(&[$(Matrices {
                        side: $matrices,
                        of: [$(Precision::$element,)? Precision::F16][0],
                    })?]).copied(),
                    lanes: <[u32]>::first(&[$($lanes)?]).copied(),
                    workgroup_memory: [$($workgroup_memory,)? LEAST_WORKGROUP_MEMORY][0],
                    fits: |words| {
                        let $p = <$params as Params>::from_words(words);
                        let _ = $p;
                        true $(&& $fits)?
                    },
                    passes: &[$(Pass {
                        entry: $entry,
                        grid: |words| {
                            let $p = <$params as Params>::from_words(words);
                            let _ = $p;
                            $grid
                        },
                    },)*],
                },)+],
                flops: |words| {
                    let $p = <$params as Params>::from_words(words);
                    let _ = $p;
                    ($flops) as u64
                },
                tolerance: $tolerance,
                exact: $exact,
                cases: $cases,
                bench: $bench,
                typical: |words| {
                    let $p = <$params as Params>::from_words(words);
                    let _ = $p;
                    let fills: Option<Vec<Fill>> = None $(.or(Some($typical)))?;
                    fills.unwrap_or_else(|| [$(Elem::$elem),*].map(Fill::any).into())
                },
                twin: |words, views| $twin(<$params as Params>::from_words(words), views),
            }
        };
    };
}

pub(crate) use {kernel, params};
