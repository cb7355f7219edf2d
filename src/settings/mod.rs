//! Settings as text: layers of TOML, checks of values, and errors that name the key and what was probably meant. What keys there
//! are is the business of those who ask.

mod check;
mod explain;
mod layers;

pub use check::{at_least_one, fraction, not_negative, positive, require};
pub use explain::{explain, unknown};
pub use layers::{fill, rename, set};
