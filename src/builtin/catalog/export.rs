//! The slow tool: rows one after the other, with progress, until it is cancelled. Imports `builtin::guard` only.

use super::data::SHIPPED;
use super::{Catalog, Whose};
use crate::builtin::guard::{self, ToolError};
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::ProgressNotificationParam;
use rmcp::service::RequestContext;
use rmcp::{RoleServer, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const ROWS: u32 = 10_000;
const DELAY_MS: u32 = 5_000;

/// The longest an export may take.
const LONGEST_MS: u64 = 10 * 60 * 1_000;

/// Progress is told so many times in one export at most.
const STEPS: u32 = 100;

/// What to export, and how slowly.
#[derive(Deserialize, JsonSchema)]
struct Export {
    #[serde(flatten)]
    whose: Whose,
    /// Rows; one per class and feature, from the start again if there are fewer.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 10000))]
    count: u32,
    /// Milliseconds to wait before each row.
    #[serde(default = "fifty")]
    #[schemars(range(max = 5000))]
    delay_ms: u32,
}

/// The exported rows.
#[derive(Serialize, JsonSchema)]
struct Exported {
    rows: Vec<ExportRow>,
}

/// A feature of a class.
#[derive(Clone, Serialize, JsonSchema)]
struct ExportRow {
    class: String,
    class_name: String,
    feature: String,
    feature_name: String,
}

#[tool_router(router = export_tools, vis = "pub(super)")]
impl Catalog {
    /// Exports the catalog row by row. It takes its time, tells its progress, and ends at once when cancelled.
    #[tool(annotations(title = "Export the catalog", read_only_hint = true, open_world_hint = false))]
    async fn export(
        &self,
        Parameters(args): Parameters<Export>,
        context: RequestContext<RoleServer>,
    ) -> Result<Json<Exported>, ToolError> {
        let customer = self.customer(&args.whose)?;
        let count = guard::number("count", args.count, 1..=ROWS)?;
        let delay = guard::number("delay_ms", args.delay_ms, 0..=DELAY_MS)?;
        guard::number("count * delay_ms", u64::from(count) * u64::from(delay), 0..=LONGEST_MS)?;
        let rows: Vec<_> = customer
            .classes()
            .flat_map(|class| class.features.iter().map(move |code| (class, code)))
            .filter_map(|(class, code)| SHIPPED.features.get(code).map(|feature| (class, feature)))
            .map(|(class, feature)| ExportRow {
                class: class.code.clone(),
                class_name: class.name.clone(),
                feature: feature.code.clone(),
                feature_name: feature.name.clone(),
            })
            .collect();
        let mut exported = Vec::with_capacity(count as usize);
        for (number, row) in (1..=count).zip(rows.iter().cycle()) {
            wait(&context, Duration::from_millis(u64::from(delay))).await?;
            exported.push(row.clone());
            if number % count.div_ceil(STEPS) == 0 || number == count {
                tell_progress(&context, number, count, &row.class_name).await;
            }
        }
        Ok(Json(Exported { rows: exported }))
    }
}

async fn wait(context: &RequestContext<RoleServer>, delay: Duration) -> Result<(), ToolError> {
    tokio::select! {
        biased;
        () = context.ct.cancelled() => Err(ToolError::Cancelled),
        () = tokio::time::sleep(delay) => Ok(()),
    }
}

/// Says how far it is, to a client that asked for it.
async fn tell_progress(context: &RequestContext<RoleServer>, done: u32, of: u32, row: &str) {
    let Some(token) = context.meta.get_progress_token() else { return };
    let progress = ProgressNotificationParam::new(token, f64::from(done))
        .with_total(f64::from(of))
        .with_message(format!("{done} of {of}: {row}"));
    if let Err(error) = context.peer.notify_progress(progress).await {
        tracing::debug!("progress is not told: {error}");
    }
}

fn twenty() -> u32 {
    20
}

fn fifty() -> u32 {
    50
}
