//! Programs of kernel launches, their memory plan, and the two executors that replay them.

mod arena;
pub mod choice;
pub mod cpu;
pub mod device;
pub mod executor;
pub mod gpu;
pub mod halves;
pub mod host_memory;
pub mod plan;
pub mod profile;
pub mod program;

pub use choice::DeviceChoice;
pub use cpu::CpuExecutor;
pub use device::Device;
pub use executor::Executor;
pub use plan::{Memory, Place, Plan};
pub use profile::Profile;
pub use program::{Cost, Phase, Program, Role, Tensor};
