//! The harness can fail: kernels broken on purpose, and the checks that must see it.

use crate::adapter::gpus;
use crate::check::Check;
use crate::{forward, gradients, optimizer, parity};
use cloze::kernels::adamw::{ADAMW, AdamW};
use cloze::kernels::attention::{ATTENTION, ATTENTION_BACKWARD, Attention};
use cloze::kernels::column_sum::COLUMN_SUM;
use cloze::kernels::cross_entropy::{CROSS_ENTROPY, CrossEntropy};
use cloze::kernels::embedding::EMBEDDING;
use cloze::kernels::gelu::GELU_BACKWARD;
use cloze::kernels::gradient_norm::SUM_SQUARES;
use cloze::kernels::layer_norm::{LAYER_NORM, LAYER_NORM_BACKWARD, LayerNorm};
use cloze::kernels::matmul::MATMUL_NT;
use cloze::kernels::qkv::{QKV_BACKWARD, Qkv};
use cloze::kernels::{Kernel, Params, Variant, Views};

/// Operators, a mask, an accumulation: each one replaced in the WGSL.
#[test]
fn parity_sees_a_broken_shader() {
    for gpu in gpus("broken shaders") {
        for (kernel, from, to) in [
            (&MATMUL_NT, "result += bias[column + i]", "result -= bias[column + i]"),
            (&LAYER_NORM_BACKWARD, "- mean_gradient -", "+ mean_gradient -"),
            (&ATTENTION, "position + params.reach + 1u", "position + params.reach"),
            (&EMBEDDING, "sum += type_table", "sum = type_table"),
            (&COLUMN_SUM, "sums[column] += sum", "sums[column] = sum"),
            (&SUM_SQUARES, "bits = EXPONENT", "bits = 0u"),
        ] {
            let problem = parity::check(gpu, altered(kernel, from, to)).expect_err(kernel.name);
            for variant in kernel.variants {
                for checks in ["checked", "unchecked"] {
                    let ending = format!("({} {checks})", variant.name);
                    assert!(problem.lines().any(|line| line.ends_with(&ending)), "{ending} is not in\n{problem}");
                }
            }
            assert!(problem.contains("are off; at "), "{problem}");
        }
    }
}

#[test]
fn parity_sees_an_output_that_is_not_written() {
    for gpu in gpus("unwritten outputs") {
        let problem = parity::check(gpu, altered(&GELU_BACKWARD, "i < params.count", "i + 1u < params.count"));
        let problem = problem.expect_err("the last element stays poison");
        assert!(problem.contains("got NaN"), "{problem}");
    }
}

#[test]
fn guards_see_a_write_past_the_end() {
    for gpu in gpus("guards") {
        let problem = parity::check(gpu, altered(&GELU_BACKWARD, "i < params.count", "i <= params.count"));
        let problem = problem.expect_err("an element too many is written");
        assert!(problem.contains("element 0 of the guard after `d_pre` was written"), "{problem}");
        assert!(problem.contains(" checked)") && problem.contains("unchecked)"), "{problem}");
    }
}

/// Formulas that are off by a little: each twin gets a parameter that is not the one of the launch.
#[test]
fn checks_see_a_twin_that_is_off() {
    for (checks, kernel) in [
        (
            forward::CHECKS,
            with_twin(&LAYER_NORM, |params, views| {
                let p = LayerNorm::from_words(params);
                (LAYER_NORM.twin)(LayerNorm { epsilon: 1.01 * p.epsilon, ..*p }.words(), views);
            }),
        ),
        (
            forward::CHECKS,
            with_twin(&ATTENTION, |params, views| {
                let p = Attention::from_words(params);
                (ATTENTION.twin)(Attention { reach: p.reach + 1, ..*p }.words(), views);
            }),
        ),
        (
            gradients::CHECKS,
            with_twin(&ATTENTION_BACKWARD, |params, views| {
                let p = Attention::from_words(params);
                (ATTENTION_BACKWARD.twin)(Attention { dropout: 0.0, ..*p }.words(), views);
            }),
        ),
        (
            gradients::CHECKS,
            with_twin(&QKV_BACKWARD, |params, views| {
                let p = Qkv::from_words(params);
                (QKV_BACKWARD.twin)(Qkv { scale: 1.0001 * p.scale, ..*p }.words(), views);
            }),
        ),
        (
            gradients::CHECKS,
            with_twin(&CROSS_ENTROPY, |params, views| {
                let p = CrossEntropy::from_words(params);
                (CROSS_ENTROPY.twin)(CrossEntropy { gradient: 0, ..*p }.words(), views);
            }),
        ),
        (
            optimizer::CHECKS,
            with_twin(&ADAMW, |params, views| {
                let p = AdamW::from_words(params);
                (ADAMW.twin)(AdamW { weight_decay: 0.0, ..*p }.words(), views);
            }),
        ),
    ] {
        let problem = check_of(checks, kernel.name)(kernel).expect_err(kernel.name);
        assert!(problem.contains(": at ") && problem.contains(", want "), "{problem}");
    }
}

#[test]
fn every_check_sees_a_twin_that_does_nothing() {
    for &(kernel, check) in [forward::CHECKS, gradients::CHECKS, optimizer::CHECKS].concat().iter() {
        check(with_twin(kernel, |_, _| {})).expect_err(kernel.name);
    }
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

/// The kernel with a part of every variant's WGSL replaced.
fn altered(kernel: &'static Kernel, from: &str, to: &str) -> &'static Kernel {
    let variants = kernel.variants.iter().map(|variant| {
        let text = variant.source.concat();
        assert_eq!(text.matches(from).count(), 1, "{} has `{from}` once", kernel.name);
        let source: &'static str = Box::leak(text.replace(from, to).into_boxed_str());
        Variant { source: Box::leak(Box::new([source])), ..*variant }
    });
    let variants: &'static [Variant] = Box::leak(variants.collect());
    Box::leak(Box::new(Kernel { variants, ..*kernel }))
}

fn with_twin(kernel: &Kernel, twin: for<'a> fn(&[u32], Views<'a>)) -> &'static Kernel {
    Box::leak(Box::new(Kernel { twin, ..*kernel }))
}

fn check_of(checks: &[Check], kernel: &str) -> fn(&Kernel) -> Result<(), String> {
    checks.iter().find(|(checked, _)| checked.name == kernel).map(|(_, check)| *check).expect("it is listed")
}
