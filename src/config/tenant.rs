//! `[[tenant]]` and `[tenant.server.NAME]`: one definition, checked for itself.

use super::api::call_limits;
use super::draft::{self, Draft};
use super::platform::ENVIRONMENTS;
use super::reader::{Field, Reader};
use super::tree::Value;
use super::{guard, inject};
use crate::model::guard::Guard;
use crate::model::limits::CallLimits;
use crate::model::server::Environment;
use crate::model::tenant::{AuditPolicy, ServerOverride, TenantDef};
use crate::model::{ServerId, TenantId};
use std::collections::BTreeMap;

/// Every `[[tenant]]` that can be used so far. One that names no environment is as strict as its platform.
pub(super) fn tenants<'t>(root: &mut Reader<'t>, platform: Environment) -> Vec<Draft<'t, TenantDef>> {
    draft::tables(root, "tenant").into_iter().filter_map(|field| tenant(field, platform)).collect()
}

fn tenant(field: Field<'_>, platform: Environment) -> Option<Draft<'_, TenantDef>> {
    let mut from = field.table()?;
    let identity = draft::identity(&mut from);
    let def = TenantDef {
        id: TenantId::from(""),
        name: String::new(),
        aliases: from.or("aliases", Vec::new(), Field::texts),
        environment: from.or("environment", platform, |f| f.choice(&ENVIRONMENTS)),
        read_only: from.flag("read_only", false),
        guard: from.or("guard", Guard::default(), guard::guard),
        context: from.or("context", BTreeMap::new(), |f| f.map(|_, value| value.env_text())),
        labels: from.or("labels", BTreeMap::new(), |f| f.map(|_, label| label.full_text().map(str::to_owned))),
        secrets: from.or("secrets", BTreeMap::new(), |f| f.map(|_, secret| secret.secret())),
        enabled: from.or("enabled", BTreeMap::new(), enabled),
        servers: from.or("server", BTreeMap::new(), overrides),
        audit: from.or("audit", AuditPolicy::Drop, |f| {
            f.choice(&[("block", AuditPolicy::Block), ("drop", AuditPolicy::Drop)])
        }),
        call_limits: from.opt("call_limits", |f| call_limits(f, &CallLimits::default())),
    };
    from.finish();
    let (id, name) = identity?;
    Some(Draft { def: TenantDef { id: id.into(), name, ..def }, from: field })
}

/// `["etim", "law"]`, or `{ etim = true, law = false }`.
fn enabled(field: &Field<'_>) -> Option<BTreeMap<ServerId, bool>> {
    match field.node.value {
        Value::List(_) => {
            let names = field.list(|item| item.full_text().map(|name| (ServerId::from(name), true)))?;
            Some(names.into_iter().collect())
        }
        Value::Table(_) => {
            let flags: Vec<(String, bool)> = field.map(|_, flag| flag.flag())?;
            Some(flags.into_iter().map(|(name, on)| (ServerId::from(name), on)).collect())
        }
        _ => {
            field.wrong("a list [\"etim\"], or a table { etim = true, law = false }");
            None
        }
    }
}

fn overrides(field: &Field<'_>) -> Option<BTreeMap<ServerId, ServerOverride>> {
    let read: Vec<(String, ServerOverride)> = field.map(|_, server| server_override(server))?;
    Some(read.into_iter().map(|(name, change)| (ServerId::from(name), change)).collect())
}

fn server_override(field: &Field<'_>) -> Option<ServerOverride> {
    let mut from = field.table()?;
    let out = ServerOverride {
        url: from.opt("url", Field::url_text),
        config: from.or("config", BTreeMap::new(), |f| f.map(|_, value| value.env_text())),
        secrets: from.or("secrets", BTreeMap::new(), |f| f.map(|_, secret| secret.secret())),
        env: from.or("env", BTreeMap::new(), inject::env),
        headers: from.or("headers", BTreeMap::new(), inject::headers),
    };
    from.finish();
    Some(out)
}
