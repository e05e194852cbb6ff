//! The data plane, as callers and upstreams meet it.

mod context;
mod fixture;
mod gate;
mod http;
mod stdio;
mod web;
