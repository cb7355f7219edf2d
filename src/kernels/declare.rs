//! The macros that declare kernels and their parameters; `kernel.rs` has the types that they make.

/// Declares a parameter struct with the same layout in Rust and WGSL.
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

/// Declares a kernel and the struct of arguments for launching it. Scratch arguments are left out of the struct, since a launch
/// makes them itself, and arguments that may be absent are an `Option`. `p` names the launch parameters in every expression.
/// `touched` is for an argument from which rows are picked, such as an embedding table: it says how many elements a launch
/// touches. Variants are listed in the form of `variant!`, or come from a macro of their own as `variants: …`. `design` names
/// variants for a class of adapter, the best first: see `Kernel::design`.
///
/// What the twin has to compute comes last, as f64 expressions over the arguments' content: see `Mathematics`. `formula(x,
/// weight) -> [y]: [product(x, weight)]` has an expression for each output. `gradient(x -> dx; weight, dy): terms` says that
/// `dx` is the gradient with respect to x of the sum of these terms, which may use the arguments after the semicolon. `given(x)
/// -> [stats]: …` computes some inputs of a case from others.
macro_rules! kernel {
    (
        $(#[$meta:meta])*
        pub static $id:ident($arguments:ident) = $name:literal ($p:ident: &$params:ty);
        args { $($access:ident $arg:ident: $elem:ident[$len:expr] $(touched $touched:expr)?,)* }
        constants { $($constant:ident = $value:expr,)* }
        $(variant $variant:literal = $source:tt $body:tt)*
        $(variants: $variants:expr,)?
        $(design($class:ident): $design:expr,)?
        flops: $flops:expr,
        tolerance: $tolerance:expr,
        exact: $exact:expr,
        cases: $cases:expr,
        bench: $bench:expr,
        $(typical: $typical:expr,)?
        twin: $twin:path,
        $(given($($source_of:ident),*) -> [$($implied:ident),*]: $values:expr,)?
        $(formula($($input:ident),*) -> [$($output:ident),*]: $formula:expr,)?
        $(gradient($($variable:ident -> $derivative:ident),*; $($other:ident),*): $terms:expr,)?
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
                variants: {
                    const LISTED: &[Variant] = &[$($crate::kernels::declare::variant!($p: &$params, $variant = $source $body),)*];
                    const ALL: &[&[Variant]] = &[LISTED, $($variants)?];
                    ALL[ALL.len() - 1]
                },
                design: {
                    const ALL: &[Design] = &[usual_design, $(|words, $class| {
                        let $p = <$params as Params>::from_words(words);
                        let _ = $p;
                        $design
                    })?];
                    ALL[ALL.len() - 1]
                },
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
                mathematics: Mathematics {
                    given: {
                        const DECLARED: &[Formula] = &[$(Formula {
                            of: &[$(stringify!($implied)),*],
                            values: $crate::kernels::declare::of_contents!($p: &$params, [$($source_of),*] Vec::from($values)),
                        })?];
                        DECLARED.first().copied()
                    },
                    formula: {
                        const DECLARED: &[Formula] = &[$(Formula {
                            of: &[$(stringify!($output)),*],
                            values: $crate::kernels::declare::of_contents!($p: &$params, [$($input),*] Vec::from($formula)),
                        })?];
                        DECLARED.first().copied()
                    },
                    gradient: {
                        const DECLARED: &[Gradient] = &[$(Gradient {
                            of: &[$((stringify!($variable), stringify!($derivative))),*],
                            terms: $crate::kernels::declare::of_contents!($p: &$params, [$($variable,)* $($other),*] $terms),
                        })?];
                        DECLARED.first().copied()
                    },
                },
            }
        };

        $crate::kernels::declare::arguments!($arguments of $id ($params) [] [] $($access $arg,)*);
    };
}

/// A function of the launch parameters and of the arguments' content, each bound to its name.
macro_rules! of_contents {
    ($p:ident: &$params:ty, [$($name:ident),* $(,)?] $value:expr) => {
        |words, contents| {
            let $p = <$params as Params>::from_words(words);
            let _ = $p;
            $(let $name = contents.get(stringify!($name));)*
            $value
        }
    };
}

/// A variant of a kernel: its name, the pieces of its WGSL and its passes. Before the passes it may say which of
/// `wgpu::Features` it needs, the size of its cooperative matrices (of f16, or `8 of F32`), the most lanes that its subgroups
/// may have, the workgroup memory it takes (16 KiB by default, which every adapter has) and which launches it fits: `needs:
/// SUBGROUP | SHADER_F16, matrices: 16, lanes: 32, workgroup_memory: 24 * 1024, fits: p.k % 4 == 0,` A pass is an entry point
/// and its workgroups, `"main": grid,`. It may name the arguments that it uses in between: `"total"(partial, sums): grid,`. It
/// must do so if the kernel has more arguments than a pass can be bound to.
macro_rules! variant {
    ($p:ident: &$params:ty, $name:literal = [$($source:literal),* $(,)?] {
        $(needs: $($feature:ident)|+,)?
        $(matrices: $matrices:literal $(of $element:ident)?,)?
        $(lanes: $lanes:literal,)?
        $(workgroup_memory: $memory:expr,)?
        $(fits: $fits:expr,)?
        $($entry:literal $(($($used:ident),*))?: $grid:expr,)*
    }) => {{
        use $crate::kernels::kernel::*;
        Variant {
            name: $name,
            source: &[$(include_str!(concat!("../../shaders/", $source)),)*],
            needs: wgpu::Features::empty()$($(.union(wgpu::Features::$feature))+)?,
            matrices: {
                const DECLARED: &[Matrices] = &[$(Matrices {
                    side: $matrices,
                    of: [$(Precision::$element,)? Precision::F16][0],
                })?];
                DECLARED.first().copied()
            },
            lanes: {
                const MOST: &[u32] = &[$($lanes)?];
                MOST.first().copied()
            },
            workgroup_memory: {
                const BYTES: &[u32] = &[16 * 1024, $($memory)?];
                BYTES[BYTES.len() - 1]
            },
            fits: |words| {
                let $p = <$params as Params>::from_words(words);
                let _ = $p;
                true $(&& $fits)?
            },
            passes: &[$(Pass {
                entry: $entry,
                args: &[$($(stringify!($used)),*)?],
                grid: |words| {
                    let $p = <$params as Params>::from_words(words);
                    let _ = $p;
                    $grid
                },
            },)*],
        }
    }};
}

/// The struct of a kernel's arguments, built one by one: the first brackets hold the fields, the second what a launch gets.
macro_rules! arguments {
    ($name:ident of $id:ident ($params:ty) [$($fields:tt)*] [$($list:tt)*] $access:ident $arg:ident, $($rest:tt)*) => {
        $crate::kernels::declare::argument!($access $name of $id ($params) [$($fields)*] [$($list)*] $arg, $($rest)*);
    };
    ($name:ident of $id:ident ($params:ty) [$($field:ident: $ty:ty,)*] [$($list:expr,)*]) => {
        #[doc = concat!("The arguments of [`", stringify!($id), "`].")]
        #[derive(Clone, Copy, Debug)]
        pub struct $name<T> { $(pub $field: $ty,)* }

        impl<T> $crate::kernels::kernel::Arguments<T> for $name<T> {
            type Params = $params;
            const KERNEL: &'static $crate::kernels::kernel::Kernel = &$id;

            fn list(self) -> Vec<$crate::kernels::kernel::Argument<T>> {
                let $name { $($field,)* } = self;
                vec![$($list,)*]
            }
        }
    };
}

/// One step of `arguments!`, depending on the argument's access.
macro_rules! argument {
    (Scratch $name:ident of $id:ident ($params:ty) [$($fields:tt)*] [$($list:tt)*] $arg:ident, $($rest:tt)*) => {
        $crate::kernels::declare::arguments!($name of $id ($params) [$($fields)*]
            [$($list)* $crate::kernels::kernel::Argument::Scratch,] $($rest)*);
    };
    (ShaderScratch $($rest:tt)*) => {
        $crate::kernels::declare::argument!(Scratch $($rest)*);
    };
    (MaybeIn $($rest:tt)*) => {
        $crate::kernels::declare::argument!(@maybe $($rest)*);
    };
    (MaybeOut $($rest:tt)*) => {
        $crate::kernels::declare::argument!(@maybe $($rest)*);
    };
    (MaybeInOut $($rest:tt)*) => {
        $crate::kernels::declare::argument!(@maybe $($rest)*);
    };
    (@maybe $name:ident of $id:ident ($params:ty) [$($fields:tt)*] [$($list:tt)*] $arg:ident, $($rest:tt)*) => {
        $crate::kernels::declare::arguments!($name of $id ($params) [$($fields)* $arg: Option<T>,]
            [$($list)* $arg.map_or($crate::kernels::kernel::Argument::Absent, $crate::kernels::kernel::Argument::Given),]
            $($rest)*);
    };
    ($access:ident $name:ident of $id:ident ($params:ty) [$($fields:tt)*] [$($list:tt)*] $arg:ident, $($rest:tt)*) => {
        $crate::kernels::declare::arguments!($name of $id ($params) [$($fields)* $arg: T,]
            [$($list)* $crate::kernels::kernel::Argument::Given($arg),] $($rest)*);
    };
}

pub(crate) use {argument, arguments, kernel, of_contents, params, variant};
