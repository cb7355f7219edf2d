//! The kernels' mathematics once more: forward passes in f64, as plain as they can be written, sharing nothing with the
//! twins but the random words of a dropout mask.

use cloze::kernels::attention::Attention;
use cloze::kernels::dropout::dropping;
use cloze::kernels::qkv::Qkv;
use cloze::kernels::step::StepState;
use cloze::random::philox_lanes;

/// Rows of tables picked by ids and added up: y [rows, width].
pub fn embedding(picks: &[(&[u32], &[f64])], width: usize) -> Vec<f64> {
    let element = |row: usize, column: usize| -> f64 {
        picks.iter().map(|(ids, table)| table[ids[row] as usize * width + column]).sum()
    };
    (0..picks[0].0.len())
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .map(|(r, c)| element(r, c))
        .collect()
}

/// Mean and 1/√(variance + ε) of each row of x.
pub fn row_statistics(x: &[f64], width: usize, epsilon: f64) -> Vec<f64> {
    let statistics = x.chunks(width).flat_map(|row| {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
        [mean, 1.0 / (variance + epsilon).sqrt()]
    });
    statistics.collect()
}

pub fn layer_norm(x: &[f64], weight: &[f64], bias: Option<&[f64]>, epsilon: f64) -> Vec<f64> {
    let width = weight.len();
    let statistics = row_statistics(x, width, epsilon);
    let element = |(i, x): (usize, &f64)| {
        let (row, column) = (i / width, i % width);
        (x - statistics[2 * row]) * statistics[2 * row + 1] * weight[column] + bias.map_or(0.0, |bias| bias[column])
    };
    x.iter().enumerate().map(element).collect()
}

/// y = x·Wᵀ + bias for x [rows, inputs] and W [outputs, inputs].
pub fn linear(x: &[f64], weight: &[f64], bias: Option<&[f64]>, inputs: usize) -> Vec<f64> {
    let outputs = weight.len() / inputs;
    let rows = x.chunks(inputs).flat_map(|x| {
        (0..outputs).map(move |o| {
            let weight = &weight[o * inputs..(o + 1) * inputs];
            x.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>() + bias.map_or(0.0, |bias| bias[o])
        })
    });
    rows.collect()
}

/// 2/√π e^(−x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, a series without cancellation.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// y = gelu(u[:, ..width]) · u[:, width..].
pub fn gated_gelu(u: &[f64], width: usize) -> Vec<f64> {
    u.chunks(2 * width).flat_map(|row| (0..width).map(move |i| gelu(row[i]) * row[width + i])).collect()
}

/// What dropout multiplies an element by, number `column` of a row of a site: activations of the whole batch are one row, and
/// the weights of attention have a row a query.
pub fn dropout_mask(step: &StepState, site: u32, row: u32, column: u32, rate: f32) -> f64 {
    let counter = [[column / 8], [site], [step.number], [row]];
    let words = philox_lanes::<7, 1>([step.seed_low, step.seed_high], counter);
    let number = words[column as usize % 4][0] >> (column / 4 % 2 * 16) & 0xffff;
    if number < dropping(rate) { 0.0 } else { 65536.0 / f64::from(65536 - dropping(rate)) }
}

/// Of rows of `width`.
pub fn dropout(x: &[f64], width: u32, step: &StepState, site: u32, rate: f32) -> Vec<f64> {
    let first = step.first_row * width;
    x.iter().zip(first..).map(|(x, column)| x * dropout_mask(step, site, 0, column, rate)).collect()
}

/// [3, B, heads, T, head_dim] from x·Wᵀ + bias: queries and keys turned by position·frequency, queries scaled.
/// `angles` is [T, head_dim / 2], or empty without RoPE.
pub fn qkv(p: &Qkv, x: &[f64], weight: &[f64], bias: Option<&[f64]>, angles: &[f64]) -> Vec<f64> {
    let [batch, sequence, heads, head_dim] = [p.batch, p.sequence, p.heads, p.head_dim].map(|n| n as usize);
    let (width, half) = (heads * head_dim, head_dim / 2);
    let rows = linear(x, weight, bias, width);
    let element = |part: usize, b: usize, head: usize, t: usize, i: usize| {
        let row = &rows[(b * sequence + t) * 3 * width + part * width + head * head_dim..][..head_dim];
        let scale = if part == 0 { f64::from(p.scale) } else { 1.0 };
        if part == 2 || angles.is_empty() {
            return scale * row[i];
        }
        let angle = angles[t * half + i % half];
        let turned = if i < half { -row[i + half] } else { row[i - half] };
        scale * (row[i] * angle.cos() + turned * angle.sin())
    };
    let mut out = Vec::new();
    for part in 0..3 {
        for b in 0..batch {
            for head in 0..heads {
                for t in 0..sequence {
                    out.extend((0..head_dim).map(|i| element(part, b, head, t, i)));
                }
            }
        }
    }
    out
}

/// y [B·T, width] and log-sum-exp [B, heads, T] of softmax attention within each position's span and window.
pub fn attention(p: &Attention, qkv: &[f64], spans: &[[u32; 2]], step: &StepState) -> (Vec<f64>, Vec<f64>) {
    let [batch, heads, sequence, head_dim] = [p.batch, p.heads, p.sequence, p.head_dim].map(|n| n as usize);
    let vector = |part: usize, b: usize, head: usize, t: usize| {
        &qkv[(((part * batch + b) * heads + head) * sequence + t) * head_dim..][..head_dim]
    };
    let mut y = vec![0.0; batch * sequence * heads * head_dim];
    let mut lse = Vec::new();
    for b in 0..batch {
        for head in 0..heads {
            for t in 0..sequence {
                let [start, end] = spans[b * sequence + t];
                let sees = |j: usize| (start as usize..end as usize).contains(&j) && j.abs_diff(t) <= p.reach as usize;
                let keys: Vec<usize> = (0..sequence).filter(|&j| sees(j)).collect();
                let score = |j: usize| -> f64 {
                    vector(0, b, head, t).iter().zip(vector(1, b, head, j)).map(|(q, k)| q * k).sum()
                };
                let sum: f64 = keys.iter().map(|&j| score(j).exp()).sum();
                let before = step.first_row * p.heads;
                let number = before + ((b * heads + head) * sequence + t) as u32;
                for &j in &keys {
                    let mask = dropout_mask(step, p.site, number, j as u32, p.dropout);
                    let weight = score(j).exp() / sum * mask;
                    for (i, v) in vector(2, b, head, j).iter().enumerate() {
                        y[((b * sequence + t) * heads + head) * head_dim + i] += weight * v;
                    }
                }
                lse.push(sum.ln());
            }
        }
    }
    (y, lse)
}

/// Σ −ln softmax(logits)[label] over the rows with a label.
pub fn cross_entropy(logits: &[f64], labels: &[u32]) -> f64 {
    let rows = logits.chunks(logits.len() / labels.len()).zip(labels).filter(|(_, label)| **label != u32::MAX);
    rows.map(|(row, &label)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[label as usize]).sum()
}
