//! Shaders and declarations agree: names, order, access and types of bindings, and every field of every struct.

use crate::module::{Shader, every_shader};
use cloze::device::probes::PROBES;
use cloze::kernels::gradient_norm::OptimizerState;
use cloze::kernels::step::{StepState, UpdateState};
use cloze::kernels::translate::Parsed;
use cloze::kernels::{Class, Elem, KERNELS, Params, Precision, SIZES, kernel};
use naga::{AddressSpace, CooperativeRole, Handle, Module, ScalarKind, StorageAccess, Type, TypeInner};
use std::collections::BTreeSet;

#[test]
fn bindings_are_what_the_declarations_say() {
    for shader in every_shader() {
        let module = shader.parse().module;
        let kernel = shader.kernel;
        let mut seen = BTreeSet::new();
        for (_, variable) in module.global_variables.iter() {
            let Some(binding) = variable.binding else { continue };
            let name = variable.name.as_deref().unwrap_or_default();
            assert_eq!(binding.group, 0, "{shader}: group of `{name}`");
            assert!(seen.insert(binding.binding), "{shader}: binding {} twice", binding.binding);
            match binding.binding.checked_sub(1) {
                None => {
                    assert_eq!(variable.space, AddressSpace::Uniform, "{shader}: binding 0");
                    assert_eq!(name, "params", "{shader}: binding 0");
                    check_struct(&shader, &module, variable.ty, kernel.fields);
                }
                Some(place) => {
                    let arg = kernel.args.get(place as usize);
                    let arg = arg.unwrap_or_else(|| panic!("{shader}: `{name}` is not declared"));
                    assert_eq!(name, arg.name, "{shader}: binding {}", binding.binding);
                    let access = match variable.space {
                        AddressSpace::Storage { access } => access,
                        space => panic!("{shader}: `{name}` lies in {space:?}"),
                    };
                    let writes = access.contains(StorageAccess::STORE);
                    assert_eq!(writes, !arg.access.reads_only(), "{shader}: access of `{name}`");
                    check_element(&shader, &module, variable.ty, arg.elem);
                }
            }
        }
        let bound = shader.variant.passes.iter().flat_map(|pass| kernel.bound(pass)).map(|(place, _)| place as u32 + 1);
        assert_eq!(seen, bound.chain([0]).collect(), "{shader}: bindings");
    }
}

#[test]
fn cooperative_matrices_are_of_the_declared_size() {
    for shader in every_shader() {
        let module = shader.parse().module;
        let declared = shader.variant.matrices;
        let mut found = BTreeSet::new();
        for (_, ty) in module.types.iter() {
            if let TypeInner::CooperativeMatrix { columns, rows, scalar, role } = ty.inner {
                let of = if role == CooperativeRole::C { Precision::F32 } else { declared.expect("declared").of };
                assert_eq!(usize::from(scalar.width), of.bytes(), "{shader}: elements of {role:?}");
                found.extend([columns as u32, rows as u32]);
            }
        }
        assert_eq!(found, BTreeSet::from_iter(declared.map(|matrices| matrices.side)), "{shader}");
    }
}

/// An array of the element (u32 also in pairs), or one of the structs that arguments hold.
fn check_element(shader: &Shader, module: &Module, ty: Handle<Type>, elem: Elem) {
    match &module.types[ty].inner {
        TypeInner::Array { base, .. } => {
            let scalar = module.types[*base].inner.scalar().unwrap_or_else(|| panic!("{shader}: array of no numbers"));
            let width = elem.bytes(shader.precision) as u8;
            assert_eq!((scalar.kind, scalar.width), (kind(elem), width), "{shader}: element type");
        }
        TypeInner::Struct { .. } => match module.types[ty].name.as_deref() {
            Some("StepState") => check_struct(shader, module, ty, StepState::FIELDS),
            Some("UpdateState") => check_struct(shader, module, ty, UpdateState::FIELDS),
            Some("OptimizerState") => check_struct(shader, module, ty, OptimizerState::FIELDS),
            other => panic!("{shader}: struct {other:?} as an argument"),
        },
        other => panic!("{shader}: an argument of type {other:?}"),
    }
}

fn check_struct(shader: &Shader, module: &Module, ty: Handle<Type>, fields: &[kernel::Field]) {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { panic!("{shader}: params is no struct") };
    let found: Vec<_> = members
        .iter()
        .map(|member| {
            let scalar = module.types[member.ty].inner.scalar().map(|scalar| (scalar.kind, scalar.width));
            (member.name.clone().unwrap_or_default(), scalar, member.offset)
        })
        .collect();
    let declared: Vec<_> =
        fields.iter().map(|field| (field.name.to_string(), Some((kind(field.elem), 4)), field.offset)).collect();
    assert_eq!(found, declared, "{shader}: fields of {:?}", module.types[ty].name);
}

fn kind(elem: Elem) -> ScalarKind {
    match elem {
        Elem::f32 | Elem::real => ScalarKind::Float,
        Elem::u32 => ScalarKind::Uint,
    }
}

/// WebGPU's default limits, which every adapter has, except for the workgroup memory of variants that declare more.
#[test]
fn entry_points_are_there_and_within_limits() {
    for shader in every_shader() {
        let Parsed { module, info, .. } = shader.parse();
        for pass in shader.variant.passes {
            let entry = module.entry_points.iter().position(|entry| entry.name == pass.entry);
            let entry = entry.unwrap_or_else(|| panic!("{shader}: no entry point `{}`", pass.entry));
            let [x, y, z] = module.entry_points[entry].workgroup_size;
            assert!(x * y * z <= 256 && z <= 64, "{shader}: a workgroup of {x}×{y}×{z}");
            let whole = shader.variant.lanes.is_none_or(|lanes| (x * y * z).is_multiple_of(lanes));
            assert!(whole, "{shader}: a workgroup of {x}×{y}×{z} is not made up of its widest subgroups");
            let used = info.get_entry_point(entry);
            let bytes: u32 = module
                .global_variables
                .iter()
                .filter(|(handle, variable)| variable.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
                .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
                .sum();
            let uses = |arg: &str| {
                let mut of_arg = module
                    .global_variables
                    .iter()
                    .filter(|(_, v)| v.binding.is_some() && v.name.as_deref() == Some(arg));
                of_arg.any(|(handle, _)| !used[handle].is_empty())
            };
            let bound: Vec<&str> = shader.kernel.bound(pass).map(|(_, arg)| arg.name).collect();
            assert!(bound.len() <= kernel::MAX_BINDINGS, "{shader}: {} is bound to {bound:?}", pass.entry);
            let unbound = shader.kernel.args.iter().find(|arg| uses(arg.name) && !bound.contains(&arg.name));
            assert!(unbound.is_none(), "{shader}: {} is not bound to {:?}", pass.entry, unbound.map(|arg| arg.name));
            let declared = shader.variant.workgroup_memory;
            assert!(bytes <= declared && declared <= 32 * 1024, "{shader}: {bytes} bytes of workgroup memory");
        }
        assert_eq!(module.entry_points.len(), shader.variant.passes.len(), "{shader}: an entry point without a pass");
        assert!(shader.kernel.args.len() <= kernel::MAX_ARGS, "{shader}: too many arguments");
    }
}

/// The reference needs no features, so that it can stand in for every other variant.
#[test]
fn references_need_nothing_and_fit_everything() {
    for kernel in KERNELS.iter().chain(PROBES) {
        let reference = kernel.reference();
        assert!(reference.needs.is_empty() && reference.workgroup_memory <= 16 * 1024, "{}", kernel.name);
        for case in (kernel.cases)() {
            assert!((reference.fits)(&case.params), "{}: {:?}", kernel.name, case.params);
        }
        for variant in kernel.variants {
            let fits = (kernel.cases)().iter().any(|case| (variant.fits)(&case.params));
            assert!(fits, "{} {}: fits no case, so that nothing checks it", kernel.name, variant.name);
        }
    }
}

/// What runs before anything was measured has a name that exists, and on a GPU it is not the reference if there is something
/// better. This holds for every kernel with variants, at the sizes of BERT base.
#[test]
fn designs_name_variants() {
    for kernel in KERNELS.iter().filter(|kernel| kernel.variants.len() > 1) {
        let case = (kernel.bench)(&SIZES[SIZES.len() - 1]);
        for class in [Class::Discrete, Class::Integrated, Class::Software] {
            let names = (kernel.design)(&case.params, class);
            assert_eq!(kernel.designed(&case.params, class).count(), names.len(), "{}: {names:?}", kernel.name);
            let fitting = kernel.designed(&case.params, class).find(|v| v.needs.is_empty() && (v.fits)(&case.params));
            let plain = kernel.variants.iter().filter(|variant| variant.needs.is_empty()).count();
            assert!(class == Class::Software || plain == 1 || fitting.is_some(), "{}: {class:?}", kernel.name);
        }
    }
}

#[test]
fn names_are_unique_and_every_shader_file_is_used() {
    let all = || KERNELS.iter().chain(PROBES);
    let names: BTreeSet<&str> = all().map(|kernel| kernel.name).collect();
    assert_eq!(names.len(), all().count());
    let sources = all().flat_map(|k| k.variants).flat_map(|v| v.source).chain(&kernel::MULTIPLY_HIGH);
    let sources: Vec<&str> = sources.copied().collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut files = 0;
    for folder in [root.clone(), root.join("shared"), root.join("probes")] {
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(sources.contains(&text.as_str()), "{} is used by no kernel", file.display());
            files += 1;
        }
    }
    assert!(files > KERNELS.len() / 2);
}
