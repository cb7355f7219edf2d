//! Central finite differences in f64.

/// The gradient of Σ dy·forward(inputs) with respect to every input.
///
/// With numbers of about one, cutting the series off at h² costs 1e-11 and rounding 1e-16 / h costs 1e-11: both far
/// below what f32 rounds.
pub fn gradient(inputs: &[&[f64]], dy: &[f64], forward: impl Fn(&[Vec<f64>]) -> Vec<f64>) -> Vec<Vec<f64>> {
    const H: f64 = 1e-5;
    let mut inputs: Vec<Vec<f64>> = inputs.iter().map(|input| input.to_vec()).collect();
    let mut gradients: Vec<Vec<f64>> = inputs.iter().map(|input| vec![0.0; input.len()]).collect();
    for number in 0..inputs.len() {
        for i in 0..inputs[number].len() {
            let x = inputs[number][i];
            inputs[number][i] = x + H;
            let above = forward(&inputs);
            inputs[number][i] = x - H;
            let below = forward(&inputs);
            inputs[number][i] = x;
            assert_eq!(above.len(), dy.len(), "one output gradient for each output");
            let slopes = above.iter().zip(&below).map(|(above, below)| (above - below) / (2.0 * H));
            gradients[number][i] = slopes.zip(dy).map(|(slope, dy)| slope * dy).sum();
        }
    }
    gradients
}

#[test]
fn a_known_gradient() {
    let got = gradient(&[&[0.5, -2.0], &[3.0]], &[1.0, 10.0], |inputs| {
        let (x, y) = (&inputs[0], inputs[1][0]);
        vec![x[0] * x[0] * y, x[1].exp()]
    });
    let want = [vec![3.0, 10.0 * (-2.0f64).exp()], vec![0.25]];
    for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
        assert!((got - want).abs() < 1e-9, "got {got}, want {want}");
    }
}
