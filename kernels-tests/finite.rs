//! Central finite differences in f64.

/// How far a variable moves to each side. Numbers are about one: ignoring terms beyond h² costs 1e-12, and rounding (1e-16 / h)
/// costs 1e-10, both far below what f32 rounds. It is a power of two, so that an f32 moves exactly.
const H: f64 = 1.0 / (1 << 20) as f64;

/// The derivative of a sum at zero, from its terms at a distance.
pub fn slope(terms: impl Fn(f64) -> Vec<f64>) -> f64 {
    let (above, below) = (terms(H), terms(-H));
    assert_eq!(above.len(), below.len(), "as many terms everywhere");
    above.iter().zip(&below).map(|(above, below)| above - below).sum::<f64>() / (2.0 * H)
}

#[test]
fn a_known_derivative() {
    let got = slope(|h| vec![(0.5 + h).powi(2) * 3.0, (1.0 + 2.0 * h).exp()]);
    let want = 3.0 + 2.0 * 1f64.exp();
    assert!((got - want).abs() < 1e-9, "got {got}, want {want}");
}
