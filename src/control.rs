//! The control plane: what should run, what does, and the handle through which every face sees it.
//! Imports everything but faces.

pub mod client;
pub mod attention;
pub mod consoles;
pub mod delta;
pub mod handle;
pub mod lock;
pub mod peer;
pub mod server;
pub mod wire;
pub mod lifecycle;
pub mod plan;
pub mod snapshot;

#[cfg(test)]
mod fixture;

pub use handle::{Handle, Link};
