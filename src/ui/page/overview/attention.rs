//! The list of what is wrong now: one line per cause, with its reason, who is hit and the keys that help.

use crate::model::container::{Claim, EngineId};
use crate::model::filter::{Fields, Value};
use crate::model::message::FindingRow;
use crate::model::stack::{PartRow, StackOwner, StackState};
use crate::model::{Snapshot, Stamp, TenantId};
use crate::ui::action::Action;
use crate::ui::acts::Subject;
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Width};
use std::sync::Arc;

/// A finding as a row.
#[derive(Clone)]
pub struct Attention {
    pub row: Arc<FindingRow>,
    /// What keys act on: the instance, container or stack that the finding is about.
    pub subject: Subject,
    /// When it was gone, if it is: its row keeps its place for a while, so that no other slips under the cursor.
    pub resolved: Option<Stamp>,
}

/// True if the finding hits the tenant, or everybody is looked at.
pub fn concerns(finding: &FindingRow, limit: Option<&TenantId>) -> bool {
    limit.is_none_or(|limit| finding.tenants.contains(limit))
}

impl Attention {
    pub fn new(row: Arc<FindingRow>, snap: &Snapshot) -> Self {
        Self { subject: subject(&row, snap), row, resolved: None }
    }

    /// The engine it is about, if it is about one.
    pub fn engine<'a>(&self, snap: &'a Snapshot) -> Option<&'a EngineId> {
        let engine = snap.engines.iter().find(|engine| engine.id.as_str() == self.row.object)?;
        (self.row.target.is_none() && self.subject.container.is_none()).then_some(&engine.id)
    }
}

/// Findings name what they are about: an instance, a container, `stack NAME` or `stack NAME/PART`, or something that takes
/// no acts.
fn subject(row: &FindingRow, snap: &Snapshot) -> Subject {
    let first = row.tenants.first();
    if let Some(key) = &row.target {
        return Subject { tenant: key.tenant.clone().or(first.cloned()), ..Subject::instance(key.clone()) };
    }
    if let Some(container) = snap.containers.iter().find(|c| c.name == row.object && c.owner.claim != Claim::Other) {
        return Subject::container(container);
    }
    let named = row.object.strip_prefix("stack ").map(|name| name.split_once('/').unwrap_or((name, "")));
    if let Some((stack, part)) = named.and_then(|(id, part)| Some((snap.stack(id)?, part))) {
        let meant = |row: &&PartRow| if part.is_empty() { row.state != StackState::Ready } else { row.name == part };
        let worst = stack.parts.iter().filter(meant);
        let worst = worst.filter_map(|part| snap.container(part.container.as_ref()?)).next();
        return match (worst, &stack.owner) {
            (Some(container), _) => Subject::container(container),
            (None, StackOwner::Tenant(id)) => Subject::tenant(id.clone()),
            (None, StackOwner::Server(id)) => Subject::server(id.clone()),
        };
    }
    first.map_or_else(Subject::default, |tenant| Subject::tenant(tenant.clone()))
}

impl Attention {
    /// The reason, after how many it hits, unless that is part of it.
    pub fn why(&self) -> String {
        match self.row.tenants.len() {
            0 | 1 => self.row.text.clone(),
            _ if self.row.text.ends_with(" customers") => self.row.text.clone(),
            n => format!("{}: {}", fmt::plural(n, "customer"), self.row.text),
        }
    }
}

impl Fields for Attention {
    fn names() -> &'static [&'static str] {
        &["word", "object", "age", "server", "tenant", "severity"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        Some(match name {
            "word" => Value::Text(self.row.word.as_str().into()),
            "object" => Value::Text(self.row.object.as_str().into()),
            "age" => Value::Time(now.since(self.row.since)),
            "server" => Value::Text(self.row.target.as_ref()?.server.as_str().into()),
            "tenant" => Value::Texts(self.row.tenants.iter().map(|t| t.as_str().into()).collect()),
            "severity" => Value::Number(f64::from(self.row.severity)),
            _ => return None,
        })
    }

    fn text(&self, out: &mut String) {
        let tenants = self.row.tenants.iter().map(TenantId::as_str);
        for text in [self.row.word.as_str(), &self.row.object, &self.row.text].into_iter().chain(tenants) {
            out.push_str(text);
            out.push('\n');
        }
    }
}

impl Row for Attention {
    type Key = String;

    fn key(&self) -> String {
        self.row.id.clone()
    }

    fn label(&self) -> Option<String> {
        Some(self.row.object.clone())
    }

    fn titled() -> bool {
        false
    }

    fn wraps() -> Option<&'static str> {
        Some("why")
    }

    fn faded(&self) -> bool {
        self.resolved.is_some()
    }

    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Attention>] = &[
            Column {
                title: "what",
                width: Width::Fixed(10),
                right: false,
                wide: false,
                cell: word,
                order: Some(|a, b| b.row.severity.cmp(&a.row.severity)),
            },
            Column {
                title: "object",
                width: Width::Steps(OBJECT),
                right: false,
                wide: false,
                cell: object,
                order: Some(|a, b| a.row.object.cmp(&b.row.object)),
            },
            Column { title: "why", width: Width::Flex(12, 200), right: false, wide: false, cell: why, order: None },
            Column {
                title: "age",
                width: Width::Fixed(4),
                right: true,
                wide: false,
                cell: age,
                order: Some(|a, b| b.row.since.cmp(&a.row.since)),
            },
            Column {
                title: "keys",
                width: Width::Steps(&[(0, 5), (100, 29)]),
                right: false,
                wide: false,
                cell: keys,
                order: None,
            },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.row).unwrap_or_default()
    }
}

/// Whether reasons have their place beside the rest; else that of the selected row is read below the rows.
pub fn is_roomy(look: &Look) -> bool {
    look.shared.size.0 >= 102
}

fn word(row: &Attention, look: &Look) -> Cell {
    if row.resolved.is_some() {
        return Cell::dim(if look.ascii { "- RESOLVED" } else { "✓ RESOLVED" });
    }
    let symbol = match (row.row.severity, look.ascii) {
        (3.., false) => "✗",
        (3.., true) => "x",
        (2, _) => "!",
        _ => "-",
    };
    Cell::new(format!("{symbol} {}", row.row.word), Role::of_severity(row.row.severity))
}

/// The reason needs the room more; both ends of a long name are seen.
fn object(row: &Attention, look: &Look) -> Cell {
    Cell::plain(fmt::fit_middle(&row.row.object, object_columns(look), look.ascii))
}

fn object_columns(look: &Look) -> usize {
    // As the table is: the pane's border takes two.
    OBJECT.iter().rev().find(|(from, _)| *from + 2 <= look.shared.size.0).map_or(14, |(_, n)| usize::from(*n))
}

/// Columns of the object, by those of the table.
const OBJECT: &[(u16, u16)] = &[(0, 14), (70, 17), (90, 21), (110, 26), (160, 40)];

fn why(row: &Attention, _look: &Look) -> Cell {
    Cell::plain(row.why())
}

fn age(row: &Attention, look: &Look) -> Cell {
    Cell::dim(look.age(row.row.since))
}

fn keys(row: &Attention, look: &Look) -> Cell {
    let known = row.row.next.iter().filter_map(|name| Some((name, Action::helping(name)?)));
    // The words go where they cost the reason its place; what has no key of its own is in the palette.
    let key = |(name, action): (&String, Action)| match (look.shared.keymap.shown(action), is_roomy(look)) {
        (chord, true) if chord.is_empty() => format!(":{name}"),
        (chord, true) => format!("{chord} {name}"),
        (chord, false) if chord.is_empty() => ":".to_owned(),
        (chord, false) => chord,
    };
    let gap = if is_roomy(look) { "  " } else { " " };
    Cell::new(known.map(key).collect::<Vec<_>>().join(gap), Role::Key)
}
