//! Every shader as SPIR-V, MSL and HLSL, since CI has neither a Mac nor Windows.

use crate::sources::{Source, all};
use naga::back::{hlsl, msl, spv};

#[test]
fn every_source_translates() {
    for source in all() {
        for (language, translate) in [("SPIR-V", spirv as fn(&Source) -> _), ("MSL", metal), ("HLSL", direct3d)] {
            let entries: Result<usize, String> = translate(&source);
            let entries = entries.unwrap_or_else(|error| panic!("{source} as {language}: {error}\n{}", source.wgsl));
            assert_eq!(entries, source.module.entry_points.len(), "{source} as {language}: entry points");
        }
    }
}

/// Words of an entry point's instruction start with its opcode, 15.
fn spirv(source: &Source) -> Result<usize, String> {
    let words = spv::write_vec(&source.module, &source.info, &spv::Options::default(), None);
    let words = words.map_err(|error| error.to_string())?;
    let (mut at, mut entries) = (5, 0);
    while let Some(word) = words.get(at) {
        entries += usize::from(word & 0xffff == 15);
        at += (word >> 16) as usize;
    }
    Ok(entries)
}

/// In the oldest version of Metal that wgpu supports.
fn metal(source: &Source) -> Result<usize, String> {
    let (_, info) = msl::write_string(
        &source.module,
        &source.info,
        &msl::Options { lang_version: (2, 0), ..Default::default() },
        &msl::PipelineOptions::default(),
    )
    .map_err(|error| error.to_string())?;
    named(info.entry_point_names)
}

fn direct3d(source: &Source) -> Result<usize, String> {
    let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
    let info = hlsl::Writer::new(&mut text, &options, &pipeline).write(&source.module, &source.info, None);
    named(info.map_err(|error| error.to_string())?.entry_point_names)
}

fn named<E: std::fmt::Display>(entries: Vec<Result<String, E>>) -> Result<usize, String> {
    let names: Result<Vec<_>, _> = entries.into_iter().collect();
    names.map(|names| names.len()).map_err(|error| error.to_string())
}
