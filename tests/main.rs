//! The one integration test binary; each module proves one part as its users meet it.

mod api;
mod architecture;
mod attach;
mod backend_contract;
mod builtin;
mod cli;
mod config;
mod conformance;
mod containers;
mod control;
mod engine;
mod gpu;
mod incidents;
mod keys;
mod pty;
mod readme;
mod reference_servers;
mod router;
mod screens;
mod screens_console;
mod screens_containers;
mod screens_narrow;
mod stacks;
mod store_contract;
mod support;
mod usage;
