//! The data plane, as callers and upstreams meet it.

mod aggregate;
mod clients;
mod context;
mod fixture;
mod gate;
mod http;
mod query;
mod routing;
mod sse;
mod stdio;
mod timeline;
mod web;
