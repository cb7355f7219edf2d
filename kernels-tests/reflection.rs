//! What each shader declares is what its kernel's Rust declaration says: parameters, bindings, entry points, limits.

use crate::sources::{Source, all};
use cloze::kernels::gradient_norm::OptimizerState;
use cloze::kernels::kernel::MAX_ARGS;
use cloze::kernels::step::StepState;
use cloze::kernels::{Arg, Elem, KERNELS, Params};
use naga::{AddressSpace, GlobalVariable, Scalar, StorageAccess, StructMember, TypeInner};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn bindings_match_the_declarations() {
    for source in all() {
        let mut bound: Vec<&GlobalVariable> =
            source.module.global_variables.iter().map(|(_, global)| global).filter(|g| g.binding.is_some()).collect();
        bound.sort_by_key(|global| global.binding.map(|binding| (binding.group, binding.binding)));
        let places = bound.iter().map(|global| global.binding.map(|binding| (binding.group, binding.binding)));
        let declared = (0..=source.kernel.args.len() as u32).map(|binding| Some((0, binding)));
        assert!(places.eq(declared), "{source}: binds 0 to {}, in group 0", source.kernel.args.len());
        parameters_match(&source, bound[0]);
        for (global, arg) in bound[1..].iter().zip(source.kernel.args) {
            argument_matches(&source, global, arg);
        }
    }
}

fn parameters_match(source: &Source, global: &GlobalVariable) {
    assert_eq!(global.space, AddressSpace::Uniform, "{source}: parameters");
    let TypeInner::Struct { members, .. } = &source.module.types[global.ty].inner else {
        panic!("{source}: binding 0 is no struct");
    };
    assert_eq!(layout(source, members), fields(source.kernel.fields), "{source}: parameters");
}

fn argument_matches(source: &Source, global: &GlobalVariable, arg: &Arg) {
    assert_eq!(global.name.as_deref(), Some(arg.name), "{source}");
    let reads = StorageAccess::LOAD;
    let access = if arg.access.reads_only() { reads } else { reads | StorageAccess::STORE };
    assert_eq!(global.space, AddressSpace::Storage { access }, "{source}: `{}`", arg.name);
    let ty = &source.module.types[global.ty];
    match &ty.inner {
        TypeInner::Array { base, .. } => {
            let elem = source.module.types[*base].inner.scalar();
            assert_eq!(elem, Some(scalar(arg.elem)), "{source}: elements of `{}`", arg.name);
        }
        TypeInner::Struct { members, .. } => {
            let declared = match ty.name.as_deref() {
                Some("StepState") => StepState::FIELDS,
                Some("OptimizerState") => OptimizerState::FIELDS,
                other => panic!("{source}: no Rust struct is known for {other:?} of `{}`", arg.name),
            };
            assert_eq!(layout(source, members), fields(declared), "{source}: `{}`", arg.name);
        }
        other => panic!("{source}: `{}` is neither an array nor a struct but {other:?}", arg.name),
    }
}

/// Name, type and offset of each field.
type Layout<'a> = Vec<(&'a str, Option<Scalar>, u32)>;

/// A vector is no field: only scalars have a Rust counterpart.
fn layout<'a>(source: &'a Source, members: &'a [StructMember]) -> Layout<'a> {
    let field = |member: &'a StructMember| {
        let scalar = match source.module.types[member.ty].inner {
            TypeInner::Scalar(scalar) => Some(scalar),
            _ => None,
        };
        (member.name.as_deref().unwrap_or_default(), scalar, member.offset)
    };
    members.iter().map(field).collect()
}

fn fields(fields: &'static [cloze::kernels::kernel::Field]) -> Layout<'static> {
    fields.iter().map(|field| (field.name, Some(scalar(field.elem)), field.offset)).collect()
}

fn scalar(elem: Elem) -> Scalar {
    match elem {
        Elem::f32 => Scalar::F32,
        Elem::u32 => Scalar::U32,
    }
}

/// The limits that every WebGPU adapter has.
#[test]
fn entry_points_exist_and_fit() {
    for source in all() {
        for pass in source.variant.passes {
            let entry = source.module.entry_points.iter().find(|entry| entry.name == pass.entry);
            let entry = entry.unwrap_or_else(|| panic!("{source}: there is no entry point `{}`", pass.entry));
            let [x, y, z] = entry.workgroup_size;
            assert!(x * y * z <= 256 && z <= 64, "{source} {}: a workgroup of {x}×{y}×{z}", pass.entry);
        }
        let unused = source
            .module
            .entry_points
            .iter()
            .find(|entry| source.variant.passes.iter().all(|pass| pass.entry != entry.name));
        assert!(unused.is_none(), "{source}: no pass runs `{}`", unused.map_or("", |entry| &entry.name));
        let workgroup = source.module.global_variables.iter().filter(|(_, g)| g.space == AddressSpace::WorkGroup);
        let bytes: u32 = workgroup.map(|(_, g)| source.module.types[g.ty].inner.size(source.module.to_ctx())).sum();
        assert!(bytes <= 16 * 1024, "{source}: {bytes} bytes of workgroup memory");
        assert!(source.kernel.args.len() <= MAX_ARGS, "{source}: {} arguments", source.kernel.args.len());
    }
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
    assert_eq!(names.len(), KERNELS.len());
    for kernel in KERNELS {
        let variants: BTreeSet<&str> = kernel.variants.iter().map(|variant| variant.name).collect();
        assert_eq!(variants.len(), kernel.variants.len(), "{}", kernel.name);
        let args: BTreeSet<&str> = kernel.args.iter().map(|arg| arg.name).collect();
        assert_eq!(args.len(), kernel.args.len(), "{}", kernel.name);
    }
}

#[test]
fn every_shader_is_used() {
    let used: BTreeSet<&str> = KERNELS.iter().flat_map(|k| k.variants).flat_map(|v| v.source).copied().collect();
    let files = shaders(&Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders"));
    assert!(files.len() >= KERNELS.len(), "shaders/ holds {} files", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(used.contains(text.as_str()), "no kernel uses {}", file.display());
    }
}

fn shaders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { shaders(&path) } else { vec![path] }).collect()
}
