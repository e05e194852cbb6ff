//! Calls of a liar: every place of a request that a caller can write, with somebody else in it.

use super::line::{JSON, post};
use fastrand::Rng;

/// What clients send, what only servers send, and what nobody does.
const METHODS: &str = "tools/list|tools/call|resources/read|resources/list|prompts/get|completion/complete|\
    notifications/cancelled|notifications/tools/list_changed|server/discover|logging/setLevel|resources/subscribe|\
    sampling/createMessage|ping|no/such";

/// A place to lie in.
const LIES: [fn(&mut Rng, &Known, &mut Forged); 17] = [
    header,
    credential,
    path,
    meta,
    argument,
    member,
    session,
    own_session,
    id,
    cursor,
    token,
    batch,
    method,
    state,
    era,
    address,
    route,
];

/// What the liar knows of the victim, and what it has itself.
pub struct Known {
    pub key: String,
    pub session: String,
    pub victims_session: String,
    /// The id of the victim's key, which lists show.
    pub victims_key: String,
}

/// One request in the making.
struct Forged {
    path: String,
    headers: String,
    id: String,
    method: String,
    name: String,
    /// Members of each object, as JSON text; a name may come twice.
    params: Vec<String>,
    arguments: Vec<String>,
    meta: Vec<String>,
    /// Instead of all that.
    body: Option<String>,
}

/// A request with up to three lies. `nonce` is its id and its text, unless it lies about them.
pub fn forge(rng: &mut Rng, known: &Known, nonce: u64) -> String {
    let mut forged = Forged {
        path: pick(rng, "/mcp/etim|/mcp/own|/mcp"),
        headers: format!("{JSON}X-API-Key: {}\r\n", known.key),
        id: nonce.to_string(),
        method: "tools/call".to_owned(),
        name: "echo".to_owned(),
        params: Vec::new(),
        arguments: vec![format!(r#""text":"n{nonce}""#)],
        meta: Vec::new(),
        body: None,
    };
    if forged.path == "/mcp" {
        forged.name = pick(rng, "etim_echo|own_echo|etim_echo|own_echo|vault_open|victim_echo");
    }
    for _ in 0..rng.usize(1..4) {
        LIES[rng.usize(..LIES.len())](rng, known, &mut forged);
    }
    forged.wire()
}

impl Forged {
    fn wire(&self) -> String {
        let object = |members: &[String]| format!("{{{}}}", members.join(","));
        let body = self.body.clone().unwrap_or_else(|| {
            let (arguments, meta) = (object(&self.arguments), object(&self.meta));
            let mut params = vec![format!(r#""name":"{}","arguments":{arguments},"_meta":{meta}"#, self.name)];
            params.extend(self.params.iter().cloned());
            format!(r#"{{"jsonrpc":"2.0","id":{},"method":"{}","params":{}}}"#, self.id, self.method, object(&params))
        });
        post(&self.path, &self.headers, &body)
    }
}

/// One of those between bars.
fn pick(rng: &mut Rng, from: &str) -> String {
    let all: Vec<_> = from.split('|').collect();
    all[rng.usize(..all.len())].to_owned()
}

/// `name` as JSON, some of its letters as escapes, or in the other case.
fn spelled(rng: &mut Rng, name: &str) -> String {
    let spell = |c: char| match rng.u8(..4) {
        0 => format!("\\u{:04x}", c as u32),
        1 => c.to_ascii_uppercase().to_string(),
        _ => c.to_string(),
    };
    format!("\"{}\"", name.chars().map(spell).collect::<String>())
}

/// The victim, as JSON.
fn victim(rng: &mut Rng) -> String {
    pick(rng, r#""victim"|{"id":"victim"}|["victim"]|"\u0076ictim"|"VICTIM""#)
}

fn header(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let name = pick(
        rng,
        "X-Customer-ID|x-customer-id|X-Tenant-ID|X-Forwarded-User|Forwarded|X-Original-URL|X-Rewrite-URL|\
         Mcp-Param-Customer|Mcp-Param-customer_id|From|Cookie",
    );
    let value = pick(rng, "victim|VICTIM|liar, victim|for=victim|/mcp/vault|=?base64?dmljdGlt?=");
    forged.headers.push_str(&format!("{name}: {value}\r\n"));
}

/// A second one, of which half is right.
fn credential(rng: &mut Rng, known: &Known, forged: &mut Forged) {
    let header = pick(rng, "X-API-Key: |Authorization: Bearer |authorization: bearer ");
    forged.headers.push_str(&format!("{header}{}_{}\r\n", known.victims_key, "0".repeat(64)));
}

fn path(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    forged.path = pick(
        rng,
        "/mcp/vault|/mcp/%76ault|/mcp//vault|/mcp/etim/../vault|/mcp/vault@victim|/mcp/etim@victim|/mcp/own@victim|\
         /mcp/own%40victim|/mcp/etim?tenant=victim&customer_id=victim|/mcp/Vault|/mcp/vault/|/mcp/etim%00|\
         http://victim/mcp/vault|/mcp/victim/own|/mcp?server=vault",
    );
}

fn meta(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let (key, victim) = (spelled(rng, "io.mcpdeck/tenant"), victim(rng));
    forged.meta.push(format!("{key}:{victim}"));
}

fn argument(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let (key, victim) = (spelled(rng, "customer_id"), victim(rng));
    forged.arguments.push(format!("{key}:{victim}"));
}

/// A member of `params` once more.
fn member(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let name = pick(rng, "arguments|_meta|name");
    let (name, inside, victim) = (spelled(rng, &name), spelled(rng, "customer_id"), victim(rng));
    forged.params.push(format!(r#"{name}:{{{inside}:{victim},"io.mcpdeck/tenant":{victim}}}"#));
}

fn session(rng: &mut Rng, known: &Known, forged: &mut Forged) {
    let number = |session: &str| session.split('-').next().unwrap_or_default().to_owned();
    let (ours, theirs) = (number(&known.session), number(&known.victims_session));
    let session = match rng.u8(..4) {
        0 => format!("{theirs}-{}", "0".repeat(48)),
        1 => known.session.replacen(&ours, &theirs, 1),
        2 => String::new(),
        _ => known.victims_session.clone(),
    };
    forged.headers.push_str(&format!("Mcp-Session-Id: {session}\r\n"));
}

/// No lie, but the others are told in it.
fn own_session(_: &mut Rng, known: &Known, forged: &mut Forged) {
    forged.headers.push_str(&format!("Mcp-Session-Id: {}\r\n", known.session));
}

/// One that the victim uses, too, or none at all.
fn id(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    forged.id =
        pick(rng, r#"1|-1|"1"|"victim"|null|{"tenant":"victim"}|[1]|1e3|0.5|99999999999999999999|true|"\u0000""#);
}

fn cursor(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let victim = victim(rng);
    forged.params.push(format!(r#""cursor":{victim}"#));
}

fn token(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let token = pick(rng, r#"1|"victim"|"1"|0"#);
    forged.meta.push(format!(r#""progressToken":{token}"#));
}

fn batch(_: &mut Rng, _: &Known, forged: &mut Forged) {
    let meta = r#"{"io.mcpdeck/tenant":"victim"}"#;
    let one = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","_meta":{meta}}}}}"#);
    forged.body = Some(format!("[{one},{one}]"));
}

/// With what other methods read.
fn method(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    forged.method = pick(rng, METHODS);
    forged.params.push(r#""requestId":1,"uri":"file:///victim","level":"debug""#.to_owned());
}

fn state(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let victim = victim(rng);
    forged.params.push(format!(r#""requestState":"victim","inputResponses":{{"x":{victim}}}"#));
}

/// A resource of somebody else's, by whatever address, wherever one may stand.
fn address(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    forged.method = pick(rng, "resources/read|resources/subscribe|completion/complete|subscriptions/listen");
    let uri = pick(
        rng,
        "mcpdeck:vault/file:///a|mcpdeck:own@victim/file:///a|mcpdeck:/vault/a|MCPDECK:vault/a|mcpdeck:victim/own/a|\
         mcpdeck:etim/mcpdeck:vault/a|file:///victim",
    );
    forged.params.push(format!(
        r#""uri":"{uri}","ref":{{"type":"ref/resource","uri":"{uri}"}},"notifications":{{"resourceSubscriptions":["{uri}"]}}"#
    ));
}

/// A wish to be led to somebody else.
fn route(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    (forged.path, forged.name) = ("/mcp".to_owned(), pick(rng, "echo|open"));
    let wish = pick(
        rng,
        r#"{"target":"vault"}|{"target":"own@victim"}|{"targets":["own@victim","victim"]}|{"query":"victim","context":"vault"}|{"target":"own","tenant":"victim"}"#,
    );
    forged.meta.push(format!(r#""io.mcpdeck/route":{wish}"#));
}

/// The era that says everything twice, one of the two perhaps another's.
fn era(rng: &mut Rng, _: &Known, forged: &mut Forged) {
    let method = if rng.bool() { forged.method.clone() } else { "tools/list".to_owned() };
    let name = if rng.bool() { forged.name.clone() } else { pick(rng, "open|vault_open|=?base64?b3Blbg==?=") };
    let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
    forged.headers.push_str(&headers);
    let said = [
        r#""protocolVersion":"2026-07-28""#,
        r#""clientCapabilities":{}"#,
        r#""clientInfo":{"name":"victim","version":"1"}"#,
    ];
    let keys = said.map(|member| format!(r#""io.modelcontextprotocol/{}"#, &member[1..]));
    forged.meta.push(keys.join(","));
}
