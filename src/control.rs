//! The control plane: what should run, what does, and the handle through which every face sees it.
//! Imports everything but faces.

pub mod consoles;
pub mod handle;

pub use handle::{Handle, Link};
