//! Programs of kernel launches, their memory plan, and the two executors that replay them.

mod arena;
mod bytes;
pub mod cpu;
pub mod executor;
pub mod gpu;
pub mod halves;
pub mod host_memory;
pub mod plan;
pub mod profile;
pub mod program;

pub(crate) use bytes::Bytes;
pub use cpu::CpuExecutor;
pub use executor::Executor;
pub use plan::{Memory, Place, Plan};
pub use profile::{Profile, Speed};
pub(crate) use program::remedy_of_parameter;
pub use program::{Cost, Phase, Program, Role, Tensor};
