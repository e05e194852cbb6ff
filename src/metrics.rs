//! Usage of the host, of process groups and of containers, read from the kernel's files, and GPUs from their driver.
//! What is unknown is `None`, never 0. Imports `model` and `config` only.

mod caps;
mod cgroup;
mod containers;
pub mod gpu;
mod groups;
mod host;
mod places;
mod proc;

pub use containers::{Containers, Target};
pub use groups::Groups;
pub use host::Host;
