//! The control plane: what should run, what does, and the handle through which every face sees it.
//! Imports everything but faces.

pub mod attention;
pub mod client;
pub mod consoles;
pub mod delta;
pub mod events;
pub mod handle;
pub mod lifecycle;
pub mod logs;
pub mod lock;
pub mod peer;
pub mod plan;
pub mod server;
pub mod snapshot;
pub mod wire;

#[cfg(test)]
mod fixture;

pub use handle::{Handle, Link};
