//! Times a training step of a BERT masked language model in burn, for `compare.py`.
//!
//! usage: burn-mlm flex|wgpu STEPS LAYERS WIDTH HEADS INNER VOCABULARY BATCH LENGTH
//!
//! The model is that of `torch_mlm.py --sparse`, from burn's own parts, with the decoder tied to the embedding. One thing is
//! less work than in the others: burn clips the gradient of each parameter by its own norm, not all by their common one.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Embedding, EmbeddingConfig, Gelu, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::time::Instant;

const WARM_UP: usize = 2;

#[derive(Module, Debug)]
struct Bert {
    tokens: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    encoder: TransformerEncoder,
    transform: Linear,
    transform_norm: LayerNorm,
}

/// A batch: ids [B, T], rows of the masked tokens [K] among the B·T, and what they were.
struct Batch {
    ids: Tensor<2, Int>,
    masked: Tensor<1, Int>,
    labels: Tensor<1, Int>,
}

impl Bert {
    fn new([layers, width, heads, inner, vocabulary]: [usize; 5], device: &Device) -> Bert {
        let norm = LayerNormConfig::new(width).with_epsilon(1e-12);
        let encoder = TransformerEncoderConfig::new(width, inner, heads, layers).with_dropout(0.0);
        Bert {
            tokens: EmbeddingConfig::new(vocabulary, width).init(device),
            positions: EmbeddingConfig::new(512, width).init(device),
            types: EmbeddingConfig::new(2, width).init(device),
            norm: norm.init(device),
            encoder: encoder.with_layer_norm_eps(1e-12).init(device),
            transform: LinearConfig::new(width, width).init(device),
            transform_norm: norm.init(device),
        }
    }

    fn loss(&self, batch: &Batch, cross_entropy: &CrossEntropyLoss) -> Tensor<1> {
        let [_, length] = batch.ids.dims();
        let device = batch.ids.device();
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device).unsqueeze::<2>();
        let x = self.tokens.forward(batch.ids.clone())
            + self.positions.forward(positions)
            + self.types.forward(batch.ids.zeros_like());
        let x = self.encoder.forward(TransformerEncoderInput::new(self.norm.forward(x)));
        let x: Tensor<2> = x.flatten(0, 1);
        let x = x.select(0, batch.masked.clone());
        let x = self.transform_norm.forward(Gelu::new().forward(self.transform.forward(x)));
        cross_entropy.forward(x.matmul(self.tokens.weight.val().transpose()), batch.labels.clone())
    }
}

impl Batch {
    /// As the other contestants have it: 15 % of each sequence, the same number everywhere.
    fn new(vocabulary: usize, sequences: usize, length: usize, device: &Device) -> Batch {
        let mut state = 1_u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let mut ids: Vec<i64> = (0..sequences * length).map(|_| (5 + below(vocabulary - 5)) as i64).collect();
        let count = length * 15 / 100;
        let places = (0..sequences).flat_map(|sequence| (0..count).map(move |n| sequence * length + n * length / count));
        let masked: Vec<i64> = places.map(|place| place as i64).collect();
        let labels: Vec<i64> = masked.iter().map(|&place| ids[place as usize]).collect();
        masked.iter().for_each(|&place| ids[place as usize] = 4);
        let row = |values: Vec<i64>| {
            let len = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [len]), device)
        };
        Batch { ids: row(ids).reshape([sequences, length]), masked: row(masked), labels: row(labels) }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, steps, shape @ ..] = arguments.as_slice() else { panic!("see the head of main.rs for the usage") };
    let number = |text: &String| text.parse::<usize>().unwrap_or_else(|_| panic!("`{text}` is no number"));
    let shape: [usize; 7] = shape.iter().map(number).collect::<Vec<_>>().try_into().expect("seven numbers of a shape");
    let [layers, width, heads, inner, vocabulary, sequences, length] = shape;
    let device = match backend.as_str() {
        "flex" => Device::flex(),
        "wgpu" => Device::wgpu(Default::default()),
        other => panic!("`{other}` is neither flex nor wgpu"),
    };
    let device = device.autodiff();
    device.seed(0);
    let mut model = Bert::new([layers, width, heads, inner, vocabulary], &device);
    let adamw = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01);
    let mut optimizer = adamw.with_grad_clipping(Some(GradientClippingConfig::Norm(1.0))).init();
    let batch = Batch::new(vocabulary, sequences, length, &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let (mut times, mut loss) = (Vec::new(), None);
    for step in 0..WARM_UP + number(steps).max(1) {
        let start = Instant::now();
        let value = model.loss(&batch, &cross_entropy);
        let gradients = GradientsParams::from_grads(value.backward(), &model);
        model = optimizer.step(1e-4, model, gradients);
        device.sync().expect("the device answers");
        if step >= WARM_UP {
            times.push(1e3 * start.elapsed().as_secs_f64());
        }
        loss = Some(value);
    }
    times.sort_by(f64::total_cmp);
    let (median, loss) = (times[times.len() / 2], loss.map(|loss| loss.into_scalar::<f32>()).unwrap_or(f32::NAN));
    println!("{{\"step_ms\": {median}, \"min_ms\": {}, \"loss\": {loss}, \"params\": {}}}", times[0], model.num_params());
}
