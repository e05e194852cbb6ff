//! The screen. Imports `control::Handle`, `config` and `model` only.

pub mod console;
