//! Settings as text: layers of TOML, checks of values, and errors that name the key and what was probably meant. Which keys
//! exist is up to the callers.

mod check;
mod explain;
mod layers;

pub use check::{at_least_one, fraction, not_negative, positive, require};
pub use explain::{explain, unknown};
pub use layers::{fill, rename, set};
