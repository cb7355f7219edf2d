//! The sizes that kernels are timed at.

use crate::data::Masking;
use crate::device::Device;
use crate::exec::gpu::is_software;
use crate::kernels::{Case, Fill, Kernel, SIZES, Sizes};
use crate::settings::unknown;
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Most elements of a matrix, for sizes that the user gives.
const MOST_ELEMENTS: u64 = 1 << 28;
/// Largest of each such size if a kernel has several; a grid of workgroups takes this many.
const MOST_ROWS: u64 = 1 << 20;
/// Largest dimension of an attention head.
const MOST_HEAD_DIM: u32 = 128;

/// The sizes to time at: those of a model, or launch parameters by the names of their fields.
#[derive(Clone, Debug)]
pub enum BenchShape {
    Model {
        sizes: Sizes,
        /// What was given besides the name of `sizes`.
        changed: Vec<(String, u32)>,
    },
    Fields(Vec<(String, u32)>),
}

impl FromStr for BenchShape {
    type Err = String;

    /// Reads `bert-base`, `bert-base,batch=32,sequence=512` or `m=64,n=64,k=64`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(',').map_or((text, None), |(name, rest)| (name, Some(rest)));
        if let Some(&sizes) = SIZES.iter().find(|sizes| sizes.name == name) {
            let changed = rest.map_or(Some(Vec::new()), fields).ok_or_else(expected)?;
            return Ok(BenchShape::Model { sizes: change(sizes, &changed)?, changed });
        }
        fields(text).map(BenchShape::Fields).ok_or_else(expected)
    }
}

/// `m=1,n=2`
fn fields(text: &str) -> Option<Vec<(String, u32)>> {
    let field = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_string(), value.trim().parse().ok().filter(|&value| value > 0)?))
    };
    text.split(',').map(field).collect()
}

fn expected() -> String {
    let names: Vec<&str> = SIZES.iter().map(|sizes| sizes.name).collect();
    format!(
        "it is {}, one of these with sizes of your own such as {},batch=32,sequence=512, or whole numbers above 0 such as \
         m=1024,n=1024,k=1024",
        names.join(", "),
        names[names.len() - 1]
    )
}

/// A model's sizes with some of them changed; 15 % of the tokens are masked unless the changes include `masked`.
fn change(mut sizes: Sizes, changed: &[(String, u32)]) -> Result<Sizes, String> {
    for (name, value) in changed {
        let field = match name.as_str() {
            "batch" => &mut sizes.batch,
            "sequence" => &mut sizes.sequence,
            "width" => &mut sizes.width,
            "heads" => &mut sizes.heads,
            "inner" => &mut sizes.inner,
            "vocabulary" => &mut sizes.vocabulary,
            "masked" => &mut sizes.masked,
            _ => {
                let known = ["batch", "sequence", "width", "heads", "inner", "vocabulary", "masked"];
                return Err(unknown("size", &[&[name.as_str()], &known[..]].concat()));
            }
        };
        *field = *value;
    }
    let wide = u64::from;
    let rows = wide(sizes.batch) * wide(sizes.sequence);
    if !sizes.width.is_multiple_of(sizes.heads) || sizes.head_dim() > MOST_HEAD_DIM {
        return Err(format!("width has to be a multiple of heads, and at most {MOST_HEAD_DIM} times as much"));
    }
    if rows > MOST_ROWS {
        return Err(format!("{rows} tokens are too many: batch times sequence is at most {MOST_ROWS}"));
    }
    if !changed.iter().any(|(name, _)| name == "masked") {
        let masked = Masking::default().masked_per_sequence(sizes.sequence as usize);
        sizes.masked = sizes.batch * masked as u32;
    }
    if wide(sizes.masked) > rows {
        return Err(format!("masked is at most batch times sequence, {rows}"));
    }
    let Sizes { width, inner, vocabulary, masked, .. } = sizes;
    let [width, inner, vocabulary, masked] = [width, inner, vocabulary, masked].map(wide);
    // In this order: q, k and v; both halves of a gated feed-forward layer; its weights; those of a layer; the embeddings of
    // tokens and positions; the logits.
    let matrices = [
        (rows, 3 * width),
        (rows, 2 * inner),
        (2 * inner, width),
        (12 * width, width),
        (vocabulary.max(wide(sizes.sequence)), width),
        (masked, vocabulary),
    ];
    match matrices.into_iter().find(|(rows, columns)| rows * columns > MOST_ELEMENTS) {
        None => Ok(sizes),
        Some((rows, columns)) => Err(format!(
            "too large: there is a matrix of {rows} by {columns}, and the most is {MOST_ELEMENTS} elements"
        )),
    }
}

impl fmt::Display for BenchShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, fields) = match self {
            BenchShape::Model { sizes, changed } => (Some(sizes.name.to_string()), changed),
            BenchShape::Fields(fields) => (None, fields),
        };
        let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
        f.write_str(&name.into_iter().chain(fields).collect::<Vec<_>>().join(","))
    }
}

/// The sizes to run at if none are given. A software adapter gets only the smallest, since the larger ones take minutes there.
pub fn usual_shapes(device: &Device) -> Vec<BenchShape> {
    let software = matches!(device, Device::Gpu(gpu) if is_software(&gpu.info));
    let sizes = SIZES.iter().take(if software { 1 } else { SIZES.len() });
    sizes.map(|&sizes| BenchShape::Model { sizes, changed: Vec::new() }).collect()
}

/// A kernel's launch at a shape.
///
/// # Errors
/// The kernel has no such field, or its arguments belong to the sizes of a model; a size is too large.
pub fn case(kernel: &Kernel, shape: &BenchShape) -> Result<Case> {
    let fields = match shape {
        BenchShape::Model { sizes, .. } => return Ok((kernel.bench)(sizes)),
        BenchShape::Fields(fields) => fields,
    };
    let refuse = |problem: String| Err(Error::device(format!("{}: {problem}", kernel.name)));
    let mut case = (kernel.bench)(&SIZES[0]);
    let sizes = kernel.sizes(&case.params);
    if sizes.len() > 3 || case.fills.iter().any(|fill| matches!(fill, Fill::Words(_) | Fill::Ids { .. })) {
        let names: Vec<&str> = SIZES.iter().map(|sizes| sizes.name).collect();
        let (names, example) = (names.join(", "), names[0]);
        return refuse(format!(
            "its arguments depend on each other; give the sizes of a model: {names}, or {example},batch=1,sequence=512"
        ));
    }
    for (name, value) in fields {
        let Some(&at) = sizes.iter().find(|&&at| kernel.fields[at].name == name) else {
            let known = sizes.iter().map(|&at| kernel.fields[at].name);
            return refuse(unknown("size", &[name.as_str()].into_iter().chain(known).collect::<Vec<_>>()));
        };
        case.params[at] = *value;
    }
    let mut largest: Vec<u64> = sizes.iter().map(|&at| case.params[at].into()).collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let elements = largest.iter().take(2).product::<u64>();
    if elements > MOST_ELEMENTS || (largest.len() > 1 && largest[0] > MOST_ROWS) {
        return refuse(format!(
            "{shape} is too large: the most is {MOST_ELEMENTS} elements, and {MOST_ROWS} of each of several sizes"
        ));
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::kernels::find;
    use crate::device::launches::Launches;
    use crate::kernels::{KERNELS, Precision};

    #[test]
    fn shapes_are_read_and_written() {
        for text in ["tiny", "bert-base", "bert-base,batch=32,sequence=512", "m=1,n=2,k=3", "count=7"] {
            assert_eq!(text.parse::<BenchShape>().unwrap().to_string(), text);
        }
        for text in
            ["", "huge", "m", "m=0", "m=-1", "m=1,,n=2", "m=99999999999", "tiny,", "tiny,batch=0", "batch=2,tiny"]
        {
            assert!(text.parse::<BenchShape>().unwrap_err().contains("tiny, bert-base"), "{text}");
        }
    }

    /// For all sizes that are accepted, the arguments have the declared lengths, and the twin runs.
    #[test]
    fn small_sizes_of_every_kernel_run_or_are_refused() {
        let run = |kernel, case| {
            Launches::new(&Device::Cpu, None, kernel, Precision::F32, &[(case, 2)])?.times(1).map(|_| ())
        };
        let mut taken = 0;
        for kernel in KERNELS {
            for value in [1, 2, 3, 17] {
                let sizes = kernel.sizes(&(kernel.bench)(&SIZES[0]).params).into_iter();
                let shape = BenchShape::Fields(sizes.map(|at| (kernel.fields[at].name.to_string(), value)).collect());
                if let Ok(case) = case(kernel, &shape) {
                    taken += 1;
                    run(kernel, case).unwrap();
                }
            }
            for text in [
                "tiny,batch=1,sequence=1,width=1,heads=1,inner=1,vocabulary=1",
                "tiny,batch=3,sequence=17,width=12,heads=3,inner=5,vocabulary=7,masked=2",
            ] {
                run(kernel, case(kernel, &text.parse().unwrap()).unwrap()).unwrap();
            }
        }
        assert!(taken >= 4 * 8, "{taken}");
    }

    #[test]
    fn sizes_of_a_model_are_changed() {
        let params = |text: &str| case(find("attention").unwrap(), &text.parse().unwrap()).unwrap().params;
        assert_eq!(params("bert-base,batch=32,sequence=512")[..5], [32, 12, 512, 64, 512]);
        let BenchShape::Model { sizes, .. } = "bert-base,batch=32,sequence=512".parse().unwrap() else { panic!() };
        assert_eq!(sizes.masked, 32 * 77);
        for sizes in SIZES {
            let BenchShape::Model { sizes: same, .. } = sizes.name.parse().unwrap() else { panic!() };
            assert_eq!(same.masked, sizes.masked, "{}", sizes.name);
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_made() {
        let matmul = find("matmul_nt").unwrap();
        for text in ["m=1048577,n=1,k=1", "m=65536,n=65536,k=1", "m=4294967295,n=4294967295,k=4294967295"] {
            let message = case(matmul, &text.parse().unwrap()).unwrap_err().to_string();
            assert!(message.contains("too large"), "{text}: {message}");
        }
        let message = case(matmul, &"m=2,rows=3".parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("unknown size `rows`") && message.contains("`m`, `n`, `k`"), "{message}");
        let message = case(matmul, &"site=3".parse().unwrap()).unwrap_err().to_string();
        assert!(message.contains("unknown size `site`"), "{message}");
        let attention = case(find("attention").unwrap(), &"heads=2".parse().unwrap()).unwrap_err().to_string();
        assert!(attention.contains("tiny, bert-base"), "{attention}");
        let most = u32::MAX;
        for (text, word) in [
            (format!("tiny,batch={most},sequence={most}"), "too many"),
            (format!("tiny,width={most},heads={most},inner={most}"), "too large"),
            (format!("tiny,vocabulary={most}"), "too large"),
            (format!("tiny,masked={most}"), "masked is at most"),
            ("tiny,heads=3".into(), "multiple of heads"),
            ("tiny,heads=1,width=256".into(), "multiple of heads"),
            ("tiny,rows=7".into(), "unknown size `rows`"),
        ] {
            let message = text.parse::<BenchShape>().unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
