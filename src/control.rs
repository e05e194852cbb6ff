//! The control plane: what should run, what does, and the handle through which every face sees it.
//! Imports everything but faces.

mod actor;
mod acts;
mod adopted;
pub mod attention;
mod auth;
mod calls;
pub mod client;
mod console_call;
pub mod consoles;
mod deck;
pub mod delta;
pub mod door;
mod durable;
pub mod engines;
pub mod events;
mod example;
mod exec;
mod explain;
mod fleet;
pub mod gpus;
pub mod handle;
mod health;
pub mod impact;
mod inspect;
mod jobs;
mod journal;
mod launch;
pub mod lifecycle;
mod local;
pub mod lock;
pub mod logs;
pub mod owner;
pub mod peer;
pub mod plan;
mod platform;
pub mod principals;
mod reap;
mod reload;
mod sampling;
mod secrets;
pub mod server;
pub mod snapshot;
mod stacks;
mod tally;
mod usage;
mod usage_history;
pub mod wire;
mod worker;
mod yard;

#[cfg(test)]
mod fixture;

pub use handle::{Handle, Link};
pub use platform::{Platform, StartError, StartOptions, start};
