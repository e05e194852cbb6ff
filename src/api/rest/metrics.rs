//! `/metrics`: the platform in the OpenMetrics text format, which Prometheus reads.

mod families;
mod page;

use super::Answer;
use super::caller::{Caller, Via};
use crate::api::{Error, Gateway};
use crate::control::handle::Lives;
use crate::model::{ServerId, Snapshot};
use crate::router::Lifetime;
use axum::body::Body;
use axum::extract::FromRequestParts;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use page::Page;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whoever may read figures of everybody: an operator, or anybody where the config says so.
pub struct Reader(Arc<Gateway>);

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Via { gateway, .. } = Via::from_request_parts(parts, state).await?;
        if !gateway.inside.config.get().api.open_metrics {
            Caller::from_request_parts(parts, state).await?.must_operate()?;
        }
        Ok(Self(gateway))
    }
}

/// Everything that is counted, as Prometheus reads it.
#[utoipa::path(
    get, path = "/metrics", tag = "platform",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 403, body = super::openapi::Problem, description = "not an operator, and [api] metrics is not open"),
    )
)]
pub async fn metrics(Reader(gateway): Reader) -> Result<Answer, Error> {
    // A thousand customers are megabytes of text: not on the threads that carry calls.
    let text = tokio::task::spawn_blocking(move || text(Reading::now(&gateway))).await;
    let mut answer = Answer::new(Body::from(text.map_err(|error| Error::Failed(error.to_string()))??));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    Ok(answer)
}

fn text(reading: Reading) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("mcpdeck");
    registry.register_collector(Box::new(reading));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| Error::Failed("the figures could not be written down".to_owned()))?;
    Ok(text)
}

/// Everything at one moment.
#[derive(Debug)]
struct Reading {
    state: Arc<Snapshot>,
    lifetimes: Vec<Lifetime>,
    lives: BTreeMap<ServerId, Lives>,
    dropped_records: u64,
    connections: usize,
    sessions: usize,
}

impl Reading {
    fn now(gateway: &Gateway) -> Self {
        let inside = &gateway.inside;
        Self {
            state: gateway.handle.state(),
            lifetimes: inside.router.lifetimes(),
            lives: inside.tally.all(),
            dropped_records: inside.router.dropped_records(),
            connections: Arc::strong_count(&gateway.connections) - 1,
            sessions: inside.router.session_count(),
        }
    }
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut page = Page::new(encoder);
        families::platform(self, &mut page)?;
        families::calls(self, &mut page)?;
        families::instances(self, &mut page)?;
        families::usage(self, &mut page)?;
        families::gpus(self, &mut page)?;
        page.end()
    }
}
