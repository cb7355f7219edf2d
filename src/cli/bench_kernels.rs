//! `cloze bench [KERNEL…]`

use super::choices::choice;
use super::output;
use crate::bench::emit::{LIST, emit};
use crate::bench::kernels::{KernelBench, KernelReport, find};
use crate::bench::shape::{BenchShape, case, usual_shapes};
use crate::device::{Device, DeviceChoice};
use crate::exec::Speed;
use crate::kernels::{Kernel, Precision, kernels_of};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Kernels to time [default: all]
    #[arg(value_name = "KERNEL")]
    pub kernels: Vec<String>,

    /// Sizes: those of a model (tiny, bert-base), with changes if you like (bert-base,batch=32,sequence=512), or a kernel's
    /// own, such as m=1024,n=1024,k=1024 for a matrix product
    #[arg(long, value_name = "SHAPE")]
    pub shape: Option<BenchShape>,

    /// Time only this variant; on the CPU there is only `twin`
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,

    /// How activations and the weights of matrix products are stored; f16 needs a GPU that has it
    #[arg(long, value_parser = choice::<Precision>(), default_value = "f32", value_name = "PRECISION")]
    pub precision: Precision,

    /// Device to compute on: auto, cpu, gpu, or a number or part of a name from `cloze devices`
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// Instead of timing, write the kernels into a folder, for offline compilers: WGSL, SPIR-V, MSL and HLSL of every variant
    /// that computes the shape [default: bert-base], in both precisions, and a file `list` of their entry points
    #[arg(long, value_name = "DIR", conflicts_with_all = ["variant", "precision", "device", "json"])]
    pub emit: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Everything that one call measured.
#[derive(Serialize)]
struct Report {
    /// The version of Cloze.
    version: &'static str,
    device: String,
    peak: Speed,
    kernels: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    report: KernelReport,
    /// The command that repeats this measurement.
    again: String,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    match &args.emit {
        Some(folder) => run_emit(&args, folder),
        None => run_bench(&args),
    }
}

fn run_emit(args: &Args, folder: &Path) -> anyhow::Result<()> {
    let shape = match &args.shape {
        Some(shape) => shape.clone(),
        None => "bert-base".parse().map_err(anyhow::Error::msg)?,
    };
    let kernels = chosen_kernels(args)?;
    check_shape(&kernels, &shape)?;
    let emitted = emit(folder, &kernels, &shape)?;
    let (entries, designed, list) = (emitted.entries, emitted.designed, folder.join(LIST));
    writeln!(
        output::stdout(),
        "{} lists {entries} entry points of shaders; {designed} of them run on some GPU before anything is measured",
        list.display()
    )?;
    Ok(())
}

fn run_bench(args: &Args) -> anyhow::Result<()> {
    let kernels = chosen_kernels(args)?;
    let whole = kernels.iter().find(|kernel| args.precision == Precision::F16 && !kernel.stores_reals());
    if let Some(kernel) = whole {
        anyhow::bail!("--precision f16: {} stores nothing in half precision; leave one of them out", kernel.name);
    }
    // A shape that does not fit is refused before the device is measured.
    if let Some(shape) = &args.shape {
        check_shape(&kernels, shape)?;
    }
    let bench = KernelBench::new(Device::open(&args.device)?, args.precision)?;
    let shapes = args.shape.clone().map_or_else(|| usual_shapes(bench.device()), |shape| vec![shape]);
    let mut chosen = Vec::new();
    for &kernel in &kernels {
        for shape in &shapes {
            chosen.extend(bench.variants(kernel, shape)?.into_iter().map(|variant| (kernel, shape, variant)));
        }
    }
    if let Some(wanted) = &args.variant {
        let known: Vec<&str> = chosen.iter().map(|(_, _, (_, name))| *name).collect();
        anyhow::ensure!(
            known.contains(&wanted.as_str()),
            "--variant: none of these kernels has it here; they have {}",
            unique(known).join(", ")
        );
        chosen.retain(|(_, _, (_, name))| name == wanted);
    }

    let mut out = output::stdout();
    if !args.json {
        let (copied, computed) = (bench.peak.bytes_per_second / 1e9, bench.peak.flops_per_second / 1e9);
        writeln!(out, "{}", bench.device().describe())?;
        writeln!(out, "peak: copies {copied:.1} GB/s, computes {computed:.1} GFLOP/s (f32 multiply-add)\n")?;
        writeln!(out, "{}  again", KernelReport::heads())?;
    }
    let mut reports = Vec::new();
    for (kernel, shape, variant) in chosen {
        let report = bench.measure(kernel, variant, shape)?;
        let again = again(&report, args);
        if !args.json {
            writeln!(out, "{report}  {again}")?;
        }
        reports.push(Measured { report, again });
    }
    if args.json {
        let (version, device, peak) = (env!("CARGO_PKG_VERSION"), bench.device().describe(), bench.peak);
        let report = Report { version, device, peak, kernels: reports };
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

/// The kernels that were named, or else all that have a form of their own in the precision.
fn chosen_kernels(args: &Args) -> crate::Result<Vec<&'static Kernel>> {
    match args.kernels.as_slice() {
        [] => Ok(kernels_of(args.precision).collect()),
        names => names.iter().map(|name| find(name)).collect(),
    }
}

/// # Errors
/// A kernel has no launch of this shape.
fn check_shape(kernels: &[&Kernel], shape: &BenchShape) -> anyhow::Result<()> {
    let check =
        |kernel: &&Kernel| case(kernel, shape).map(drop).map_err(|problem| anyhow::anyhow!("--shape: {problem}"));
    kernels.iter().try_for_each(check)
}

fn again(report: &KernelReport, args: &Args) -> String {
    let KernelReport { kernel, variant, shape, .. } = report;
    let half = if args.precision == Precision::F16 { " --precision f16" } else { "" };
    format!("cloze bench {kernel} --variant {variant} --shape {shape}{half} --device {}", args.device)
}

fn unique(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}
