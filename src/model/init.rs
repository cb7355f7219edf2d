//! Initial values of parameters.

use crate::random::Stream;
use std::f64::consts::SQRT_2;

/// How a parameter is initialized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    Zero,
    One,
    /// Normal with this standard deviation.
    Normal(f32),
    /// The stacked weight of queries, keys and values [3H, H], normal with these standard deviations. Keys equal queries, so
    /// that a token first attends to tokens like itself (after Trockman and Kolter, "Mimetic initialization of self-attention
    /// layers", 2023).
    SharedQueryKey {
        query_key: f32,
        value: f32,
    },
    /// Rows [positions, H] of sines and cosines with this root mean square. Nearby rows are similar, and one linear map takes
    /// each row to the row a fixed distance away (Vaswani et al., "Attention is all you need", 2017, section 3.5).
    Sinusoids(f32),
}

impl Init {
    /// The initial values of a parameter of this shape.
    pub(super) fn values(self, shape: &[usize], mut stream: Stream) -> Vec<f32> {
        let count = shape.iter().product();
        match self {
            Init::Zero => vec![0.0; count],
            Init::One => vec![1.0; count],
            Init::Normal(deviation) => normal(count, deviation, &mut stream),
            Init::SharedQueryKey { query_key, value } => {
                let query = normal(count / 3, query_key, &mut stream);
                [query.clone(), query, normal(count / 3, value, &mut stream)].concat()
            }
            Init::Sinusoids(rms) => sinusoids(shape[0], shape[1], rms),
        }
    }
}

fn normal(count: usize, deviation: f32, stream: &mut Stream) -> Vec<f32> {
    (0..count).map(|_| deviation * stream.normal()).collect()
}

/// sin(row · 10000^(−2i/width)) in column 2i and its cosine in column 2i + 1, times rms · √2.
fn sinusoids(rows: usize, width: usize, rms: f32) -> Vec<f32> {
    let value = |row: usize, column: usize| {
        let angle = row as f64 * 10_000f64.powf(-((column & !1) as f64) / width as f64);
        let wave = if column.is_multiple_of(2) { angle.sin() } else { angle.cos() };
        (f64::from(rms) * SQRT_2 * wave) as f32
    };
    (0..rows).flat_map(|row| (0..width).map(move |column| value(row, column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Site;

    fn values(init: Init, shape: &[usize]) -> Vec<f32> {
        init.values(shape, Stream::new(1, Site::Init, 0))
    }

    fn rms(values: &[f32]) -> f64 {
        (values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn keys_begin_as_queries_and_values_on_their_own() {
        let all = values(Init::SharedQueryKey { query_key: 0.1, value: 0.02 }, &[3 * 64, 64]);
        let (query, rest) = all.split_at(64 * 64);
        let (key, value) = rest.split_at(64 * 64);
        assert_eq!(query, key);
        assert!((rms(query) - 0.1).abs() < 0.005, "{}", rms(query));
        assert!((rms(value) - 0.02).abs() < 0.001, "{}", rms(value));
    }

    #[test]
    fn positions_are_alike_where_they_are_near() {
        let table = values(Init::Sinusoids(0.5), &[128, 64]);
        assert!((rms(&table) - 0.5).abs() < 1e-6, "{}", rms(&table));
        let row = |row: usize| &table[64 * row..][..64];
        let product = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum::<f32>();
        for at in [5, 60, 100] {
            assert!(product(at, at) > product(at, at + 1) && product(at, at + 1) > product(at, at + 3));
            assert!((product(at, at + 3) - product(0, 3)).abs() < 1e-4, "the product depends on the distance alone");
        }
    }
}
