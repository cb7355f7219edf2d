//! What GPUs run by design, through AMD's compiler, which needs none of its GPUs: nothing may spill.
//!
//! The driver is part of Mesa's packages, as llvmpipe is. Each GPU takes a process of its own, which is this program again.

use crate::amd_compiler::{AmdCompiler, Figures};
use cloze::bench::emit::shaders;
use cloze::bench::shape::BenchShape;
use cloze::kernels::KERNELS;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The microbatch of a training on a GPU of 8 GB and more.
const SHAPE: &str = "bert-base,batch=32,sequence=128";

/// Generations of AMD's GPUs, and what versions of Mesa call one of each; the older know fewer of them.
const GPUS: [(&str, &[&str]); 3] =
    [("RDNA 2", &["navi21"]), ("RDNA 3", &["navi31", "gfx1100"]), ("RDNA 4", &["gfx1201"])];

/// What the driver must say of a shader. The first three must be 0.
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

/// Set in the process that compiles: the file that its answers go to.
const ANSWERS: &str = "CLOZE_TEST_AMD_ANSWERS";

#[test]
fn nothing_that_runs_by_design_spills_on_amd() {
    if let Some(answers) = std::env::var_os(ANSWERS) {
        return compile_all(Path::new(&answers));
    }
    let Some(driver) = find_driver() else { return };
    let reports: Vec<_> = GPUS.par_iter().filter_map(|(_, names)| Report::of(&driver, names)).collect();
    assert!(!reports.is_empty(), "{} knows none of {GPUS:?}", driver.display());
    reports.iter().for_each(|report| println!("{}", report.table()));
    let problems: Vec<String> = reports.iter().flat_map(Report::problems).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// RADV's description for Vulkan's loader. Where there is none the test fails, unless CLOZE_SKIP_GPU=1 is set.
fn find_driver() -> Option<PathBuf> {
    let chosen = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().filter_map(std::env::var_os);
    let chosen: Vec<PathBuf> = chosen.flat_map(|files| std::env::split_paths(&files).collect::<Vec<_>>()).collect();
    let folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let listed = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let listed = listed.filter_map(|entry| Some(entry.ok()?.path()));
    let is_radv = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("radeon"));
    let found = chosen.into_iter().chain(listed).find(is_radv);
    if found.is_none() {
        let skip = std::env::var("CLOZE_SKIP_GPU").is_ok_and(|value| value == "1");
        assert!(
            skip,
            "this test needs AMD's Vulkan driver of Mesa, though no GPU of AMD's, and there is no radeon_icd*.json in {folders:?}. On \
             Debian or Ubuntu it comes with `apt-get install mesa-vulkan-drivers libvulkan1`; CLOZE_SKIP_GPU=1 skips the tests that \
             need a driver"
        );
        eprintln!("shaders for AMD: skipped, because CLOZE_SKIP_GPU=1 is set");
    }
    found
}

/// What came of a shader.
#[derive(Serialize, Deserialize)]
enum Answer {
    Compiled(Figures),
    Failed(String),
    /// It takes matrices that the GPU, or this version of the driver, does not have.
    LeftOut,
}

/// In the process of one GPU: compiles every shader that runs by design. Its answers are a line for the device and two for
/// each entry point, its name before and what came of it after, so that a crash of the driver can be told.
fn compile_all(answers: &Path) {
    let mut answers = File::create(answers).unwrap();
    let compiler = AmdCompiler::open().unwrap();
    writeln!(answers, "{}", compiler.name).unwrap();
    let shape: BenchShape = SHAPE.parse().unwrap();
    for shader in KERNELS.iter().flat_map(|kernel| shaders(kernel, &shape).unwrap()).filter(|shader| shader.design) {
        let parsed = shader.parse().unwrap();
        for pass in shader.variant.passes {
            writeln!(answers, "{shader}/{}", pass.entry).unwrap();
            let compile = || compiler.compile(&parsed.spirv(pass.entry).unwrap(), pass.entry, shader.bindings());
            let answer = match shader.variant.matrices {
                Some(side) if !compiler.matrices.contains(&side) => Answer::LeftOut,
                _ => compile().map_or_else(Answer::Failed, Answer::Compiled),
            };
            writeln!(answers, "{}", serde_json::to_string(&answer).unwrap()).unwrap();
        }
    }
}

/// What the driver said of all shaders for one GPU.
struct Report {
    gpu: String,
    answers: Vec<(String, Answer)>,
}

impl Report {
    /// For the first of these names that the driver knows.
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
        let (gpu, answers) = text.split_once('\n')?;
        let lines: Vec<&str> = answers.lines().collect();
        let mut answers: Vec<_> = lines.chunks_exact(2).map(|pair| (pair[0].to_string(), read(pair[1]))).collect();
        if !output.status.success() {
            let last = lines.chunks_exact(2).remainder().first().unwrap_or(&"the end");
            answers.push((last.to_string(), Answer::Failed(ending(&output))));
        }
        Some(Report { gpu: gpu.into(), answers })
    }

    fn table(&self) -> String {
        let mut table = format!("{:<50}", self.gpu);
        FIGURES.iter().for_each(|figure| write!(table, "  {figure}").unwrap());
        let mut left_out = 0;
        for (name, answer) in &self.answers {
            match answer {
                Answer::Compiled(figures) => {
                    write!(table, "\n{name:<50}").unwrap();
                    for figure in FIGURES {
                        let value = figures.get(figure).map_or("-".into(), u64::to_string);
                        write!(table, "  {value:>0$}", figure.len()).unwrap();
                    }
                }
                Answer::Failed(error) => write!(table, "\n{name:<50}  {error}").unwrap(),
                Answer::LeftOut => left_out += 1,
            }
        }
        if left_out > 0 {
            write!(table, "\n{left_out} entry points left out: {} lacks their cooperative matrices", self.gpu).unwrap();
        }
        table
    }

    fn problems(&self) -> Vec<String> {
        let problem = |(name, answer): &(String, Answer)| match answer {
            Answer::LeftOut => None,
            Answer::Failed(error) => Some(format!("{}: {name}: {error}", self.gpu)),
            Answer::Compiled(figures) => {
                let missing = FIGURES.iter().find(|figure| !figures.contains_key(**figure));
                let missing = missing.map(|figure| format!("{}: {name}: nothing is said of {figure}", self.gpu));
                let spill = FIGURES[..FORBIDDEN].iter().find(|figure| figures.get(**figure).is_some_and(|&n| n > 0));
                missing.or(spill.map(|figure| format!("{}: {name}: {figure}: {}", self.gpu, figures[*figure])))
            }
        };
        self.answers.iter().filter_map(problem).collect()
    }
}

fn read(answer: &str) -> Answer {
    serde_json::from_str(answer).unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

/// How a process ended, with the end of what it said.
fn ending(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().rev().take(10).collect();
    format!("{}\n{}", output.status, lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
}
