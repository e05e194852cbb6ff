//! The words of the product as plain data: no I/O, no async, no vendor types, nothing else of ours.
//!
//! Everything here crosses the Unix socket in a compact binary encoding (postcard), so types avoid
//! `serde(flatten)`, `untagged`, `skip_serializing_if` and `serde_json::Value`; JSON travels as text.

pub mod call;
pub mod container;
pub mod filter;
pub mod gpu;
pub mod guard;
pub mod hash;
pub mod id;
pub mod instance;
pub mod json;
pub mod limits;
pub mod message;
pub mod near;
pub mod principal;
pub mod reload;
pub mod route;
pub mod secret;
pub mod server;
pub mod short;
pub mod snapshot;
pub mod stack;
pub mod summary;
pub mod template;
pub mod tenant;
pub mod text;
pub mod time;
pub mod timeline;
pub mod trace;
pub mod usage;
pub mod why;

pub use call::{CallId, CallRecord, Era, Outcome, PendingCall};
pub use id::{InstanceKey, ServerId, StackId, TenantId, slug};
pub use instance::{Desired, InstanceRow, State};
pub use message::{Act, Answer, Chunk, Command, Event, Feed, JobId, Operator, Query, Refusal, shell_word};
pub use server::{Environment, Run, Scope, ServerDef};
pub use short::Short;
pub use snapshot::Snapshot;
pub use tenant::TenantDef;
pub use time::Stamp;
