//! Kernels broken on purpose, both shaders and twins. The tests must catch each of them, or they are worth nothing.

use crate::adapter::{gpus, offered};
use crate::mathematics::{check_spoilt, outputs_of};
use crate::module::{Shader, every_shader};
use crate::optimizer::Optimizer;
use crate::{mathematics, parity};
use cloze::exec::gpu::Sabotage;
use cloze::kernels::adamw::{ADAMW, AdamW};
use cloze::kernels::attention::{ATTENTION, Attention};
use cloze::kernels::attention_backward::ATTENTION_BACKWARD;
use cloze::kernels::cross_entropy::{CROSS_ENTROPY, CrossEntropy};
use cloze::kernels::gradient_norm::{GRADIENT_NORM, SUM_SQUARES};
use cloze::kernels::kernel::Mathematics;
use cloze::kernels::layer_norm::{LAYER_NORM, LayerNorm};
use cloze::kernels::qkv::{QKV_BACKWARD, Qkv};
use cloze::kernels::{KERNELS, Kernel, Params, Precision, Variant, Views};
use rayon::prelude::*;

/// (kernel, text in its shader, the mistaken text, what the report must say)
const MISTAKES: [(&str, &str, &str, &str); 12] = [
    ("matmul_nn", "result += ", "result -= ", "`c` are off"),
    ("matmul_tn", "sums[row", "sums[0u * row", "`sums` are off"),
    ("layer_norm", "+ params.epsilon", "", "are off"),
    ("attention", "+ log(total", "- log(total", "`lse` are off"),
    ("cross_entropy", "1.0 - better", "better", "`metrics` are off"),
    ("adamw", "gradients[i] = Number();", "", "`gradients` are off"),
    ("qkv_backward", "part == 0u", "part == 1u", "`dy` are off"),
    ("embedding", "sum += Number(type_table", "sum = Number(type_table", "`y` are off"),
    ("sum_squares", "bits = EXPONENT", "bits = 0u", "`partials` are off"),
    // The last element is left unwritten.
    ("scatter_rows", "i >= params.rows * width", "i + 1u >= params.rows * width", "got NaN"),
    // One element past the end: the guard after the argument catches it.
    ("gather_rows", "y[i] = x[", "y[i + 1u] = x[", "guard after `y` was written"),
    ("gelu_backward", "i < params.count", "i <= params.count", "guard after `d_pre` was written"),
];

/// In every variant, with bounds checks and without.
#[test]
fn mistakes_in_shaders_are_caught() {
    for gpu in gpus("broken shaders") {
        for (name, right, wrong, report) in MISTAKES {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == name).expect("the table has it");
            let problem = parity::check(gpu, altered(kernel, right, wrong)).expect_err(name);
            let run = offered(gpu, kernel, Precision::F32).0.into_iter();
            for ending in run.flat_map(|(_, v)| ["checked", "unchecked"].map(|c| format!("({} {c})", v.name))) {
                let found = problem.lines().any(|line| line.contains(report) && line.ends_with(&ending));
                assert!(found, "{name}: no line says \"{report}\" of {ending}:\n{problem}");
            }
        }
    }
}

/// The kernel with every occurrence of `right` in its shaders replaced. It is leaked, since declarations are static.
fn altered(kernel: &'static Kernel, right: &str, wrong: &str) -> &'static Kernel {
    let variants = kernel.variants.iter().map(|variant| {
        let text = variant.source.concat();
        assert!(text.contains(right), "{} {}: the shader does not say `{right}`", kernel.name, variant.name);
        let source: &'static str = text.replace(right, wrong).leak();
        Variant { source: vec![source].leak(), ..*variant }
    });
    let variants: Vec<Variant> = variants.collect();
    Box::leak(Box::new(Kernel { variants: variants.leak(), ..*kernel }))
}

/// The kernel with every variant broken as by CLOZE_TEST_BREAK. It is leaked, since declarations are static.
pub fn sabotaged(kernel: &'static Kernel) -> &'static Kernel {
    let variants = kernel.variants.iter().map(|variant| {
        let sabotage = Sabotage::find(&format!("{}/{}", kernel.name, variant.name)).expect("it is in the table");
        let source: &'static str = sabotage.spoil(&variant.source.concat()).leak();
        Variant { source: vec![source].leak(), ..*variant }
    });
    let variants: Vec<Variant> = variants.collect();
    Box::leak(Box::new(Kernel { variants: variants.leak(), ..*kernel }))
}

/// Formulas that are slightly off: each twin gets one parameter that differs from the launch's.
#[test]
fn mathematics_see_a_twin_that_is_off() {
    for kernel in [
        with_twin(&LAYER_NORM, |params, views| {
            let p = LayerNorm::from_words(params);
            (LAYER_NORM.twin)(LayerNorm { epsilon: 1.01 * p.epsilon, ..*p }.words(), views);
        }),
        with_twin(&ATTENTION, |params, views| {
            let p = Attention::from_words(params);
            (ATTENTION.twin)(Attention { reach: p.reach + 1, ..*p }.words(), views);
        }),
        with_twin(&ATTENTION_BACKWARD, |params, views| {
            let p = Attention::from_words(params);
            (ATTENTION_BACKWARD.twin)(Attention { dropout: 0.0, ..*p }.words(), views);
        }),
        with_twin(&QKV_BACKWARD, |params, views| {
            let p = Qkv::from_words(params);
            (QKV_BACKWARD.twin)(Qkv { scale: 1.0001 * p.scale, ..*p }.words(), views);
        }),
        with_twin(&CROSS_ENTROPY, |params, views| {
            let p = CrossEntropy::from_words(params);
            (CROSS_ENTROPY.twin)(CrossEntropy { gradient: 0, ..*p }.words(), views);
        }),
        without_decay(),
    ] {
        let problem = mathematics::check(kernel).expect_err(kernel.name);
        assert!(problem.contains(": at ") && problem.contains(", want "), "{problem}");
    }
}

/// Every output of every kernel: off by a thousandth of its largest number, and off in a single element.
#[test]
fn mathematics_see_an_output_that_is_off() {
    let outputs = KERNELS.iter().flat_map(|kernel| outputs_of(kernel).into_iter().map(move |output| (kernel, output)));
    outputs.collect::<Vec<_>>().par_iter().for_each(|(kernel, output)| {
        for everywhere in [true, false] {
            let problem = check_spoilt(kernel, |name, numbers| {
                let largest = numbers.iter().fold(1.0, |most: f32, x| most.max(x.abs()));
                let middle = numbers.len() / 2;
                let spoilt = numbers.iter_mut().enumerate().filter(|(i, _)| everywhere || *i == middle);
                if name == *output {
                    spoilt.for_each(|(_, x)| *x += 0.001 * largest);
                }
            });
            let problem = problem.expect_err(&format!("{} `{output}`", kernel.name));
            assert!(problem.contains(&format!("`{output}`")), "{problem}");
        }
    });
}

#[test]
fn mathematics_see_a_twin_that_does_nothing() {
    for kernel in KERNELS {
        mathematics::check(with_twin(kernel, |_, _| {})).expect_err(kernel.name);
    }
}

#[test]
fn a_kernel_without_mathematics_is_named() {
    let none = Mathematics { given: None, formula: None, gradient: None };
    for kernel in KERNELS {
        let problems = mathematics::unchecked(&Kernel { mathematics: none, ..**kernel });
        assert!(problems.iter().any(|problem| problem.contains(kernel.name)), "{}", kernel.name);
    }
}

#[test]
fn optimizer_steps_see_a_twin_that_is_off() {
    let steps = Optimizer { sum_squares: &SUM_SQUARES, gradient_norm: &GRADIENT_NORM, adamw: without_decay() };
    steps.check().expect_err("no weight decay");
}

fn without_decay() -> &'static Kernel {
    with_twin(&ADAMW, |params, views| {
        let p = AdamW::from_words(params);
        (ADAMW.twin)(AdamW { weight_decay: 0.0, ..*p }.words(), views);
    })
}

#[test]
fn parity_sees_a_broken_twin() {
    for gpu in gpus("a broken twin") {
        let broken = with_twin(&LAYER_NORM, |params, views| {
            let p = LayerNorm::from_words(params);
            (LAYER_NORM.twin)(LayerNorm { epsilon: 1.01 * p.epsilon, ..*p }.words(), views);
        });
        parity::check(gpu, broken).expect_err("parity");
    }
}

/// CLOZE_TEST_BREAK, with which the tests of `cloze doctor` break a variant, works for all variants: the changed shader
/// compiles and stores something else.
#[test]
fn every_variant_can_be_sabotaged() {
    for shader in every_shader().filter(|shader| KERNELS.iter().any(|kernel| kernel.name == shader.kernel.name)) {
        let name = format!("{}/{}", shader.kernel.name, shader.variant.name);
        let sabotage = Sabotage::find(&name).expect(&name);
        let spoilt = Shader { wgsl: sabotage.spoil(&shader.wgsl), ..shader };
        assert!(spoilt.wgsl.contains("= 1.0 + "), "{name}: nothing that it stores was found");
        spoilt.parse();
    }
    assert!(Sabotage::find("matmul_nt/none").is_none() && Sabotage::find("none/tiled").is_none());
}

fn with_twin(kernel: &Kernel, twin: for<'a> fn(&[u32], Views<'a>)) -> &'static Kernel {
    Box::leak(Box::new(Kernel { twin, ..*kernel }))
}
