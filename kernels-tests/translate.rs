//! Every shader as SPIR-V, Metal and HLSL: the drivers that read them are not at hand everywhere.

use crate::module::every_shader;
use cloze::kernels::KERNELS;

#[test]
fn every_shader_becomes_spirv_msl_and_hlsl() {
    let mut translated = 0;
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
            }
        }
    }
    assert!(translated >= KERNELS.len());
}
