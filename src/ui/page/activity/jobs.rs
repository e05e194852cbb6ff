//! Jobs as rows, with their progress.

use crate::model::filter::{Fields, Value};
use crate::model::message::{JobOutcome, JobRow};
use crate::model::{JobId, Stamp};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::graph;
use crate::ui::widget::table::{Cell, Column, Row, Width};
use std::sync::Arc;

/// A job.
#[derive(Clone)]
pub struct Job(pub Arc<JobRow>);

impl Fields for Job {
    fn names() -> &'static [&'static str] {
        JobRow::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.0.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.0.text(out);
    }
}

impl Row for Job {
    type Key = JobId;

    fn key(&self) -> JobId {
        self.0.id
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Job>] = &[
            Column {
                title: "job",
                width: Width::Fixed(5),
                right: false,
                wide: false,
                cell: |j, _| Cell::plain(j.0.id.to_string()),
                order: Some(|a, b| b.0.id.cmp(&a.0.id)),
            },
            Column {
                title: "state",
                width: Width::Fixed(11),
                right: false,
                wide: false,
                cell: state,
                order: Some(|a, b| a.0.outcome.is_some().cmp(&b.0.outcome.is_some())),
            },
            Column {
                title: "what",
                width: Width::Flex(16, 36),
                right: false,
                wide: false,
                cell: |j, _| Cell::plain(j.0.title.as_str()),
                order: Some(|a, b| a.0.title.cmp(&b.0.title)),
            },
            Column {
                title: "age",
                width: Width::Fixed(4),
                right: true,
                wide: false,
                cell: |j, l| Cell::dim(l.age(j.0.started)),
                order: None,
            },
            Column {
                title: "who",
                width: Width::Fixed(8),
                right: false,
                wide: false,
                cell: |j, _| Cell::plain(j.0.operator.name.as_str()),
                order: Some(|a, b| a.0.operator.name.cmp(&b.0.operator.name)),
            },
            Column {
                title: "message",
                width: Width::Flex(12, 200),
                right: false,
                wide: false,
                cell: |j, _| Cell::plain(j.0.message.as_str()),
                order: None,
            },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).unwrap_or_default()
    }
}

fn state(job: &Job, look: &Look) -> Cell {
    match job.0.outcome {
        None if job.0.total > 0 => {
            let percent = job.0.done as f32 * 100.0 / job.0.total as f32;
            Cell::new(format!("{} {}/{}", graph::gauge(percent, 5, look.ascii), job.0.done, job.0.total), Role::Work)
        }
        None => Cell::new("running", Role::Work),
        Some(JobOutcome::Ok) => Cell::new(mark(look, "✓", "ok"), Role::Good),
        Some(JobOutcome::Failed) => Cell::new(mark(look, "✗", "failed"), Role::Bad),
        Some(JobOutcome::Cancelled) => Cell::new("- cancelled", Role::Warn),
    }
}

fn mark(look: &Look, symbol: &str, word: &str) -> String {
    if look.ascii { word.to_owned() } else { fmt::fit(&format!("{symbol} {word}"), 11, false) }
}
