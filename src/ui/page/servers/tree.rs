//! Servers with their instances below them, folded or not.

use super::columns;
use crate::model::filter::{Fields, Value};
use crate::model::instance::InstanceRow;
use crate::model::snapshot::ServerRow;
use crate::model::{InstanceKey, Scope, ServerId, Snapshot, Stamp};
use crate::ui::acts::Subject;
use crate::ui::app::Cx;
use crate::ui::widget::table::{Column, Row, Table, hides_gpu};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Servers with more instances than this start folded.
const OPEN_UP_TO: u32 = 20;

/// One row.
#[derive(Clone)]
pub enum Node {
    /// With its shared instance, which is the same object to an operator, and whether its other instances are shown.
    Server {
        row: Arc<ServerRow>,
        shared: Option<Arc<InstanceRow>>,
        open: bool,
    },
    Instance(Arc<InstanceRow>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKey {
    Server(ServerId),
    Instance(InstanceKey),
}

impl Node {
    pub fn server(&self) -> &ServerId {
        match self {
            Self::Server { row, .. } => &row.def.id,
            Self::Instance(row) => &row.key.server,
        }
    }

    /// The one instance that the row stands for.
    pub fn instance(&self) -> Option<&InstanceRow> {
        match self {
            Self::Server { shared, .. } => shared.as_deref(),
            Self::Instance(row) => Some(row),
        }
    }

    pub fn subject(&self) -> Subject {
        match self {
            Self::Server { row, .. } => Subject::server(row.def.id.clone()),
            Self::Instance(row) => Subject::instance(row.key.clone()),
        }
    }
}

impl Fields for Node {
    fn names() -> &'static [&'static str] {
        InstanceRow::names()
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match self {
            Self::Server { row, shared, .. } => row.field(name, now).or_else(|| shared.as_ref()?.field(name, now)),
            Self::Instance(row) => row.field(name, now),
        }
    }

    fn text(&self, out: &mut String) {
        match self {
            Self::Server { row, .. } => row.text(out),
            Self::Instance(row) => row.text(out),
        }
    }
}

impl Row for Node {
    type Key = NodeKey;

    fn key(&self) -> NodeKey {
        match self {
            Self::Server { row, .. } => NodeKey::Server(row.def.id.clone()),
            Self::Instance(row) => NodeKey::Instance(row.key.clone()),
        }
    }

    fn columns() -> &'static [Column<Self>] {
        columns::COLUMNS
    }

    fn hides(column: &Column<Self>, snap: &Snapshot) -> bool {
        hides_gpu(column, snap)
    }

    fn label(&self) -> Option<String> {
        self.subject().key.map(|key| key.to_string())
    }

    fn json(&self) -> String {
        match self {
            Self::Server { row, .. } => serde_json::to_string_pretty(&**row),
            Self::Instance(row) => serde_json::to_string_pretty(&**row),
        }
        .unwrap_or_default()
    }
}

/// State of the tree.
#[derive(Default)]
pub struct Tree {
    pub table: Table<Node>,
    /// Unfolded servers; `None` before the first server was seen.
    open: Option<BTreeSet<ServerId>>,
}

impl Tree {
    pub fn sync(&mut self, cx: &Cx) {
        let snap = cx.snap;
        if self.open.is_none() && !snap.servers.is_empty() {
            let few = snap.servers.iter().filter(|s| s.def.scope != Scope::Shared && s.instances <= OPEN_UP_TO);
            self.open = Some(few.map(|s| s.def.id.clone()).collect());
        }
        let limit = cx.shared.limit.as_ref();
        let tenant = limit.and_then(|id| snap.tenant(id.as_str()));
        let mine = |s: &&Arc<ServerRow>| tenant.is_none_or(|t| t.cell(&s.def.id).is_some_and(|c| c.enabled));
        let mut total = 0;
        let mut all = Vec::new();
        let filtered = !self.table.filter().is_empty();
        let mut groups = Vec::new();
        for row in snap.servers.iter().filter(mine) {
            let below = below(snap, &row.def.id);
            let (shared, own): (Vec<&Arc<InstanceRow>>, Vec<_>) = below.iter().partition(|i| i.key.tenant.is_none());
            let own = own.into_iter().filter(|i| limit.is_none_or(|limit| i.key.tenant.as_ref() == Some(limit)));
            let own: Vec<Node> = own.cloned().map(Node::Instance).collect();
            total += 1 + own.len();
            if filtered {
                all.push(Node::Server { row: row.clone(), shared: shared.first().copied().cloned(), open: false });
                all.extend(own.iter().cloned());
            }
            groups.extend(self.group(row, shared.first().copied().cloned(), own, cx.shared.now));
        }
        if groups.is_empty() {
            self.table.explain_filter(&all, cx.shared.now);
        }
        groups.sort_by(|a, b| self.table.compare(&a[0], &b[0]));
        self.table.set_ordered(groups.into_iter().flatten().collect(), total);
    }

    /// A server and what is shown below it; nothing if the filter wants neither.
    fn group(
        &self,
        row: &Arc<ServerRow>,
        shared: Option<Arc<InstanceRow>>,
        mut below: Vec<Node>,
        now: Stamp,
    ) -> Option<Vec<Node>> {
        let filter = self.table.filter();
        let head = |open| Node::Server { row: row.clone(), shared: shared.clone(), open };
        let mut open = self.open.as_ref().is_some_and(|open| open.contains(&row.def.id));
        if !filter.is_empty() {
            below.retain(|node| filter.matches(node, now));
            if below.is_empty() && !filter.matches(&head(false), now) {
                return None;
            }
            open = !below.is_empty();
        }
        if !open {
            return Some(vec![head(false)]);
        }
        below.sort_by(|a, b| self.table.compare(a, b));
        let mut group = vec![head(true)];
        group.append(&mut below);
        Some(group)
    }

    /// Folds or unfolds the selected server, or all of them.
    pub fn fold(&mut self, all: bool) {
        let open = self.open.get_or_insert_default();
        if all {
            let servers: BTreeSet<ServerId> = self.table.rows().iter().map(|node| node.server().clone()).collect();
            if open.is_empty() {
                open.extend(servers)
            } else {
                open.clear()
            }
            return;
        }
        let Some(server) = self.table.selected().map(|node| node.server().clone()) else { return };
        if !open.remove(&server) {
            open.insert(server);
        } else {
            // The instance that was selected is gone from sight; its server stays selected.
            self.table.select(&NodeKey::Server(server));
        }
    }

    /// Selects a row, unfolding and unfiltering whatever hides it.
    pub fn reveal(&mut self, key: &NodeKey, cx: &Cx) {
        if self.table.select(key) {
            return;
        }
        let mut key = key.clone();
        if let NodeKey::Instance(instance) = &key {
            if cx.snap.instance(instance).is_none() {
                // Not created yet: its server is what there is to see.
                key = NodeKey::Server(instance.server.clone());
            } else if instance.tenant.is_none() {
                // The shared instance stands in its server's own row.
                key = NodeKey::Server(instance.server.clone());
            } else {
                self.open.get_or_insert_default().insert(instance.server.clone());
            }
        }
        self.sync(cx);
        if !self.table.select(&key) {
            // The empty filter always reads.
            let _ = self.table.set_filter("");
            self.sync(cx);
            self.table.select(&key);
        }
    }
}

/// Instances of a server: they lie side by side, as the table is sorted by key.
fn below<'a>(snap: &'a crate::model::Snapshot, server: &ServerId) -> &'a [Arc<InstanceRow>] {
    let from = snap.instances.partition_point(|i| i.key.server < *server);
    let count = snap.instances[from..].partition_point(|i| i.key.server == *server);
    &snap.instances[from..from + count]
}
