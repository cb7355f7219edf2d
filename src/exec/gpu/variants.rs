//! Which variant of a kernel runs a launch: the one that the user asks for, else the one that was settled for its shape, else
//! the one by design.

use super::device::{Gpu, is_software};
use super::forced::Forced;
use crate::Result;
use crate::exec::Program;
use crate::kernels::kernel::Matrices;
use crate::kernels::{Class, Kernel, Precision, SIZES, Variant};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// What is known of the variants on a device. Clones share the settled ones.
#[derive(Clone)]
pub(super) struct Variants {
    /// Kernel, variant and precision of what must not be used here, since it gives wrong results.
    passed_over: Vec<(&'static str, &'static str, Precision)>,
    /// The variants that CLOZE_VARIANTS asks for.
    forced: Forced,
    /// The settled variants, by `Kernel::shape`.
    settled: Arc<Mutex<BTreeMap<String, (&'static Variant, Origin)>>>,
}

/// Where a shape's variant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It was measured to be the fastest, now or in an earlier process.
    Measured,
    /// The resumed run started with it.
    Recorded,
    /// It suits the class of adapter.
    Design,
}

impl Variants {
    /// # Errors
    /// CLOZE_VARIANTS names no variant of a kernel.
    pub fn new() -> Result<Variants> {
        Ok(Variants { passed_over: Vec::new(), forced: Forced::from_environment()?, settled: Arc::default() })
    }

    fn settled(&self) -> MutexGuard<'_, BTreeMap<String, (&'static Variant, Origin)>> {
        self.settled.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Gpu {
    /// The class of the adapter, by which variants are chosen before anything was measured.
    pub fn class(&self) -> Class {
        match self.info.device_type {
            _ if is_software(&self.info) => Class::Software,
            wgpu::DeviceType::IntegratedGpu => Class::Integrated,
            _ => Class::Discrete,
        }
    }

    /// From now on a variant of a kernel is not used for launches of this precision.
    pub fn pass_over(&mut self, kernel: &Kernel, variant: &Variant, precision: Precision) {
        self.variants.passed_over.push((kernel.name, variant.name, precision));
    }

    /// Whether the device can run a variant: it was opened with every feature the variant needs, multiplies such cooperative
    /// matrices, has no wider subgroups than allowed, and has enough workgroup memory.
    pub fn offers(&self, variant: &Variant) -> bool {
        self.device.features().contains(variant.needs)
            && variant.matrices.is_none_or(|matrices| self.has_matrices(matrices))
            && variant.lanes.is_none_or(|most| self.lanes() <= most)
            && variant.workgroup_memory <= self.limits().max_compute_workgroup_storage_size
    }

    /// Whether a variant may run launches of a precision here: it computes them, the device can run it, and it was not found to
    /// be wrong.
    pub fn trusts(&self, kernel: &Kernel, variant: &Variant, precision: Precision) -> bool {
        let wrong = self.variants.passed_over.contains(&(kernel.name, variant.name, precision));
        variant.computes_in(precision) && self.offers(variant) && !wrong
    }

    /// The variant that runs a launch. Variants that are asked for or settled count only if they are trusted and fit.
    pub fn variant_for(
        &self,
        kernel: &'static Kernel,
        params: &[u32],
        present: u32,
        precision: Precision,
    ) -> &'static Variant {
        let settled =
            || self.variants.settled().get(&kernel.shape(params, present, precision)).map(|(found, _)| *found);
        let wanted = self.variants.forced.of(kernel).or_else(settled);
        let wanted = wanted.filter(|variant| self.trusts(kernel, variant, precision) && (variant.fits)(params));
        wanted.unwrap_or_else(|| self.by_design(kernel, params, precision))
    }

    /// The variant for a launch when nothing was measured: see [`Kernel::design`].
    pub fn by_design(&self, kernel: &'static Kernel, params: &[u32], precision: Precision) -> &'static Variant {
        let runs = |variant: &&Variant| self.trusts(kernel, variant, precision) && (variant.fits)(params);
        kernel.designed(params, self.class()).find(runs).unwrap_or(kernel.reference())
    }

    /// The trusted variants that fit a launch, if it is still open which of them runs.
    pub fn candidates(&self, kernel: &'static Kernel, params: &[u32], precision: Precision) -> Vec<&'static Variant> {
        if self.variants.forced.everything() || self.variants.forced.of(kernel).is_some() {
            return Vec::new();
        }
        let fitting = kernel.variants.iter();
        fitting.filter(|variant| self.trusts(kernel, variant, precision) && (variant.fits)(params)).collect()
    }

    /// What was settled for a shape. A variant by design does not count.
    pub fn settled(&self, shape: &str) -> Option<&'static Variant> {
        let found = self.variants.settled().get(shape).copied();
        found.filter(|(_, origin)| *origin != Origin::Design).map(|(variant, _)| variant)
    }

    /// From now on this variant runs the launches of this shape.
    pub fn settle(&self, shape: String, variant: &'static Variant, origin: Origin) {
        self.variants.settled().insert(shape, (variant, origin));
    }

    /// The names of the variants of a program's launches, by shape, for kernels with several variants.
    pub fn variants_of(&self, program: &Program) -> BTreeMap<String, String> {
        let several = program.launches().filter(|(kernel, ..)| kernel.variants.len() > 1);
        let entries = several.map(|(kernel, params, present, precision)| {
            let variant = self.variant_for(kernel, params, present, precision);
            (kernel.shape(params, present, precision), variant.name.to_string())
        });
        entries.collect()
    }

    /// How many shapes were settled from each source.
    pub fn origins(&self) -> BTreeMap<Origin, usize> {
        let mut counts = BTreeMap::new();
        self.variants.settled().values().for_each(|(_, origin)| *counts.entry(*origin).or_default() += 1);
        counts
    }

    /// Kernels with several variants, and the variants in use; before a program has run, those that BERT base would run.
    pub fn variants_in_use(&self) -> Vec<(&'static str, String)> {
        let several = crate::kernels::KERNELS.iter().filter(|kernel| kernel.variants.len() > 1);
        several
            .map(|kernel| (kernel.name, self.names_in_use(kernel).into_iter().collect::<Vec<_>>().join("/")))
            .collect()
    }

    fn names_in_use(&self, kernel: &'static Kernel) -> BTreeSet<&'static str> {
        if let Some(forced) = self.variants.forced.of(kernel) {
            return [forced.name].into();
        }
        let of = |shape: &str| shape.split(' ').next() == Some(kernel.name);
        let settled = self.variants.settled();
        let names: BTreeSet<_> =
            settled.iter().filter(|(shape, _)| of(shape)).map(|(_, (found, _))| found.name).collect();
        drop(settled);
        if !names.is_empty() {
            return names;
        }
        let case = (kernel.bench)(&SIZES[SIZES.len() - 1]);
        [self.by_design(kernel, &case.params, Precision::F32).name].into()
    }

    /// The most lanes of a subgroup. Metal doesn't report it, but its GPUs with matrices have 32.
    fn lanes(&self) -> u32 {
        if self.info.backend == wgpu::Backend::Metal { 32 } else { self.info.subgroup_max_size }
    }

    fn has_matrices(&self, Matrices { side, of }: Matrices) -> bool {
        let element = match of {
            Precision::F32 => wgpu::CooperativeScalarType::F32,
            Precision::F16 => wgpu::CooperativeScalarType::F16,
        };
        self.adapter.cooperative_matrix_properties().iter().any(|matrix| {
            (matrix.m_size, matrix.n_size, matrix.k_size) == (side, side, side)
                && matrix.ab_type == element
                && matrix.cr_type == wgpu::CooperativeScalarType::F32
        })
    }
}
