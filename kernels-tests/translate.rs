//! Every shader as SPIR-V, Metal and HLSL: the drivers that read them are not at hand everywhere.

use crate::module::every_shader;
use cloze::kernels::KERNELS;
use naga::back::{hlsl, msl, spv};

#[test]
fn every_shader_becomes_spirv_msl_and_hlsl() {
    let mut translated = 0;
    for shader in every_shader() {
        let (module, info) = shader.module();
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None)
            .unwrap_or_else(|error| panic!("{shader} as SPIR-V: {error}"));
        assert!(words.len() > 100, "{shader}: SPIR-V of {} words", words.len());

        let features = !shader.features().is_empty();
        let metal = msl::Options { lang_version: if features { (3, 1) } else { (1, 0) }, ..Default::default() };
        let (text, entries) = msl::write_string(&module, &info, &metal, &Default::default())
            .unwrap_or_else(|error| panic!("{shader} as MSL: {error}"));
        assert!(
            entries.entry_point_names.iter().all(Result::is_ok),
            "{shader} as MSL: {:?}",
            entries.entry_point_names
        );
        assert!(text.contains("kernel void"), "{shader}: no kernel in the MSL");

        translated += 1;
        if shader.variant.needs.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            continue; // No driver of DX12 has it.
        }
        let mut text = String::new();
        let model = if features { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V5_1 };
        let options = hlsl::Options { shader_model: model, ..Default::default() };
        let pipeline = hlsl::PipelineOptions::default();
        let entries = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{shader} as HLSL: {error}"));
        assert!(
            entries.entry_point_names.iter().all(Result::is_ok),
            "{shader} as HLSL: {:?}",
            entries.entry_point_names
        );
        assert!(text.contains("numthreads"), "{shader}: no entry point in the HLSL");
    }
    assert!(translated >= KERNELS.len());
}
