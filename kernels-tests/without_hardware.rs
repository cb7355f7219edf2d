//! Compiles what GPUs run by design with AMD's compiler, which needs no AMD GPU: nothing may spill.
//!
//! The driver is part of Mesa's packages, like llvmpipe. Each GPU needs a process of its own, which is this program started
//! again.

use crate::adapter::{are_skipped, skip};
use crate::amd_compiler::{AmdCompiler, Figures};
use cloze::bench::emit::{Shader, shaders};
use cloze::kernels::translate::Parsed;
use cloze::kernels::{KERNELS, Precision};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Microbatches of short and of long sequences, and a small one, for which products have other variants.
const SHAPES: [&str; 3] =
    ["bert-base,batch=32,sequence=128", "bert-base,batch=8,sequence=512", "bert-base,batch=1,sequence=64"];

/// Generations of AMD's GPUs, with Mesa's names for one GPU of each; older versions know fewer names.
const GPUS: [(&str, &[&str]); 3] =
    [("RDNA 2", &["navi21"]), ("RDNA 3", &["navi31", "gfx1100"]), ("RDNA 4", &["gfx1201"])];

/// The driver's statistics that are needed of a shader. The first three must be 0.
const FIGURES: [&str; 9] = [
    "Spilled VGPRs",
    "Spilled SGPRs",
    "Scratch size",
    "VGPRs",
    "LDS size",
    "Subgroups per SIMD",
    "Instructions",
    "Latency",
    "Inverse Throughput",
];
const FORBIDDEN: usize = 3;

/// A shader that holds more numbers than there are registers. It shows that spills are detected.
const SPILLING: &str = "
    @group(0) @binding(0) var<uniform> count: u32;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;

    @compute @workgroup_size(64)
    fn main(@builtin(local_invocation_index) lane: u32) {
        var kept: array<f32, 1024>;
        for (var i = 0u; i < count; i += 1u) { kept[(i * lane) % 1024u] += y[i]; }
        for (var i = 0u; i < count; i += 1u) { y[i] = kept[(i + lane) % 1024u]; }
    }";

/// Set in the process that compiles: the file for its results.
const ANSWERS: &str = "CLOZE_TEST_AMD_ANSWERS";

#[test]
fn nothing_that_runs_by_design_spills_on_amd() {
    if let Some(answers) = std::env::var_os(ANSWERS) {
        return compile_all(Path::new(&answers));
    }
    let Some(driver) = find_driver() else { return };
    let reports: Vec<_> = GPUS.par_iter().map(|(generation, names)| (generation, Report::of(&driver, names))).collect();
    for (generation, _) in reports.iter().filter(|(_, report)| report.is_none()) {
        skip("shaders for AMD", format!("{} does not know {generation}", driver.display()));
    }
    let reports: Vec<Report> = reports.into_iter().filter_map(|(_, report)| report).collect();
    assert!(!reports.is_empty(), "{} knows none of {GPUS:?}", driver.display());
    for report in &reports {
        println!("{}", report.table());
        let seen = matches!(&report.spilling, Answer::Compiled(figures) if figures["Scratch size"] > 0);
        assert!(seen, "{}: of an array that must spill it is said: {}", report.gpu, report.spilling);
        let compiled = report.answers.iter().any(|(_, answer)| matches!(answer, Answer::Compiled(_)));
        assert!(compiled, "{}: no shader was compiled", report.gpu);
    }
    let problems: Vec<String> = reports.iter().flat_map(Report::problems).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// RADV's manifest for Vulkan's loader. If there is none the test fails, unless CLOZE_SKIP_GPU=1 is set.
fn find_driver() -> Option<PathBuf> {
    let chosen = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().filter_map(std::env::var_os);
    let chosen: Vec<PathBuf> = chosen.flat_map(|files| std::env::split_paths(&files).collect::<Vec<_>>()).collect();
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let listed = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let listed = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let is_radv = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("radeon"));
    let found = chosen.into_iter().chain(listed).find(is_radv);
    if found.is_none() {
        assert!(
            are_skipped("shaders for AMD"),
            "this test needs AMD's Vulkan driver of Mesa, though no GPU of AMD's, and there is no radeon_icd*.json in {folders:?}. On \
             Debian or Ubuntu it comes with `apt-get install mesa-vulkan-drivers libvulkan1`; CLOZE_SKIP_GPU=1 skips the tests that \
             need a driver"
        );
    }
    found
}

/// The result of compiling a shader.
#[derive(Serialize, Deserialize)]
enum Answer {
    Compiled(Figures),
    Failed(String),
    /// It needs matrices that the GPU, or this version of the driver, does not have.
    LeftOut,
}

/// Runs in the process of one GPU and compiles every shader that runs by design. It writes one line for the device, one for the
/// shader that must spill, and two for each entry point: its name before compiling, so that a crash of the driver can be
/// traced, and the result after it.
fn compile_all(answers: &Path) {
    let mut answers = File::create(answers).unwrap();
    let compiler = AmdCompiler::open().unwrap();
    writeln!(answers, "{}", compiler.name).unwrap();
    let spilling = Parsed::new(SPILLING, wgpu::Features::empty()).unwrap();
    writeln!(answers, "{}", Answer::of(&compiler, &spilling, "main", 2)).unwrap();
    for shader in designed() {
        let lacks_matrices = shader
            .variant
            .matrices
            .is_some_and(|matrices| matrices.of != Precision::F16 || !compiler.matrices.contains(&matrices.side));
        let parsed = shader.parse().unwrap();
        for pass in shader.variant.passes {
            writeln!(answers, "{shader}/{}", pass.entry).unwrap();
            let answer = match lacks_matrices {
                true => Answer::LeftOut,
                false => Answer::of(&compiler, &parsed, pass.entry, shader.bindings()),
            };
            writeln!(answers, "{answer}").unwrap();
        }
    }
}

/// Every distinct shader text that runs by design at one of the shapes.
fn designed() -> Vec<Shader> {
    let mut designed: Vec<Shader> = Vec::new();
    for kernel in KERNELS {
        for shape in SHAPES {
            for shader in shaders(kernel, &shape.parse().unwrap()).unwrap() {
                if shader.design && designed.iter().all(|known| known.wgsl != shader.wgsl) {
                    designed.push(shader);
                }
            }
        }
    }
    designed
}

impl Answer {
    fn of(compiler: &AmdCompiler, parsed: &Parsed, entry: &str, bindings: usize) -> Answer {
        let compiled = compiler.compile(&parsed.spirv(entry).unwrap(), entry, bindings);
        compiled.map_or_else(Answer::Failed, Answer::Compiled)
    }

    fn read(line: &str) -> Answer {
        serde_json::from_str(line).unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }
}

/// A line of JSON.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).expect("names and numbers"))
    }
}

/// The reason why a shader may not run by design, if there is one.
fn fault(answer: &Answer) -> Option<String> {
    match answer {
        Answer::LeftOut => None,
        Answer::Failed(error) => Some(error.clone()),
        Answer::Compiled(figures) => match FIGURES.iter().find(|figure| !figures.contains_key(**figure)) {
            Some(missing) => Some(format!("nothing is said of {missing}")),
            None => {
                let spilled = FIGURES[..FORBIDDEN].iter().find(|figure| figures[**figure] > 0);
                spilled.map(|figure| format!("{figure}: {}", figures[*figure]))
            }
        },
    }
}

/// The driver's results for all shaders on one GPU.
struct Report {
    gpu: String,
    spilling: Answer,
    answers: Vec<(String, Answer)>,
}

impl Report {
    /// Compiles for the first of these names that the driver knows.
    fn of(driver: &Path, names: &[&str]) -> Option<Report> {
        names.iter().find_map(|name| Report::of_name(driver, name))
    }

    fn of_name(driver: &Path, name: &str) -> Option<Report> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["without_hardware::nothing_that_runs_by_design_spills_on_amd", "--exact", "--nocapture"])
            .env(ANSWERS, &path)
            .env("RADV_FORCE_FAMILY", name)
            .envs([("VK_DRIVER_FILES", driver), ("VK_ICD_FILENAMES", driver)])
            .envs([("MESA_SHADER_CACHE_DISABLE", "1"), ("VK_LOADER_LAYERS_DISABLE", "~implicit~")])
            .output()
            .unwrap();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines();
        let gpu = lines.next()?.to_string();
        let spilling = lines.next().map_or_else(|| Answer::Failed(ending(&output)), Answer::read);
        let lines: Vec<&str> = lines.collect();
        let mut answers: Vec<_> =
            lines.chunks_exact(2).map(|pair| (pair[0].to_string(), Answer::read(pair[1]))).collect();
        if !output.status.success() {
            let last = lines.chunks_exact(2).remainder().first().unwrap_or(&"the end");
            answers.push((last.to_string(), Answer::Failed(ending(&output))));
        }
        Some(Report { gpu, spilling, answers })
    }

    fn table(&self) -> String {
        let mut table = format!("{:<53}", self.gpu);
        FIGURES.iter().for_each(|figure| write!(table, "  {figure}").unwrap());
        let mut left_out = 0;
        for (name, answer) in &self.answers {
            match answer {
                Answer::Compiled(figures) => {
                    write!(table, "\n{name:<53}").unwrap();
                    for figure in FIGURES {
                        let value = figures.get(figure).map_or("-".into(), u64::to_string);
                        write!(table, "  {value:>0$}", figure.len()).unwrap();
                    }
                }
                Answer::Failed(error) => write!(table, "\n{name:<53}  {error}").unwrap(),
                Answer::LeftOut => left_out += 1,
            }
        }
        if left_out > 0 {
            write!(table, "\n{left_out} entry points left out: {} lacks their cooperative matrices", self.gpu).unwrap();
        }
        table
    }

    fn problems(&self) -> Vec<String> {
        let faults = self.answers.iter().filter_map(|(name, answer)| Some((name, fault(answer)?)));
        faults.map(|(name, fault)| format!("{}: {name}: {fault}", self.gpu)).collect()
    }
}

/// How a process ended, with the end of its output.
fn ending(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().rev().take(10).collect();
    format!("{}\n{}", output.status, lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}
