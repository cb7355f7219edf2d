//! Twins of backward passes against central differences of the f64 reference.

use crate::check::checks;
use crate::finite::gradient;
use crate::forward::{STEP, attentions, rope};
use crate::reference;
use crate::twin::{call, close, numbers};
use cloze::kernels::attention_backward::ATTENTION_BACKWARD;
use cloze::kernels::cross_entropy::{CROSS_ENTROPY, CrossEntropy};
use cloze::kernels::dropout::{DROPOUT, Dropout};
use cloze::kernels::embedding::{EMBEDDING_BACKWARD, EmbeddingBackward};
use cloze::kernels::gelu::{Elements, GATED_GELU_BACKWARD, GELU_BACKWARD, GatedGelu};
use cloze::kernels::layer_norm::{LAYER_NORM_BACKWARD, LayerNorm, LayerNormBackward};
use cloze::kernels::matmul::{MATMUL_NN, MATMUL_TN, Product};
use cloze::kernels::qkv::{QKV_BACKWARD, Qkv};
use cloze::kernels::rows::{Rows, SCATTER_ROWS};
use cloze::kernels::{Kernel, Params};

checks! {
    EMBEDDING_BACKWARD => embedding_backward,
    LAYER_NORM_BACKWARD => layer_norm_backward,
    MATMUL_NN => matmul_nn,
    MATMUL_TN => matmul_tn,
    QKV_BACKWARD => qkv_backward,
    ATTENTION_BACKWARD => attention_backward,
    GELU_BACKWARD => gelu_backward,
    GATED_GELU_BACKWARD => gated_gelu_backward,
    DROPOUT => dropout,
    SCATTER_ROWS => scatter_rows,
    CROSS_ENTROPY => cross_entropy,
}

/// Relative to the largest gradient. The twins round to f32 (6e-8) some tens of times and the differences are good to
/// 1e-9, so what is left is a wrong formula, be it by a missing ε.
const TOLERANCE: f64 = 5e-6;

fn embedding_backward(kernel: &Kernel) -> Result<(), String> {
    let (rows, width) = (9, 5);
    let dy = numbers(1, rows * width, -1.0, 1.0);
    for entries in [7, 4, 1] {
        let ids: Vec<u32> = (0..rows as u32).map(|row| row * 3 % entries).collect();
        let mut order: Vec<u32> = (0..rows as u32).collect();
        order.sort_by_key(|&row| ids[row as usize]);
        let table = numbers(2, entries as usize * width, -1.0, 1.0);
        let want = gradient(&[&table], &dy, |inputs| reference::embedding(&[(&ids, &inputs[0])], width));
        let before = numbers(3, table.len(), -1.0, 1.0);
        let p = EmbeddingBackward { rows: rows as u32, width: width as u32, entries };
        let twin = call(kernel, &p).with_words("ids", ids.clone()).with_words("order", order);
        let results = twin.with("dy", &dy).with("d_table", &before).run();
        close("embedding d_table", &results.numbers("d_table"), &sum(&before, &want[0]), TOLERANCE)?;
    }
    Ok(())
}

/// x, weight, bias and dy of a layer norm.
fn norm_inputs(p: &LayerNorm) -> [Vec<f64>; 4] {
    let (count, width) = ((p.rows * p.width) as usize, p.width as usize);
    let (x, dy) = (numbers(1, count, -1.0, 3.0), numbers(4, count, -1.0, 1.0));
    [x, numbers(2, width, 0.5, 1.5), numbers(3, width, -1.0, 1.0), dy]
}

fn layer_norm_backward(kernel: &Kernel) -> Result<(), String> {
    // No row of two: its gradient is what cancellation leaves over, so f32 keeps few digits of it.
    for (rows, width, with_residual, with_bias) in [(1, 3, false, true), (5, 19, true, true), (67, 3, false, false)] {
        let p = LayerNorm { rows, width, epsilon: 1e-2 };
        let epsilon = f64::from(p.epsilon);
        let [x, weight, bias, dy] = norm_inputs(&p);
        let norm = |inputs: &[Vec<f64>]| reference::layer_norm(&inputs[0], &inputs[1], Some(&inputs[2]), epsilon);
        let [mut want, d_weight, d_bias] = gradient(&[&x, &weight, &bias], &dy, norm).try_into().expect("of three");
        let residual = with_residual.then(|| numbers(5, x.len(), -1.0, 1.0));
        if let Some(residual) = &residual {
            want = sum(&want, residual);
        }
        let stats = reference::row_statistics(&x, width as usize, epsilon);
        let before = numbers(6, width as usize, -1.0, 1.0);
        let p = LayerNormBackward { rows, width, epsilon: p.epsilon, rate: 0.3, site: (1 << 16) + 4 };
        let twin = || {
            let twin = call(kernel, &p).with("x", &x).with("weight", &weight).with("stats", &stats).with("dy", &dy);
            let twin = twin.with_some("residual", residual.as_deref()).with("d_weight", &before);
            twin.with_some("d_bias", with_bias.then_some(&before[..]))
        };
        let results = twin().run();
        close("layer_norm dx", &results.numbers("dx"), &want, TOLERANCE)?;
        close("layer_norm d_weight", &results.numbers("d_weight"), &sum(&before, &d_weight), TOLERANCE)?;
        if with_bias {
            close("layer_norm d_bias", &results.numbers("d_bias"), &sum(&before, &d_bias), TOLERANCE)?;
        }
        let unwritten = vec![f64::NAN; x.len()];
        let results = twin().with_words("step", STEP.words().to_vec()).with("dropped", &unwritten).run();
        close("layer_norm dx beside dropped", &results.numbers("dx"), &want, TOLERANCE)?;
        // Dropout multiplies, so it is its own way back.
        let dropped = reference::dropout(&want, width, &STEP, p.site, p.rate);
        close("layer_norm dropped", &results.numbers("dropped"), &dropped, TOLERANCE)?;
    }
    Ok(())
}

/// A linear layer with 6 rows, 5 inputs and 4 outputs: x, weight, bias, dy, and the gradients of the first three.
fn linear() -> ([Vec<f64>; 4], Vec<Vec<f64>>) {
    let (x, weight) = (numbers(1, 6 * 5, -2.0, 2.0), numbers(2, 4 * 5, -2.0, 2.0));
    let (bias, dy) = (numbers(3, 4, -2.0, 2.0), numbers(4, 6 * 4, -1.0, 1.0));
    let gradients =
        gradient(&[&x, &weight, &bias], &dy, |inputs| reference::linear(&inputs[0], &inputs[1], Some(&inputs[2]), 5));
    ([x, weight, bias, dy], gradients)
}

fn matmul_nn(kernel: &Kernel) -> Result<(), String> {
    let ([x, weight, _, dy], want) = linear();
    let residual = numbers(5, x.len(), -1.0, 1.0);
    for residual in [None, Some(&residual[..])] {
        let twin = call(kernel, &Product { m: 6, n: 5, k: 4 }).with("a", &dy).with("b", &weight);
        let dx = twin.with_some("residual", residual).run().numbers("c");
        let want = residual.map_or(want[0].clone(), |residual| sum(&want[0], residual));
        close("linear dx", &dx, &want, TOLERANCE)?;
    }
    let want = gradient(&[&x], &dy, |inputs| {
        reference::linear(&inputs[0].iter().map(|x| reference::gelu(*x)).collect::<Vec<_>>(), &weight, None, 5)
    });
    let twin = call(kernel, &Product { m: 6, n: 5, k: 4 }).with("a", &dy).with("b", &weight).with("pre", &x);
    close("linear over gelu, dx", &twin.run().numbers("c"), &want[0], TOLERANCE)
}

fn matmul_tn(kernel: &Kernel) -> Result<(), String> {
    let ([x, weight, bias, dy], want) = linear();
    let (before, bias_before) = (numbers(5, weight.len(), -1.0, 1.0), numbers(6, bias.len(), -1.0, 1.0));
    for sums in [None, Some(&bias_before[..])] {
        let twin = call(kernel, &Product { m: 4, n: 5, k: 6 }).with("a", &dy).with("b", &x).with("c", &before);
        let results = twin.with_some("sums", sums).run();
        close("linear d_weight", &results.numbers("c"), &sum(&before, &want[1]), TOLERANCE)?;
        if let Some(before) = sums {
            close("linear d_bias", &results.numbers("sums"), &sum(before, &want[2]), TOLERANCE)?;
        }
    }
    Ok(())
}

/// The gradient of the product in front, from which those of x, weight and bias follow as in a linear layer.
fn qkv_backward(kernel: &Kernel) -> Result<(), String> {
    for (heads, head_dim, with_rope) in [(2, 4, true), (3, 3, false)] {
        let p = Qkv { batch: 2, sequence: 3, heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt() };
        let (rows, width) = (6, heads * head_dim);
        let size = width as usize;
        let (x, weight) = (numbers(1, rows as usize * size, -2.0, 2.0), numbers(2, 3 * size * size, -1.0, 1.0));
        let (bias, d_qkv) = (numbers(3, 3 * size, -1.0, 1.0), numbers(4, 3 * rows as usize * size, -1.0, 1.0));
        let (angles, table) = if with_rope { rope(p.sequence, head_dim) } else { Default::default() };
        let want = gradient(&[&x, &weight, &bias], &d_qkv, |inputs| {
            reference::qkv(&p, &inputs[0], &inputs[1], Some(&inputs[2]), &angles)
        });
        let twin = call(kernel, &p).with("d_qkv", &d_qkv).with_some("rope", with_rope.then_some(&table[..]));
        let dy = twin.run().numbers("dy");
        let dx = call(&MATMUL_NN, &Product { m: rows, n: width, k: 3 * width }).with("a", &dy).with("b", &weight);
        close("qkv dx", &dx.run().numbers("c"), &want[0], TOLERANCE)?;
        let d_weight = call(&MATMUL_TN, &Product { m: 3 * width, n: width, k: rows }).with("a", &dy).with("b", &x);
        let results = d_weight.with("c", &vec![0.0; weight.len()]).with("sums", &vec![0.0; bias.len()]).run();
        close("qkv d_weight", &results.numbers("c"), &want[1], TOLERANCE)?;
        close("qkv d_bias", &results.numbers("sums"), &want[2], TOLERANCE)?;
    }
    Ok(())
}

fn attention_backward(kernel: &Kernel) -> Result<(), String> {
    for (p, spans) in attentions() {
        let count = (p.batch * p.heads * p.sequence * p.head_dim) as usize;
        let (qkv, dy) = (numbers(1, 3 * count, -1.5, 1.5), numbers(2, count, -1.0, 1.0));
        let (y, lse) = reference::attention(&p, &qkv, &spans, &STEP);
        let want = gradient(&[&qkv], &dy, |inputs| reference::attention(&p, &inputs[0], &spans, &STEP).0);
        let twin = call(kernel, &p).with("qkv", &qkv).with_words("spans", spans.concat());
        let twin = twin.with_words("step", STEP.words().to_vec()).with("y", &y).with("lse", &lse).with("dy", &dy);
        close("attention d_qkv", &twin.run().numbers("d_qkv"), &want[0], TOLERANCE)?;
    }
    Ok(())
}

fn gelu_backward(kernel: &Kernel) -> Result<(), String> {
    let (pre, dy) = (numbers(1, 301, -6.0, 6.0), numbers(2, 301, -1.0, 1.0));
    let want = gradient(&[&pre], &dy, |inputs| inputs[0].iter().map(|&x| reference::gelu(x)).collect());
    let results = call(kernel, &Elements { count: 301 }).with("pre", &pre).with("dy", &dy).run();
    close("gelu d_pre", &results.numbers("d_pre"), &want[0], TOLERANCE)
}

fn gated_gelu_backward(kernel: &Kernel) -> Result<(), String> {
    let (u, dy) = (numbers(1, 5 * 2 * 17, -4.0, 4.0), numbers(2, 5 * 17, -1.0, 1.0));
    let want = gradient(&[&u], &dy, |inputs| reference::gated_gelu(&inputs[0], 17));
    let results = call(kernel, &GatedGelu { rows: 5, width: 17 }).with("u", &u).with("dy", &dy).run();
    close("gated_gelu du", &results.numbers("du"), &want[0], TOLERANCE)
}

/// The backward pass is the forward kernel over dy.
fn dropout(kernel: &Kernel) -> Result<(), String> {
    let p = Dropout { rows: 7, width: 13, rate: 0.3, site: (1 << 16) + 4 };
    let (x, dy) = (numbers(1, 91, 0.5, 1.5), numbers(2, 91, -1.0, 1.0));
    let want = gradient(&[&x], &dy, |inputs| reference::dropout(&inputs[0], p.width, &STEP, p.site, p.rate));
    let results = call(kernel, &p).with("x", &dy).with_words("step", STEP.words().to_vec()).run();
    close("dropout dx", &results.numbers("y"), &want[0], TOLERANCE)
}

/// The gradient of the gather of rows 4, 0 and 3 of five.
fn scatter_rows(kernel: &Kernel) -> Result<(), String> {
    let (x, dy) = (numbers(1, 5 * 3, -2.0, 2.0), numbers(2, 3 * 3, -1.0, 1.0));
    let want = gradient(&[&x], &dy, |inputs| [4, 0, 3].map(|row| inputs[0][3 * row..][..3].to_vec()).concat());
    let slots = vec![1, u32::MAX, u32::MAX, 2, 0];
    let twin = call(kernel, &Rows { rows: 5, picked: 3, width: 3 }).with("dy", &dy).with_words("slots", slots);
    close("scatter_rows dx", &twin.run().numbers("dx"), &want[0], TOLERANCE)
}

fn cross_entropy(kernel: &Kernel) -> Result<(), String> {
    let (rows, vocabulary) = (6, 21);
    let logits = numbers(1, (rows * vocabulary) as usize, -6.0, 6.0);
    let labels: Vec<u32> = (0..rows).map(|row| if row % 4 == 3 { u32::MAX } else { row * 11 % vocabulary }).collect();
    let weight = f64::from(STEP.loss_weight);
    let want = gradient(&[&logits], &[weight], |inputs| vec![reference::cross_entropy(&inputs[0], &labels)]);
    // Padding is larger than any logit, and changes nothing.
    let padded = |values: &[f64], padding: f64| {
        let row = |row: &[f64]| [row, &[padding; 3]].concat();
        values.chunks(vocabulary as usize).flat_map(row).collect::<Vec<f64>>()
    };
    let p = CrossEntropy { rows, vocabulary, columns: vocabulary + 3, gradient: 1 };
    let twin = call(kernel, &p).with_words("labels", labels).with_words("step", STEP.words().to_vec());
    let twin = twin.with("logits", &padded(&logits, 9.0)).with("metrics", &[0.0; 3]);
    close("cross_entropy d_logits", &twin.run().numbers("logits"), &padded(&want[0], 0.0), TOLERANCE)
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
