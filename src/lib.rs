//! mcpdeck: a terminal operations console for multi-tenant MCP platforms.
//!
//! Two planes and their faces: [`router`] carries MCP messages, [`control`] decides what should run.
//! [`ui`], [`cli`] and [`api`] see what is running only through [`control::Handle`]. ARCHITECTURE.md has the map.
#![forbid(unsafe_code)]

pub mod api;
pub mod backend;
pub mod builtin;
pub mod cli;
pub mod config;
pub mod control;
pub mod metrics;
pub mod model;
pub mod router;
pub mod store;
pub mod ui;
