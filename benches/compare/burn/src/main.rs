//! Times a training step of a BERT masked language model in burn, for `compare.py`.
//!
//! usage: burn-mlm flex|wgpu STEPS LAYERS WIDTH HEADS INNER VOCABULARY BATCH LENGTH
//!
//! The model, the batch and the step are those of `torch_mlm.py --sparse`, from burn's own parts. burn's optimisers clip each
//! gradient by its own norm; `clip` does it by the norm of all, as the others do.

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Embedding, EmbeddingConfig, Gelu, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::error::Error;
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
    /// The decoder's; its weight is that of `tokens`.
    bias: Param<Tensor<1>>,
}

impl Bert {
    fn new([layers, width, heads, inner, vocabulary]: [usize; 5], device: &Device) -> Bert {
        let normal = Initializer::Normal { mean: 0.0, std: 0.02 };
        let embedding = |rows| EmbeddingConfig::new(rows, width).with_initializer(normal.clone()).init(device);
        let norm = LayerNormConfig::new(width).with_epsilon(1e-12);
        let encoder = TransformerEncoderConfig::new(width, inner, heads, layers).with_dropout(0.0);
        Bert {
            tokens: embedding(vocabulary),
            positions: embedding(512),
            types: embedding(2),
            norm: norm.init(device),
            encoder: encoder.with_initializer(normal.clone()).with_layer_norm_eps(1e-12).init(device),
            transform: LinearConfig::new(width, width).with_initializer(normal.clone()).init(device),
            transform_norm: norm.init(device),
            bias: Initializer::Zeros.init([vocabulary], device),
        }
    }

    fn loss(&self, batch: &Batch, cross_entropy: &CrossEntropyLoss) -> Tensor<1> {
        let [_, length] = batch.ids.dims();
        let positions = Tensor::<1, Int>::arange(0..length as i64, &batch.ids.device()).unsqueeze::<2>();
        let x = self.tokens.forward(batch.ids.clone())
            + self.positions.forward(positions)
            + self.types.forward(batch.ids.zeros_like());
        let x = self.encoder.forward(TransformerEncoderInput::new(self.norm.forward(x)));
        let x: Tensor<2> = x.flatten(0, 1);
        let x = x.select(0, batch.masked.clone());
        let x = self.transform_norm.forward(Gelu::new().forward(self.transform.forward(x)));
        let logits = x.matmul(self.tokens.weight.val().transpose()) + self.bias.val().unsqueeze();
        cross_entropy.forward(logits, batch.labels.clone())
    }
}

/// Ids [B, T], rows [K] of the masked tokens among the B·T, and what they were.
struct Batch {
    ids: Tensor<2, Int>,
    masked: Tensor<1, Int>,
    labels: Tensor<1, Int>,
}

impl Batch {
    /// Random tokens, 15 % of each sequence masked.
    fn new(vocabulary: usize, sequences: usize, length: usize, device: &Device) -> Batch {
        let mut state = 1_u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let mut ids: Vec<i64> = (0..sequences * length).map(|_| (5 + below(vocabulary - 5)) as i64).collect();
        let count = length * 15 / 100;
        let places =
            (0..sequences).flat_map(|sequence| (0..count).map(move |n| sequence * length + n * length / count));
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

/// Scales the gradients of `model` so that the norm of all of them together is at most 1.
fn clip(model: &Bert, mut gradients: GradientsParams, device: &Device) -> GradientsParams {
    let mut squares = Squares { gradients: &gradients, sum: Tensor::zeros([1], device) };
    model.visit(&mut squares);
    let factor = (squares.sum.sqrt() + 1e-6).recip().clamp_max(1.0);
    model.visit(&mut Scale { gradients: &mut gradients, factor });
    gradients
}

/// Sums the squares of all gradients.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Tensor<1>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum = self.sum.clone() + gradient.square().sum();
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor.clone().unsqueeze());
        }
    }
}

/// The version of burn that this was built with.
fn version() -> Option<&'static str> {
    include_str!("../Cargo.lock").split_once("name = \"burn\"\nversion = \"")?.1.split('"').next()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, numbers @ ..] = arguments.as_slice() else {
        return Err("the arguments are flex|wgpu STEPS LAYERS WIDTH HEADS INNER VOCABULARY BATCH LENGTH".into());
    };
    let numbers = numbers.iter().map(|text| text.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [steps, layers, width, heads, inner, vocabulary, sequences, length] = numbers[..] else {
        return Err(format!("after `{backend}` come 8 numbers, not {}", numbers.len()).into());
    };
    let plain = match backend.as_str() {
        "flex" => Device::flex(),
        "wgpu" => Device::wgpu(Default::default()),
        other => return Err(format!("`{other}` is neither flex nor wgpu").into()),
    };
    let device = plain.clone().autodiff();
    device.seed(0);
    let mut model = Bert::new([layers, width, heads, inner, vocabulary], &device);
    let mut optimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.01).init();
    let batch = Batch::new(vocabulary, sequences, length, &device);
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);

    let (mut times, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + steps.max(1) {
        let start = Instant::now();
        let loss = model.loss(&batch, &cross_entropy);
        let gradients = clip(&model, GradientsParams::from_grads(loss.backward(), &model), &plain);
        model = optimizer.step(1e-4, model, gradients);
        device.sync()?;
        times.push(1e3 * start.elapsed().as_secs_f64());
        losses.push(loss.into_scalar::<f32>());
    }
    let mut timed = times.split_off(WARM_UP);
    timed.sort_by(f64::total_cmp);
    let median = timed[timed.len() / 2];
    println!(
        "{{\"step_ms\": {median}, \"min_ms\": {}, \"tokens_per_second\": {}, \"loss\": {}, \"first_loss\": {}, \
         \"params\": {}, \"device_bytes\": {}, \"versions\": \"burn {}\"}}",
        timed[0],
        1e3 * (sequences * length) as f64 / median,
        losses[losses.len() - 1],
        losses[0],
        model.num_params(),
        plain.memory_pool_usage().map_or("null".into(), |usage| usage.bytes_reserved.to_string()),
        version().unwrap_or("of an unknown version"),
    );
    Ok(())
}
