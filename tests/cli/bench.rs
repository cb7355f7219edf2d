//! `cloze bench`: what it prints, and that it leaves nothing behind. Speed itself is not tested.

use crate::adapter;
use crate::workshop::{Workshop, names, outcome};
use cloze::bench::emit::shaders;
use cloze::bench::kernels::find;
use cloze::device::{Device, DeviceChoice};
use cloze::exec::gpu::{Gpu, adapters};
use cloze::kernels::{KERNELS, Precision};
use serde_json::Value;
use std::fs;

fn positive(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value[key].as_f64().is_some_and(|number| number > 0.0), "`{key}` of {value}");
    }
}

#[test]
fn training_steps_need_no_text() {
    let shop = Workshop::new();
    std::fs::remove_file(shop.path("text.txt")).unwrap();
    let line = "bench train run.toml --device cpu --steps 3 --set train.micro_batch=2";
    let report = shop.done(&format!("{line} --json"), &[]).json();
    positive(
        &report,
        &["tokens_per_second", "step_ms", "gflops", "mfu", "peak_gflops", "flops", "planned_bytes", "loss"],
    );
    if cfg!(target_os = "linux") {
        assert!(report["peak_bytes"].as_u64() > report["planned_bytes"].as_u64(), "{report}");
    }
    assert_eq!((&report["config"], &report["steps"]), (&"run".into(), &3.into()));
    let shapes = &report["shapes"];
    for (key, value) in [("layers", 1), ("hidden_size", 32), ("heads", 2), ("vocab_size", 400), ("sequence_length", 32)]
    {
        assert_eq!(shapes[key], value, "{key}");
    }
    // A quarter of 32 tokens, in two sequences.
    assert_eq!((&shapes["batch_size"], &shapes["micro_batch"], &shapes["masked"]), (&8.into(), &2.into(), &16.into()));
    let tokens = 8.0 * 32.0 / (report["step_ms"].as_f64().unwrap() / 1e3);
    assert!((report["tokens_per_second"].as_f64().unwrap() / tokens - 1.0).abs() < 1e-9, "{report}");

    let table = shop.done(line, &[]).stdout;
    for line in ["device      cpu (", "model       run: 1 × 32", "tokens  ", "GFLOP/s", "memory  "] {
        assert!(table.contains(line), "no `{line}` in:\n{table}");
    }
    assert_eq!(names(shop.path(".")), ["run.toml"]);
}

#[test]
fn as_much_is_computed_in_microbatches_as_at_once() {
    let shop = Workshop::new();
    let report =
        |sets: &str| shop.done(&format!("bench train run.toml --device cpu --steps 1 --json {sets}"), &[]).json();
    let (whole, parts) = (report(""), report("--set train.micro_batch=2"));
    let (whole, parts) = (whole["flops"].as_f64().unwrap(), parts["flops"].as_f64().unwrap());
    assert!((whole / parts - 1.0).abs() < 0.05, "{whole} and {parts}");
}

#[test]
fn a_gpu_reports_the_same_keys() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let report =
        |device: &str| shop.done(&format!("bench train run.toml --device {device} --steps 1 --json"), &[]).json();
    let (cpu, gpu) = (report("cpu"), report("gpu"));
    let keys = |report: &Value| report.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&cpu), keys(&gpu));
    assert_eq!((&cpu["flops"], &cpu["shapes"]), (&gpu["flops"], &gpu["shapes"]));
    positive(&gpu, &["tokens_per_second", "step_ms", "gflops", "mfu", "peak_bytes"]);
    let [cpu, gpu] = [cpu, gpu].map(|report| report["loss"].as_f64().unwrap());
    assert!((cpu - gpu).abs() < 1e-4 * cpu, "{cpu} on the CPU, {gpu} on the GPU");
}

#[test]
fn every_kernel_has_a_line_and_the_command_for_it() {
    let shop = Workshop::new();
    let report = shop.done("bench --device cpu --shape tiny --json", &[]).json();
    positive(&report["peak"], &["bytes_per_second", "flops_per_second"]);
    let kernels = report["kernels"].as_array().unwrap();
    let found: Vec<&str> = kernels.iter().map(|kernel| kernel["kernel"].as_str().unwrap()).collect();
    assert_eq!(found, KERNELS.iter().map(|kernel| kernel.name).collect::<Vec<_>>());
    for kernel in kernels {
        positive(kernel, &["gbytes_per_second", "of_copy"]);
        positive(&kernel["timing_ms"], &["median", "min", "max"]);
        assert_eq!((&kernel["variant"], &kernel["shape"]), (&"twin".into(), &"tiny".into()));
        assert_eq!(kernel["precision"], "f32");
    }
    let again = kernels[0]["again"].as_str().unwrap().strip_prefix("cloze ").unwrap();
    let table = shop.done(again, &[]).stdout;
    assert!(table.contains("embedding twin tiny") && table.contains(again), "{table}");
}

#[test]
fn a_product_of_ones_own_size() {
    let shop = Workshop::new();
    let line = "bench matmul_nt matmul_tn --device cpu --shape m=64,n=32,k=16 --json";
    let report = shop.done(line, &[]).json();
    let [first, second] = report["kernels"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&first["kernel"], &second["kernel"]), (&"matmul_nt".into(), &"matmul_tn".into()));
    let flops = first["gflops"].as_f64().unwrap() * 1e6 * first["timing_ms"]["median"].as_f64().unwrap();
    assert!((flops / (2.0 * 64.0 * 32.0 * 16.0) - 1.0).abs() < 1e-6, "{flops}");
}

#[test]
fn every_variant_of_a_gpu_is_timed() {
    if !adapter::present() {
        return;
    }
    let shop = Workshop::new();
    let line = "bench matmul_nn --device gpu --shape m=64,n=64,k=64 --json";
    let variants = |report: &Value| {
        let kernels = report["kernels"].as_array().unwrap();
        kernels.iter().map(|kernel| kernel["variant"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let kernel = KERNELS.iter().find(|kernel| kernel.name == "matmul_nn").unwrap();
    let Ok(Device::Gpu(gpu)) = Device::open_unvetted(&DeviceChoice::Gpu) else { panic!("an adapter is present") };
    let computing = kernel.variants.iter().filter(|v| v.computes_in(Precision::F32) && gpu.offers(v));
    let known: Vec<&str> = computing.map(|variant| variant.name).collect();
    assert_eq!(variants(&shop.done(line, &[]).json()), known);
    assert_eq!(variants(&shop.done(&format!("{line} --variant {}", known[0]), &[]).json()), known[..1]);

    // If a variant that does not fit were listed, the reference would run in its place and be timed under its name.
    let odd = shop.done("bench matmul_nn --device gpu --shape m=63,n=65,k=17 --json", &[]).json();
    assert_eq!(variants(&odd), ["tiled"]);
}

/// The adapter that `--device gpu` takes, if its shaders have half precision. If they don't, checks the binary's message about
/// it.
fn half_gpu(shop: &Workshop) -> Option<Box<Gpu>> {
    if !adapter::present() {
        return None;
    }
    let Ok(Device::Gpu(gpu)) = Device::open_unvetted(&DeviceChoice::Gpu) else {
        panic!("{} adapters", adapters().unwrap().len())
    };
    if gpu.check_precision(Precision::F16).is_err() {
        let refused = shop.run("bench matmul_nt --precision f16 --device gpu", &[]);
        assert!(refused.code == 1 && refused.stderr.contains("--precision f32"), "{}", refused.stderr);
        adapter::skip(format!("{} has no half precision, and says so", gpu.describe()));
        return None;
    }
    Some(gpu)
}

#[test]
fn half_precision_has_variants_of_its_own() {
    let shop = Workshop::new();
    let Some(gpu) = half_gpu(&shop) else { return };
    let line = "bench matmul_nt --device gpu --shape m=64,n=64,k=64 --precision f16";
    let report = shop.done(&format!("{line} --json"), &[]).json();
    let kernels = report["kernels"].as_array().unwrap();
    let kernel = KERNELS.iter().find(|kernel| kernel.name == "matmul_nt").unwrap();
    let offered = kernel.variants.iter().filter(|variant| gpu.offers(variant));
    let offered: Vec<&str> = offered.map(|variant| variant.name).collect();
    assert_eq!(kernels.iter().map(|kernel| kernel["variant"].as_str().unwrap()).collect::<Vec<_>>(), offered);
    for kernel in kernels {
        assert_eq!(kernel["precision"], "f16");
        // The operands, the residual and the result are of 64 × 64 numbers of two bytes each; a bias is 64 of four.
        let bytes =
            kernel["gbytes_per_second"].as_f64().unwrap() * 1e6 * kernel["timing_ms"]["median"].as_f64().unwrap();
        assert!((bytes / (4.0 * 64.0 * 64.0 * 2.0 + 64.0 * 4.0) - 1.0).abs() < 1e-6, "{bytes} bytes: {kernel}");
    }
    let again = kernels[0]["again"].as_str().unwrap();
    assert!(again.contains("--precision f16"), "{again}");
    let table = shop.done(again.strip_prefix("cloze ").unwrap(), &[]).stdout;
    assert!(
        table.contains(&format!("matmul_nt {} m=64,n=64,k=64 f16", offered[0])) && table.contains(again),
        "{table}"
    );
}

#[test]
fn half_precision_is_of_kernels_that_store_it() {
    let shop = Workshop::new();
    if half_gpu(&shop).is_none() {
        return;
    }
    let shape = "tiny,batch=1,sequence=8,width=8,heads=1,inner=8,vocabulary=16";
    let report = shop.done(&format!("bench --device gpu --shape {shape} --precision f16 --json"), &[]).json();
    let mut found: Vec<&str> =
        report["kernels"].as_array().unwrap().iter().map(|kernel| kernel["kernel"].as_str().unwrap()).collect();
    found.dedup();
    let storing = KERNELS.iter().filter(|kernel| kernel.stores_reals());
    assert_eq!(found, storing.map(|kernel| kernel.name).collect::<Vec<_>>());
}

#[test]
fn sizes_of_a_model_may_be_changed() {
    let shop = Workshop::new();
    let shape = "bert-base,batch=1,sequence=32";
    let report = shop.done(&format!("bench attention gather_rows --device cpu --shape {shape} --json"), &[]).json();
    let [attention, gather] = report["kernels"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!(attention["shape"], shape);
    let done = |kernel: &Value, rate: &str| {
        kernel[rate].as_f64().unwrap() * 1e6 * kernel["timing_ms"]["median"].as_f64().unwrap()
    };
    let flops = done(attention, "gflops");
    assert!((flops / (4.0 * 768.0 * 32.0 * 32.0) - 1.0).abs() < 1e-6, "{flops}");
    // 5 of 32 rows are selected: they are read and written, and the others left alone.
    let bytes = done(gather, "gbytes_per_second");
    assert!((bytes / (5.0 * (2.0 * 768.0 + 1.0) * 4.0) - 1.0).abs() < 1e-6, "{bytes}");
}

/// Files are written for every variant and precision, whatever adapters there are, and other files in the folder stay.
#[test]
fn kernels_are_written_out_without_a_device() {
    let shop = Workshop::new();
    fs::create_dir(shop.path("shaders")).unwrap();
    shop.write("shaders/list", "of another version");
    shop.write("shaders/notes.txt", "mine");
    let line = "bench matmul_nt cross_entropy --emit shaders --shape bert-base,batch=1";
    let said = outcome(shop.command().args(line.split_whitespace()).env("VK_DRIVER_FILES", "none"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(shop.text("shaders/notes.txt"), "mine");

    let list = shop.text("shaders/list");
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split(' ').collect()).collect();
    let shape = "bert-base,batch=1".parse().unwrap();
    let expected = ["matmul_nt", "cross_entropy"].map(|name| shaders(find(name).unwrap(), &shape).unwrap());
    let entries = expected.iter().flatten().flat_map(|shader| shader.variant.passes.iter().map(|_| shader.to_string()));
    let names: Vec<String> = entries.collect();
    assert_eq!(lines.iter().map(|line| line[3]).collect::<Vec<_>>(), names);
    for name in ["matmul_nt-large-f32", "matmul_nt-cooperative_large-f16", "cross_entropy-subgroup-f16"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    for line in &lines {
        let [file, entry, bindings, name, design @ ..] = line.as_slice() else { panic!("{line:?}") };
        let kernel = find(name.split('-').next().unwrap()).unwrap();
        assert_eq!(bindings.parse(), Ok(1 + kernel.args.len()));
        assert!(design.is_empty() || design == ["design"], "{line:?}");
        assert_eq!(shop.read(&format!("shaders/{file}"))[..4], 0x0723_0203_u32.to_le_bytes(), "{file} is SPIR-V");
        assert!(shop.text(&format!("shaders/{name}.wgsl")).contains(&format!("fn {entry}(")));
        assert!(shop.text(&format!("shaders/{name}-{entry}.metal")).contains("kernel void"));
        let hlsl = shop.path(&format!("shaders/{name}-{entry}.hlsl"));
        assert_eq!(hlsl.exists(), !name.contains("cooperative"), "no driver of DX12 has matrices: {name}");
    }
    let designed = lines.iter().filter(|line| line.len() == 5).count();
    assert!(designed > 0 && designed < lines.len(), "{list}");
    assert!(said.stdout.contains(&format!("{} entry points", lines.len())), "{}", said.stdout);
}

#[test]
fn kernels_are_written_to_a_folder_alone() {
    let shop = Workshop::new();
    let file = shop.run("bench gelu --emit text.txt", &[]);
    assert!(file.code == 1 && file.stderr.contains("text.txt: "), "{}", file.stderr);
    assert!(file.stderr.contains("name a folder, not a file"), "{}", file.stderr);
    let size = shop.run("bench gelu --emit shaders --shape rows=3", &[]);
    assert!(size.code == 1 && size.stderr.contains("--shape: gelu: unknown size `rows`"), "{}", size.stderr);
    assert!(!shop.path("shaders").exists());
    let timed = shop.run("bench gelu --emit shaders --json", &[]);
    assert!(
        timed.code == 2 && timed.stderr.contains("'--emit <DIR>' cannot be used with '--json'"),
        "{}",
        timed.stderr
    );
}
