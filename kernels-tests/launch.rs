//! A case of a kernel's declaration as a launch of its twin alone, with the arguments' content in f64.

use cloze::kernels::mathematics::{Content, Contents};
use cloze::kernels::{Access, Arg, Case, Elem, Fill, Kernel, View, Views};
use cloze::random::{Site, Stream};

pub struct Launch<'a> {
    pub kernel: &'a Kernel,
    pub case: &'a Case,
    /// The case's place in the declaration.
    pub number: usize,
    /// The content of the arguments before the launch; NaN if the case gives none.
    pub contents: Contents,
}

impl<'a> Launch<'a> {
    pub fn new(kernel: &'a Kernel, case: &'a Case, number: usize) -> Self {
        let mut contents = Contents::default();
        for (place, (arg, fill)) in kernel.args.iter().zip(&case.fills).enumerate() {
            let mut stream = Stream::new(2, Site::Init, (number * kernel.args.len() + place) as u64);
            let len = (arg.len)(&case.params);
            let words = match fill {
                Fill::Nothing => vec![f32::NAN.to_bits(); len],
                fill => fill.words(len, &mut stream),
            };
            contents.set(arg.name, content(arg.elem, words));
        }
        if let Some(given) = kernel.mathematics.given {
            for (name, numbers) in given.of.iter().zip((given.values)(&case.params, &contents)) {
                contents.set(name, content(Elem::f32, numbers.iter().map(|&x| (x as f32).to_bits()).collect()));
            }
        }
        Launch { kernel, case, number, contents }
    }

    /// The arguments' content after the twin has run. `spoil` gets the outputs by name.
    pub fn run(&self, spoil: impl Fn(&str, &mut [f32])) -> Contents {
        let mut args: Vec<Vec<u32>> = self.args().map(|(arg, _)| self.contents.get(arg.name).words.clone()).collect();
        let mut views = Views(Default::default());
        for ((view, (arg, given)), words) in views.0.iter_mut().zip(self.args()).zip(&mut args) {
            if given && arg.access != Access::ShaderScratch {
                *view = if arg.access.reads_only() { View::Read(words) } else { View::Write(words) };
            }
        }
        (self.kernel.twin)(&self.case.params, views);
        let mut results = Contents::default();
        for ((arg, _), mut words) in self.args().zip(args) {
            if !arg.access.reads_only() && !arg.access.is_scratch() {
                spoil(arg.name, bytemuck::cast_slice_mut(&mut words));
            }
            results.set(arg.name, content(arg.elem, words));
        }
        results
    }

    /// The arguments, and whether each is given.
    fn args(&self) -> impl Iterator<Item = (&'a Arg, bool)> {
        let present = self.case.present();
        self.kernel.args.iter().enumerate().map(move |(place, arg)| (arg, present >> place & 1 == 1))
    }

    /// The argument of a name, if the launch is given it.
    pub fn given(&self, name: &str) -> Option<&'a Arg> {
        self.args().find(|(arg, given)| *given && arg.name == name).map(|(arg, _)| arg)
    }
}

fn content(elem: Elem, words: Vec<u32>) -> Content {
    let numbers = match elem {
        Elem::u32 => Vec::new(),
        Elem::f32 | Elem::real => words.iter().map(|&word| f64::from(f32::from_bits(word))).collect(),
    };
    Content { numbers, words }
}

impl std::fmt::Display for Launch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} case {} {:?}", self.kernel.name, self.number, self.case.params)
    }
}
