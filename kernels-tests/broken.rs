//! Kernels broken on purpose: each of them has to be caught, or the tests above are worth nothing.

use crate::adapter::gpus;
use crate::parity;
use cloze::kernels::kernel::{Pass, Variant};
use cloze::kernels::{KERNELS, Kernel};

/// (kernel, what its shader says, what a mistake makes of it, what the report must say)
const MISTAKES: [(&str, &str, &str, &str); 7] = [
    ("matmul_nn", "result += residual[at];", "result -= residual[at];", "`c` are off"),
    ("layer_norm", "+ params.epsilon", "", "are off"),
    ("attention", "most = new_most;", "most = score;", "are off"),
    ("cross_entropy", "1.0 - better", "better", "`metrics` are off"),
    ("adamw", "gradients[i] = 0.0;", "", "`gradients` are off"),
    ("qkv_backward", "gradient * rope[at] - d_qkv", "gradient * rope[at] + d_qkv", "`dy` are off"),
    // One past the end: seen in the guard behind the argument.
    ("gather_rows", "y[i] = x[", "y[i + 1u] = x[", "guard after `y` was written"),
];

#[test]
fn mistakes_in_shaders_are_caught() {
    for gpu in gpus("broken") {
        for (name, right, wrong, report) in MISTAKES {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == name).expect("the table has it");
            let problem = parity::check(gpu, broken(kernel, right, wrong)).expect_err(name);
            assert!(problem.contains(report), "{name}: the report does not say \"{report}\":\n{problem}");
        }
    }
}

/// The kernel with every occurrence of `right` in its shaders replaced. Leaked: declarations are static.
fn broken(kernel: &'static Kernel, right: &str, wrong: &str) -> &'static Kernel {
    let mut replaced = 0;
    let mut variant = |variant: &'static Variant| {
        let source = variant.source.iter().map(|text| {
            replaced += text.matches(right).count();
            &*text.replace(right, wrong).leak()
        });
        let passes: Vec<Pass> = variant.passes.iter().map(|pass| Pass { entry: pass.entry, grid: pass.grid }).collect();
        Variant { name: variant.name, source: source.collect::<Vec<_>>().leak(), passes: passes.leak() }
    };
    let variants: Vec<Variant> = kernel.variants.iter().map(&mut variant).collect();
    assert!(replaced > 0, "{}: the shader does not say `{right}`", kernel.name);
    Box::leak(Box::new(Kernel { variants: variants.leak(), ..copy(kernel) }))
}

fn copy(kernel: &'static Kernel) -> Kernel {
    Kernel {
        name: kernel.name,
        fields: kernel.fields,
        args: kernel.args,
        constants: kernel.constants,
        variants: kernel.variants,
        flops: kernel.flops,
        tolerance: kernel.tolerance,
        exact: kernel.exact,
        cases: kernel.cases,
        bench: kernel.bench,
        twin: kernel.twin,
    }
}
