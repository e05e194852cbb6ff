//! Usage of the host and of process groups, read from the kernel's files. What is unknown is `None`, never 0.
//! Imports `model` and `config` only.

mod groups;
mod host;
mod proc;

pub use groups::Groups;
pub use host::Host;
