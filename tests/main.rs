//! The one integration test binary; each module proves one part as its users meet it.

mod architecture;
mod attach;
mod backend_contract;
mod cli;
mod builtin;
mod config;
mod control;
mod router;
mod screens;
mod screens_console;
mod store_contract;
mod support;
mod keys;
mod pty;
