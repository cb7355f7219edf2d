//! Sums and maxima of a row in sixteen interleaved parts, which vectorise and have the same order on every machine. The
//! compiler may not reorder a plain `sum()`, so that would add one element at a time.

const LANES: usize = 16;

/// Σ term(x).
#[inline(always)]
pub fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [0.0; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| term(x)).sum();
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part += term(x);
        }
    }
    parts.iter().sum::<f32>() + rest
}

/// Σ a·b.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut parts = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for ((part, a), b) in parts.iter_mut().zip(a).zip(b) {
            *part += a * b;
        }
    }
    parts.iter().sum::<f32>() + rest
}

/// The largest element; `f32::MIN` of an empty row.
#[inline(always)]
pub fn maximum(row: &[f32]) -> f32 {
    let mut parts = [f32::MIN; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(f32::MIN, |most, &x| most.max(x));
    for chunk in chunks {
        for (part, &x) in parts.iter_mut().zip(chunk) {
            *part = if x > *part { x } else { *part };
        }
    }
    parts.iter().fold(rest, |most, &x| most.max(x))
}

/// Σ x²; infinity when any x is not finite. That is tested on the bits (an exponent of all ones), as shaders must do.
#[inline(always)]
pub fn sum_squares(row: &[f32]) -> f32 {
    const EXPONENT: u32 = 0x7f80_0000;
    let mut parts = [0.0; LANES];
    let mut largest = [0; LANES];
    for chunk in row.chunks(LANES) {
        for ((part, largest), &x) in parts.iter_mut().zip(&mut largest).zip(chunk) {
            *part += x * x;
            *largest = (*largest).max(x.to_bits() & EXPONENT);
        }
    }
    if largest.contains(&EXPONENT) { f32::INFINITY } else { parts.iter().sum() }
}

/// sum += x, element by element.
#[inline(always)]
pub fn add(sum: &mut [f32], x: &[f32]) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths around the number of lanes, with integers, whose sums are exact in any order.
    #[test]
    fn every_element_counts_once() {
        for len in [0, 1, 15, 16, 17, 33] {
            let a: Vec<f32> = (0..len).map(|i| (i * 7 % 11) as f32 - 4.0).collect();
            let b: Vec<f32> = (0..len).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
            assert_eq!(sum(&a, |x| x * x), a.iter().map(|x| x * x).sum::<f32>(), "{len}");
            assert_eq!(sum_squares(&a), a.iter().map(|x| x * x).sum::<f32>(), "{len}");
            assert_eq!(dot(&a, &b), a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>(), "{len}");
            assert_eq!(maximum(&a), a.iter().fold(f32::MIN, |most, &x| most.max(x)), "{len}");
        }
    }
}
