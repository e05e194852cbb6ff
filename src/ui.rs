//! The screen. Imports `control::Handle`, `config` and `model` only.

pub mod console;
pub mod latency;
pub mod ring;
