//! A kernel's twin as a function of named f64 arguments.

use cloze::kernels::{Elem, Kernel, Params, View, Views};
use cloze::random::{Site, Stream};

/// Builds a call of a twin. Numbers are rounded to f32 on the way in.
pub struct Call<'a> {
    kernel: &'a Kernel,
    params: Vec<u32>,
    args: Vec<Option<Vec<u32>>>,
}

/// The content of the arguments after a call.
pub struct Results<'a> {
    kernel: &'a Kernel,
    args: Vec<Option<Vec<u32>>>,
}

pub fn call<'a, P: Params>(kernel: &'a Kernel, params: &P) -> Call<'a> {
    assert_eq!(P::FIELDS, kernel.fields, "{}: wrong parameter struct", kernel.name);
    Call { kernel, params: params.words().to_vec(), args: vec![None; kernel.args.len()] }
}

impl<'a> Call<'a> {
    pub fn with(self, name: &str, numbers: &[f64]) -> Self {
        self.with_words(name, numbers.iter().map(|&x| (x as f32).to_bits()).collect())
    }

    pub fn with_words(mut self, name: &str, words: Vec<u32>) -> Self {
        let place = place(self.kernel, name);
        assert_eq!(words.len(), (self.kernel.args[place].len)(&self.params), "{}: `{name}`", self.kernel.name);
        self.args[place] = Some(words);
        self
    }

    /// Runs the twin; outputs that were not given start as NaN.
    pub fn run(mut self) -> Results<'a> {
        for (arg, words) in self.kernel.args.iter().zip(&mut self.args) {
            let poisoned = !arg.access.reads() && !arg.access.optional();
            assert!(words.is_some() || poisoned || arg.access.optional(), "{}: `{}`", self.kernel.name, arg.name);
            if words.is_none() && poisoned {
                *words = Some(vec![f32::NAN.to_bits(); (arg.len)(&self.params)]);
            }
        }
        let mut views = Views(Default::default());
        for ((view, arg), words) in views.0.iter_mut().zip(self.kernel.args).zip(&mut self.args) {
            if let Some(words) = words {
                *view = if arg.access.reads_only() { View::Read(words) } else { View::Write(words) };
            }
        }
        (self.kernel.twin)(&self.params, views);
        Results { kernel: self.kernel, args: self.args }
    }
}

impl Results<'_> {
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let place = place(self.kernel, name);
        assert_ne!(self.kernel.args[place].elem, Elem::u32, "{}: `{name}` holds no numbers", self.kernel.name);
        let words = self.args[place].as_ref().unwrap_or_else(|| panic!("{}: `{name}` is absent", self.kernel.name));
        words.iter().map(|&word| f64::from(f32::from_bits(word))).collect()
    }
}

fn place(kernel: &Kernel, name: &str) -> usize {
    let found = kernel.args.iter().position(|arg| arg.name == name);
    found.unwrap_or_else(|| panic!("{} has no argument `{name}`", kernel.name))
}

/// `count` numbers from a range, each one an f32. Each `seed` gives another stream.
pub fn numbers(seed: u64, count: usize, low: f64, high: f64) -> Vec<f64> {
    let mut stream = Stream::new(seed, Site::Init, count as u64);
    (0..count).map(|_| f64::from((low + (high - low) * f64::from(stream.uniform())) as f32)).collect()
}

/// Errors with the worst element unless `got` is within `tolerance` of `want`, relative to the largest of `want`.
pub fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    within(what, got, want, tolerance * largest(want))
}

/// The largest finite magnitude.
pub fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().filter(|x| x.is_finite()).fold(0.0, |most, x| most.max(x.abs()))
}

/// Errors with the worst element unless `got` is within `allowed` of `want`, or the same infinity.
pub fn within(what: &str, got: &[f64], want: &[f64], allowed: f64) -> Result<(), String> {
    assert_eq!(got.len(), want.len(), "{what}: lengths differ");
    let error = |i: usize| match (got[i] - want[i]).abs() {
        _ if got[i] == want[i] => 0.0,
        error if error.is_nan() => f64::INFINITY,
        error => error,
    };
    let worst = (0..want.len()).max_by(|&a, &b| error(a).total_cmp(&error(b)));
    match worst.filter(|&i| error(i) > allowed) {
        None => Ok(()),
        Some(i) => Err(format!(
            "{what}: at {i} got {:e}, want {:e}; off by {:e}, allowed {allowed:e}",
            got[i],
            want[i],
            error(i)
        )),
    }
}
