//! `[api]`: the HTTP gateway.

mod jwt;
mod limits;

pub use jwt::{JwtConfig, JwtKey};
pub(super) use limits::call_limits;

use super::reader::{Field, Reader};
use crate::model::limits::CallLimits;
use crate::model::principal::{Principal, Role};
use crate::model::snapshot::Gateway;
use crate::model::{ServerId, TenantDef, TenantId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The gateway as configured. It listens nowhere unless told to.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiConfig {
    pub listen: Vec<SocketAddr>,
    /// Who a caller without a credential is; `None`: nobody. Loopback addresses alone.
    pub anonymous: Option<Principal>,
    /// Whether API keys are taken; `None`: they are, but nobody said so.
    pub keys: Option<bool>,
    /// `None`: no token is taken.
    pub jwt: Option<JwtConfig>,
    /// What each tenant may do that has no limits of its own.
    pub call_limits: CallLimits,
    /// Web pages that may call, as their `Origin`: `https://deck.example.com`. Those of this machine always may.
    pub origins: Vec<String>,
    /// Names, besides this machine's own and addresses, that a request may be sent to.
    pub hosts: Vec<String>,
    /// The server that `/skills` and `/conversations` are passed to.
    pub memory: Option<ServerId>,
    /// Anybody may read `/metrics`, not operators alone.
    pub open_metrics: bool,
    /// Largest body of a request, in bytes.
    pub max_body: u64,
    /// Open connections; more wait to be accepted.
    pub max_connections: u32,
    /// A request's head and body must have come within this.
    pub read_timeout: Duration,
    /// Sessions of legacy MCP clients; one tenant may have half of them.
    pub max_sessions: usize,
    /// A session that nobody uses for so long ends.
    pub session_idle: Duration,
    /// How long new requests are answered with 503, at least, before connections are refused: time for whoever spreads
    /// the load to notice.
    pub notice: Duration,
    /// Where containers of stacks reach the router, on the address of their network.
    pub stack_port: u16,
    /// How long calls under way may take to end when the platform does.
    pub drain: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            anonymous: None,
            keys: None,
            jwt: None,
            call_limits: CallLimits::default(),
            origins: Vec::new(),
            hosts: Vec::new(),
            memory: None,
            open_metrics: false,
            max_body: 8 << 20,
            max_connections: 20_000,
            read_timeout: Duration::from_secs(30),
            max_sessions: 20_000,
            session_idle: Duration::from_secs(30 * 60),
            notice: Duration::ZERO,
            stack_port: 7780,
            drain: Duration::from_secs(10),
        }
    }
}

impl ApiConfig {
    /// Who everybody on this machine is without a credential, in words; `None` if nobody is anybody.
    pub fn open_to(&self) -> Option<String> {
        let who = self.anonymous.as_ref().filter(|_| !self.listen.is_empty())?;
        let of = who.tenant.as_ref().map_or_else(String::new, |tenant| format!(" of {tenant}"));
        Some(format!(
            "whoever is on this machine calls as {}{of} without a credential ([api] anonymous)",
            who.role.name()
        ))
    }
}

impl ApiConfig {
    /// The way in for somebody on this machine; a port of the kernel's choice is none that could be written down.
    pub fn gateway(&self) -> Option<Gateway> {
        let known = self.listen.iter().filter(|address| address.port() != 0);
        let near = known.clone().find(|address| address.ip().is_loopback()).or(known.clone().next())?;
        let host = match near.ip() {
            any if any.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let open = self.anonymous.as_ref().is_some_and(|who| who.role >= Role::Operator);
        Some(Gateway { url: format!("http://{}", SocketAddr::new(host, near.port())), open })
    }
}

/// `[api]`; `tenants` are those that a caller can be, `servers` those that there are.
pub(super) fn api<'t>(
    from: Option<&Field<'_>>,
    tenants: impl Iterator<Item = &'t TenantDef> + Clone,
    servers: impl Iterator<Item = &'t ServerId> + Clone,
) -> ApiConfig {
    let mut out = ApiConfig::default();
    let Some(mut from) = from.and_then(Field::table) else { return out };
    out.listen = from.or("listen", Vec::new(), |f| f.list(address));
    out.anonymous = from.opt("anonymous", |f| anonymous(f, tenants));
    out.keys = from.opt("keys", Field::flag);
    out.jwt = from.opt("jwt", jwt::jwt);
    check_listen(&mut from, &out);
    out.call_limits = from.or("call_limits", CallLimits::default(), |f| call_limits(f, &CallLimits::default()));
    out.origins = from.or("origins", Vec::new(), Field::texts);
    out.hosts = from.or("hosts", Vec::new(), Field::texts);
    out.memory = from.opt("memory", |f| server(f, servers));
    out.open_metrics = from.or("metrics", false, |f| f.choice(&[("operator", false), ("open", true)]));
    out.max_body = from.or("max_body", out.max_body, |f| f.size(1 << 10..=1 << 30));
    out.max_connections = from.or("max_connections", out.max_connections, |f| f.count(1..=1_000_000));
    let seconds = |from, to| Duration::from_secs(from)..=Duration::from_secs(to);
    out.read_timeout = from.or("read_timeout", out.read_timeout, |f| f.duration(seconds(1, 600)));
    out.max_sessions = from.or("max_sessions", out.max_sessions, |f| f.count(1..=1_000_000).map(|n| n as usize));
    out.session_idle = from.or("session_idle", out.session_idle, |f| f.duration(seconds(1, 7 * 24 * 3600)));
    out.notice = from.or("notice", out.notice, |f| f.duration(seconds(0, 60)));
    out.stack_port = from.or("stack_port", out.stack_port, |f| f.integer(1..=65_535)?.try_into().ok());
    out.drain = from.or("drain", out.drain, |f| f.duration(seconds(0, 600)));
    from.finish();
    out
}

/// Others than this machine may come only where it is said how they prove who they are.
fn check_listen(from: &mut Reader<'_>, api: &ApiConfig) {
    let far = api.listen.iter().find(|address| !address.ip().is_loopback());
    let (Some(far), Some(field)) = (far, from.get("listen")) else { return };
    if api.keys != Some(true) && api.jwt.is_none() {
        field.problem(
            format!("{far} is open to other machines, and nothing says how callers prove who they are"),
            "add keys = true (then `mcpdeck keys create --tenant T`) or jwt = { ... }, or listen on 127.0.0.1",
        );
    }
}

fn server<'t>(field: &Field<'_>, mut servers: impl Iterator<Item = &'t ServerId>) -> Option<ServerId> {
    let name = field.text()?;
    let found = servers.find(|id| id.as_str() == name).cloned();
    if found.is_none() {
        field.wrong("the id of a server");
    }
    found
}

fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let address = field.text()?.parse().ok();
    if address.is_none() {
        field.wrong("an address and a port such as \"127.0.0.1:8080\" or \"[::1]:8080\"");
    }
    address
}

fn anonymous<'t>(field: &Field<'_>, mut tenants: impl Iterator<Item = &'t TenantDef>) -> Option<Principal> {
    let mut from: Reader<'_> = field.table()?;
    let role = from.or("role", Role::Tenant, |f| f.choice(&Role::ALL.map(|role| (role.name(), role))));
    let tenant = from.opt("tenant", |f| {
        let name = f.text()?;
        let found: Option<TenantId> = tenants.find(|t| t.answers_to(name)).map(|t| t.id.clone());
        if found.is_none() {
            f.wrong("the id or name of a tenant");
        }
        found
    });
    if role == Role::Tenant && tenant.is_none() {
        field.problem("an anonymous caller is of no tenant", "give tenant = \"...\", or role = \"operator\"");
    }
    from.finish();
    Some(Principal { name: "anonymous".to_owned(), role, tenant })
}
