//! Twins of forward passes against the f64 reference.

use crate::check::checks;
use crate::reference;
use crate::twin::{call, close, numbers};
use cloze::kernels::attention::{ATTENTION, Attention};
use cloze::kernels::cross_entropy::{CROSS_ENTROPY, CrossEntropy};
use cloze::kernels::dropout::{DROPOUT, Dropout};
use cloze::kernels::embedding::{EMBEDDING, Embedding};
use cloze::kernels::gelu::{Elements, GATED_GELU, GELU, GatedGelu};
use cloze::kernels::layer_norm::{LAYER_NORM, LayerNorm};
use cloze::kernels::matmul::{LinearProduct, MATMUL_NT, Product};
use cloze::kernels::qkv::{QKV, Qkv};
use cloze::kernels::rows::{GATHER_ROWS, Rows};
use cloze::kernels::step::StepState;
use cloze::kernels::{Kernel, Params};

checks! {
    EMBEDDING => embedding,
    LAYER_NORM => layer_norm,
    MATMUL_NT => matmul_nt,
    QKV => qkv,
    ATTENTION => attention,
    GELU => gelu,
    GATED_GELU => gated_gelu,
    DROPOUT => dropout,
    GATHER_ROWS => gather_rows,
    CROSS_ENTROPY => cross_entropy,
}

/// Some tens of roundings of an f32, relative to the largest output; the rational erf is good to 4e-7.
const ROUNDING: f64 = 2e-6;

pub const STEP: StepState = StepState { loss_weight: 0.125, seed_low: 11, seed_high: 12, number: 13, first_row: 7 };

fn embedding(kernel: &Kernel) -> Result<(), String> {
    let (rows, width, vocabulary) = (9, 5, 7);
    let ids: Vec<u32> = (0..rows).map(|row| row * 3 % vocabulary).collect();
    let places: Vec<u32> = (0..rows).map(|row| row % 4).collect();
    let types: Vec<u32> = (0..rows).map(|row| row / 5).collect();
    let table = |entries: u32| numbers(u64::from(entries), (entries * width) as usize, -2.0, 2.0);
    for (positions, kinds) in [(4, 2), (0, 0), (4, 0)] {
        let (tokens, position_table, type_table) = (table(vocabulary), table(positions), table(kinds));
        let p = Embedding { rows, width, vocabulary, positions, types: kinds };
        let mut twin = call(kernel, &p).with_words("ids", ids.clone()).with("token_table", &tokens);
        twin = twin.with_words("positions", places.clone()).with_words("types", types.clone());
        let mut picks = vec![(&ids[..], &tokens[..])];
        if positions > 0 {
            twin = twin.with("position_table", &position_table);
            picks.push((&places, &position_table));
        }
        if kinds > 0 {
            twin = twin.with("type_table", &type_table);
            picks.push((&types, &type_table));
        }
        close("embedding y", &twin.run().numbers("y"), &reference::embedding(&picks, width as usize), ROUNDING)?;
    }
    Ok(())
}

fn layer_norm(kernel: &Kernel) -> Result<(), String> {
    for (rows, width, with_bias) in [(1, 2, false), (5, 19, true), (70, 48, false)] {
        let p = LayerNorm { rows, width, epsilon: 1e-3 };
        let x = numbers(1, (rows * width) as usize, -1.0, 3.0);
        let (weight, bias) = (numbers(2, width as usize, 0.5, 1.5), numbers(3, width as usize, -1.0, 1.0));
        let bias = with_bias.then_some(&bias[..]);
        let results = call(kernel, &p).with("x", &x).with("weight", &weight).with_some("bias", bias).run();
        let want = reference::layer_norm(&x, &weight, bias, f64::from(p.epsilon));
        close("layer_norm y", &results.numbers("y"), &want, ROUNDING)?;
        let want = reference::row_statistics(&x, width as usize, f64::from(p.epsilon));
        close("layer_norm stats", &results.numbers("stats"), &want, ROUNDING)?;
    }
    Ok(())
}

fn matmul_nt(kernel: &Kernel) -> Result<(), String> {
    // The twin's epilogue goes over blocks of rows, of which 862 of 19 end inside a quad of dropout masks.
    for [m, n, k] in [[7, 12, 9], [870, 19, 2], [1100, 3, 2]] {
        let p = LinearProduct { rate: 0.3, site: (1 << 16) + 4, ..Product { m, n, k }.into() };
        for options in 0..16 {
            matmul_nt_with(kernel, &p, options)?;
        }
    }
    Ok(())
}

/// With the optional arguments whose bits are set in `options`.
fn matmul_nt_with(kernel: &Kernel, p: &LinearProduct, options: u32) -> Result<(), String> {
    let [m, n, k] = [p.m, p.n, p.k].map(|size| size as usize);
    let (a, b) = (numbers(1, m * k, -2.0, 2.0), numbers(2, n * k, -2.0, 2.0));
    let (bias, residual) = (numbers(3, n, -2.0, 2.0), numbers(4, m * n, -2.0, 2.0));
    let bias = (options & 1 != 0).then_some(&bias[..]);
    let residual = (options & 2 != 0).then_some(&residual[..]);
    let [with_gelu, with_dropout] = [4, 8].map(|bit| options & bit != 0);
    let unwritten = vec![f64::NAN; m * n];
    let mut twin = call(kernel, p).with("a", &a).with("b", &b);
    twin = twin.with_some("bias", bias).with_some("residual", residual);
    twin = twin.with_some("pre", with_gelu.then_some(&unwritten[..]));
    if with_dropout {
        twin = twin.with_words("step", STEP.words().to_vec());
    }
    let results = twin.run();
    let mut want = reference::linear(&a, &b, bias, k);
    if with_gelu {
        close("matmul_nt pre", &results.numbers("pre"), &want, ROUNDING)?;
        want.iter_mut().for_each(|y| *y = reference::gelu(*y));
    }
    if with_dropout {
        want = reference::dropout(&want, p.n, &STEP, p.site, p.rate);
    }
    for (want, residual) in want.iter_mut().zip(residual.unwrap_or_default()) {
        *want += residual;
    }
    close("matmul_nt c", &results.numbers("c"), &want, ROUNDING)
}

/// [T, head_dim / 2] angles of RoPE, and the kernel's `rope` input for them.
pub fn rope(sequence: u32, head_dim: u32) -> (Vec<f64>, Vec<f64>) {
    let frequency = |i: u32| 10_000f64.powf(-2.0 * f64::from(i) / f64::from(head_dim));
    let angles = (0..sequence).flat_map(|t| (0..head_dim / 2).map(move |i| f64::from(t) * frequency(i)));
    let angles: Vec<f64> = angles.collect();
    let table = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    (angles, table)
}

fn qkv(kernel: &Kernel) -> Result<(), String> {
    for (heads, head_dim, with_bias, with_rope) in [(2, 4, true, true), (3, 5, false, false), (2, 6, false, true)] {
        let p = Qkv { batch: 2, sequence: 5, heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt() };
        let width = (heads * head_dim) as usize;
        let x = numbers(1, 10 * width, -2.0, 2.0);
        let (weight, bias) = (numbers(2, 3 * width * width, -1.0, 1.0), numbers(3, 3 * width, -1.0, 1.0));
        let bias = with_bias.then_some(&bias[..]);
        let (angles, table) = if with_rope { rope(5, head_dim) } else { Default::default() };
        let mut twin = call(kernel, &p).with("x", &x).with("weight", &weight);
        twin = twin.with_some("bias", bias).with_some("rope", with_rope.then_some(&table[..]));
        close("qkv", &twin.run().numbers("qkv"), &reference::qkv(&p, &x, &weight, bias, &angles), ROUNDING)?;
    }
    Ok(())
}

/// Attention of every kind: dropout, packed documents, windows, and more rows than a block of the twin.
pub fn attentions() -> Vec<(Attention, Vec<[u32; 2]>)> {
    let of = |[batch, heads, sequence, head_dim, reach, document]: [u32; 6], dropout| {
        let span = |t: u32| [t / document * document, (t / document * document + document).min(sequence)];
        let spans = (0..batch).flat_map(|_| (0..sequence).map(span)).collect();
        (Attention { batch, heads, sequence, head_dim, reach, dropout, site: (1 << 16) + 2 }, spans)
    };
    vec![
        of([1, 1, 1, 1, 1, 1], 0.0),
        of([2, 3, 7, 4, 7, 7], 0.25),
        of([2, 2, 9, 3, 9, 4], 0.0),
        of([1, 2, 9, 2, 2, 9], 0.5),
        of([1, 1, 70, 2, 3, 31], 0.1),
    ]
}

fn attention(kernel: &Kernel) -> Result<(), String> {
    for (p, spans) in attentions() {
        let qkv = numbers(1, (3 * p.batch * p.heads * p.sequence * p.head_dim) as usize, -1.5, 1.5);
        let twin = call(kernel, &p).with("qkv", &qkv).with_words("spans", spans.concat());
        let results = twin.with_words("step", STEP.words().to_vec()).run();
        let (y, lse) = reference::attention(&p, &qkv, &spans, &STEP);
        close("attention y", &results.numbers("y"), &y, ROUNDING)?;
        close("attention lse", &results.numbers("lse"), &lse, ROUNDING)?;
    }
    Ok(())
}

fn gelu(kernel: &Kernel) -> Result<(), String> {
    let pre = numbers(1, 777, -6.0, 6.0);
    let want: Vec<f64> = pre.iter().map(|&x| reference::gelu(x)).collect();
    let results = call(kernel, &Elements { count: 777 }).with("pre", &pre).run();
    close("gelu y", &results.numbers("y"), &want, ROUNDING)
}

fn gated_gelu(kernel: &Kernel) -> Result<(), String> {
    let p = GatedGelu { rows: 11, width: 37 };
    let u = numbers(1, 11 * 2 * 37, -6.0, 6.0);
    close("gated_gelu y", &call(kernel, &p).with("u", &u).run().numbers("y"), &reference::gated_gelu(&u, 37), ROUNDING)
}

fn dropout(kernel: &Kernel) -> Result<(), String> {
    for (rows, width, rate) in [(1, 1, 0.5), (83, 1, 0.1), (3, 29, 0.1), (125, 32, 0.3)] {
        let (p, count) = (Dropout { rows, width, rate, site: (1 << 16) + 4 }, rows * width);
        let x = numbers(1, count as usize, 0.5, 1.5);
        let y = call(kernel, &p).with("x", &x).with_words("step", STEP.words().to_vec()).run().numbers("y");
        close("dropout y", &y, &reference::dropout(&x, width, &STEP, p.site, rate), ROUNDING)?;
        if count > 1000 {
            let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / f64::from(count);
            // Four standard deviations of a binomial share.
            assert!((dropped - 0.3).abs() < 4.0 * (0.3 * 0.7 / f64::from(count)).sqrt(), "dropped {dropped} of 0.3");
        }
    }
    Ok(())
}

fn gather_rows(kernel: &Kernel) -> Result<(), String> {
    let p = Rows { rows: 13, picked: 5, width: 3 };
    let x = numbers(1, 13 * 3, -2.0, 2.0);
    let picks = vec![12, 0, 7, 7, 3];
    let want: Vec<f64> = picks.iter().flat_map(|&row| x[3 * row as usize..][..3].to_vec()).collect();
    close("gather_rows y", &call(kernel, &p).with("x", &x).with_words("picks", picks).run().numbers("y"), &want, 0.0)
}

fn cross_entropy(kernel: &Kernel) -> Result<(), String> {
    let (rows, vocabulary) = (9, 33);
    let p = CrossEntropy { rows, vocabulary, columns: vocabulary, gradient: 0 };
    let mut logits = numbers(1, (rows * vocabulary) as usize, -6.0, 6.0);
    let labels: Vec<u32> = (0..rows).map(|row| if row % 4 == 3 { u32::MAX } else { row * 11 % vocabulary }).collect();
    // Rows that are right: one clearly, one in a tie that the smaller id wins; and one that loses its tie.
    logits[labels[0] as usize] = 7.0;
    logits[vocabulary as usize + labels[1] as usize] = 7.0;
    logits[vocabulary as usize + labels[1] as usize + 1] = 7.0;
    logits[2 * vocabulary as usize + labels[2] as usize] = 7.0;
    logits[2 * vocabulary as usize + labels[2] as usize - 1] = 7.0;
    let before = [0.5, 1.0, 2.0];
    let twin = call(kernel, &p).with_words("labels", labels.clone()).with_words("step", STEP.words().to_vec());
    let results = twin.with("logits", &logits).with("metrics", &before).run();
    close("cross_entropy leaves the logits", &results.numbers("logits"), &logits, 0.0)?;
    let labelled = labels.iter().filter(|label| **label != u32::MAX).count() as f64;
    let metrics = results.numbers("metrics");
    close("cross_entropy sum", &metrics[..1], &[before[0] + reference::cross_entropy(&logits, &labels)], ROUNDING)?;
    close("cross_entropy counts", &metrics[1..], &[before[1] + 2.0, before[2] + labelled], 0.0)
}
