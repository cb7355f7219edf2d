//! Translates every shader to SPIR-V, Metal and HLSL, since the drivers that read them are not at hand everywhere.

use crate::module::every_shader;
use cloze::exec::gpu::cut::{self, Part};
use cloze::kernels::KERNELS;

#[test]
fn every_shader_becomes_spirv_msl_and_hlsl() {
    let (mut translated, mut for_dx12) = (0, 0);
    for shader in every_shader() {
        let parsed = shader.parse();
        for pass in shader.variant.passes {
            let words = parsed.spirv(pass.entry).unwrap_or_else(|error| panic!("{shader} {error}"));
            assert!(words.len() > 100, "{shader}: SPIR-V of {} words", words.len());
            let text = parsed.metal(pass.entry).unwrap_or_else(|error| panic!("{shader} {error}"));
            assert!(text.contains("kernel void"), "{shader}: no kernel in the MSL");
            translated += 1;
            if parsed.suits_dx12() {
                let text = parsed.hlsl(pass.entry).unwrap_or_else(|error| panic!("{shader} {error}"));
                assert!(text.contains("numthreads"), "{shader}: no entry point in the HLSL");
                for_dx12 += 1;
            }
        }
    }
    assert!(translated >= KERNELS.len() && for_dx12 >= KERNELS.len(), "{translated} entry points, {for_dx12} for DX12");
}

/// A shader that is cut by its grid is still valid. If it has several workgroups, it reads its workgroup number where the
/// part's offset is added.
#[test]
fn every_shader_can_be_cut() {
    let part = Part { first: [0, 3, 0], grid: [2, 4, 1] };
    let mut asked = 0;
    for mut shader in every_shader() {
        assert!(!shader.wgsl.contains("global_invocation_id"), "{shader}");
        for pass in shader.variant.passes {
            let (_, head) = shader.wgsl.split_once(&format!("fn {}(", pass.entry)).unwrap();
            let asks = head.split(") {").next().unwrap().contains("@builtin(workgroup_id)");
            let cases = (shader.kernel.cases)();
            let alone = cases.iter().all(|case| (pass.grid)(&case.params) == [1; 3]);
            assert!(asks || alone, "{shader}: {} does not know which workgroup it is", pass.entry);
        }
        let asking = shader.wgsl.matches("@builtin(workgroup_id)").count();
        shader.wgsl = cut::text(&shader.wgsl, [2, 7, 1], part);
        let shifted = shader.wgsl.matches("let group = group_of_part + vec3<u32>(0u, 3u, 0u);").count();
        assert_eq!(shifted, asking, "{shader}");
        shader.parse();
        asked += asking;
    }
    assert!(asked >= KERNELS.len(), "{asked} entry points of several workgroups");
}
