//! The account of one call: whatever way it ends, answered or dropped, it is taken out of the calls under way, metered
//! and recorded once.

use super::flight::Flight;
use super::outcome::{Stop, first_line};
use super::redact::CUT_BYTES;
use super::{CallReply, Router};
use crate::model::tenant::AuditPolicy;
use crate::model::timeline::Station;
use crate::model::{CallRecord, Era, Outcome, Stamp};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

/// A tenant's call waits so long for room in the queue of records, then the record is lost and counted.
const BLOCK: Duration = Duration::from_secs(5);

pub struct Ledger<'a> {
    router: &'a Router,
    pub flight: Arc<Flight>,
    pub audit: AuditPolicy,
    pub wake_us: u64,
    asked: Option<Instant>,
    /// Something of it may have reached the upstream.
    reached: bool,
    upstream: Option<Duration>,
    pub era: Option<Era>,
    closed: bool,
}

/// How a call ended.
pub struct End {
    pub outcome: Outcome,
    pub error: Option<String>,
    /// The code of the JSON-RPC error that the body is.
    pub code: Option<i64>,
    pub body: Bytes,
}

impl End {
    /// Of a call that ended without an upstream's answer; `id` is its caller's, as JSON text.
    pub fn stopped(stop: Stop, id: &str) -> Self {
        Self { outcome: stop.outcome, body: stop.body(id).into(), code: Some(stop.code()), error: Some(stop.error) }
    }
}

impl<'a> Ledger<'a> {
    pub fn open(router: &'a Router, flight: Arc<Flight>) -> Self {
        router.flights.add(flight.clone());
        Self {
            router,
            flight,
            audit: AuditPolicy::default(),
            wake_us: 0,
            asked: None,
            reached: false,
            upstream: None,
            era: None,
            closed: false,
        }
    }

    /// The message goes upstream now.
    pub fn asked(&mut self, message: &[u8]) {
        self.asked = Some(self.flight.passed(Station::Inject));
        self.reached = true;
        let _ = self.flight.sent.set(Bytes::copy_from_slice(&message[..message.len().min(CUT_BYTES + 1)]));
    }

    /// It turned out that there was nobody to send it to.
    pub fn unsent(&mut self) {
        self.reached = false;
    }

    /// Upstream answered, or failed; says when that was.
    pub fn answered(&mut self) -> Stamp {
        let now = self.flight.passed(Station::Upstream);
        self.upstream = self.asked.map(|at| now - at);
        self.flight.stamp(now)
    }

    /// Records the end and makes the reply of it.
    pub async fn close(mut self, end: End) -> CallReply {
        let record = self.record(&end);
        self.settle(&record, &end.body);
        if let Err(record) = self.router.offer(record.clone())
            && self.audit == AuditPolicy::Block
        {
            let sent = tokio::time::timeout(BLOCK, self.router.records.send(record)).await;
            if sent.is_ok() {
                self.router.dropped_records.fetch_sub(1, Relaxed);
            }
        }
        CallReply { record, code: end.code, body: end.body, sent: self.reached, exceeded: None }
    }

    fn settle(&mut self, record: &Arc<CallRecord>, body: &Bytes) {
        self.closed = true;
        tracing::debug!(
            target: "mcpdeck::call",
            trace = self.flight.trace.map(|trace| trace.id()),
            call = %record.id,
            tenant = %record.tenant,
            server = %record.server,
            method = &*record.method,
            tool = record.tool.as_deref(),
            principal = &*record.principal,
            outcome = %record.outcome,
            took_us = record.took_us,
        );
        self.router.flights.remove(&self.flight);
        self.router.meter.count(record);
        self.router.lifetimes.count(record);
        let flight = &*self.flight;
        let sent = flight.sent.get().map(|sent| &**sent).unwrap_or_default();
        self.router.payloads.keep(record.clone(), [&flight.request, sent, body], flight.timeline());
    }

    fn record(&self, end: &End) -> Arc<CallRecord> {
        let flight = &self.flight;
        // Given up while upstream was at it: all the time since counts.
        let upstream = self.upstream.or_else(|| self.asked.map(|at| at.elapsed()));
        Arc::new(CallRecord {
            id: flight.id,
            at: flight.at,
            tenant: flight.tenant.clone(),
            server: flight.server.clone(),
            instance: flight.instance.get().cloned(),
            method: flight.method.clone(),
            tool: flight.tool.clone(),
            outcome: end.outcome,
            took_us: flight.began.elapsed().as_micros().try_into().unwrap_or(u64::MAX),
            wake_us: self.wake_us,
            upstream_us: upstream.unwrap_or_default().as_micros().try_into().unwrap_or(u64::MAX),
            request_bytes: flight.request.len() as u64,
            response_bytes: end.body.len() as u64,
            era: self.era,
            origin: flight.origin,
            principal: flight.principal.clone(),
            role: flight.role,
            error: end.error.as_deref().map(first_line),
        })
    }
}

impl Drop for Ledger<'_> {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let error = Some("the caller went away".to_owned());
        let end = End { outcome: Outcome::Cancelled, error, code: None, body: Bytes::new() };
        let record = self.record(&end);
        self.settle(&record, &end.body);
        let _ = self.router.offer(record);
    }
}

impl Router {
    /// Queues a record; a full queue counts it as dropped and gives it back.
    fn offer(&self, record: Arc<CallRecord>) -> Result<(), Arc<CallRecord>> {
        self.records.try_send(record).map_err(|error| {
            self.dropped_records.fetch_add(1, Relaxed);
            match error {
                TrySendError::Full(record) | TrySendError::Closed(record) => record,
            }
        })
    }
}
