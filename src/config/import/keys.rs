//! Every key of the foreign files and what becomes of it. config/import.md shows the same tables; a test holds them equal.

use super::Treatment;
use super::Treatment::{Ignored, Mapped, Refused, Silent};

const CLIENT: &str = "it concerns the client that the file was written for";
const FORM: &str = "`transport`, if it is sse; everything else follows from `command` or `url`";
const ENABLING: &str = "a tenant enables what it uses: enabled = [\"...\"]";

/// The top of `mcp_servers.json`.
pub const CUSTOMERS: [(&str, Treatment); 1] = [("customers", Mapped("the tenants"))];

/// A customer.
pub const CUSTOMER: [(&str, Treatment); 4] = [
    ("description", Mapped("the label `description`")),
    ("host", Mapped("the context key `host`")),
    ("mcp_servers", Mapped("`enabled`, and a table [tenant.server.TYPE] for each")),
    ("name", Mapped("the name; the id is the name in lower case with `-`")),
];

/// A server of a customer.
pub const CUSTOMER_SERVER: [(&str, Treatment); 3] = [
    ("config", Mapped("`config`; NAME_env becomes the secret NAME, from that variable")),
    ("type", Mapped("the server's id; one of scope tenant is defined if no file does")),
    ("url", Mapped("the tenant's own url")),
];

/// A server file.
pub const SERVER: [(&str, Treatment); 7] = [
    ("capabilities", Mapped("`capabilities`")),
    ("connection", Mapped("where it runs; see below")),
    ("description", Mapped("`description`")),
    ("name", Mapped("the id, and the name")),
    ("priority", Mapped("`priority`, turned round: there the lowest comes first, here the highest")),
    ("use_cases", Mapped("`use_cases`")),
    ("version", Mapped("`version`")),
];

/// `connection` of a server file.
pub const CONNECTION: [(&str, Treatment); 7] = [
    ("api_key", Mapped("the header X-API-Key, as a secret")),
    ("args", Mapped("the arguments of `command`")),
    ("command", Mapped("the program, for `type: stdio`")),
    ("coordinator", Ignored("mcpdeck itself is what coordinates")),
    ("env", Mapped("the environment of `command`")),
    ("type", Mapped("http, streamable-http, sse or stdio; ws is refused: use http")),
    ("url", Mapped("`url`")),
];

/// The top of a desktop client's file.
pub const DESKTOP: [(&str, Treatment); 3] = [
    ("inputs", Refused("nobody is asked here: give each value as ${NAME}")),
    ("mcpServers", Mapped("the servers")),
    ("servers", Mapped("the servers, as some editors call them")),
];

/// A server of a desktop client.
pub const DESKTOP_SERVER: [(&str, Treatment); 18] = [
    ("alwaysAllow", Ignored(CLIENT)),
    ("args", Mapped("the arguments of `command`")),
    ("autoApprove", Ignored(CLIENT)),
    ("command", Mapped("`run`: a process on this machine")),
    ("cwd", Mapped("its folder")),
    ("description", Mapped("`description`")),
    ("disabled", Ignored(ENABLING)),
    ("disabledTools", Ignored(CLIENT)),
    ("enabled", Ignored(ENABLING)),
    ("env", Mapped("its environment; what looks like a secret becomes a reference")),
    ("envFile", Refused("give each variable in `env`, as ${NAME}")),
    ("headers", Mapped("`headers`; credentials become references")),
    ("httpUrl", Mapped("`url`")),
    ("serverUrl", Mapped("`url`")),
    ("timeout", Ignored("its unit differs from client to client: set `timeout` yourself")),
    ("transport", Mapped(FORM)),
    ("type", Mapped(FORM)),
    ("url", Mapped("`url`; ws:// is refused: use http")),
];

/// Variables of an on-demand router.
pub const ON_DEMAND: [(&str, Treatment); 11] = [
    ("AUTO_SHUTDOWN_TIMEOUT", Mapped("[defaults] idle_stop, in seconds; 0: never")),
    ("HEALTH_CHECK_INTERVAL", Mapped("[defaults] health.every, in seconds; 0: never")),
    ("MAX_CPU_PER_CONTAINER", Mapped("[defaults] limits.cpus; 0: none")),
    ("MAX_MEMORY_PER_CONTAINER", Mapped("[defaults] limits.memory; K, M and G are powers of 1024; 0: none")),
    ("PROD_DATA", Mapped("[paths] state")),
    ("PROD_LOGS", Mapped("[paths] logs")),
    ("PROD_ROOT", Silent("it is used in the others")),
    ("PROD_VOLUMES", Mapped("[paths] data: the folders of the servers")),
    ("STDIO_BUFFER_SIZE", Ignored("messages are held once, up to max_message")),
    ("STDIO_ENABLED", Silent("servers on stdin and stdout are always spoken to")),
    ("STDIO_TIMEOUT", Mapped("[defaults] timeout, in seconds")),
];

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../config/import.md");

    #[test]
    fn the_document_shows_these_tables() {
        let tables: [&[(&str, Treatment)]; 8] =
            [&CUSTOMERS, &CUSTOMER, &CUSTOMER_SERVER, &SERVER, &CONNECTION, &DESKTOP, &DESKTOP_SERVER, &ON_DEMAND];
        let row = |(key, treatment): &(&str, Treatment)| match treatment {
            Mapped(into) => format!("| `{key}` | {into} |\n"),
            Silent(why) => format!("| `{key}` | nothing to do: {why} |\n"),
            Ignored(why) => format!("| `{key}` | **ignored**: {why} |\n"),
            Refused(help) => format!("| `{key}` | **refused**: {help} |\n"),
        };
        let missing = |table: &&[(&str, Treatment)]| {
            assert!(table.is_sorted_by_key(|(key, _)| *key));
            let table: String = table.iter().map(row).collect();
            (!DOCUMENT.contains(&format!("| --- | --- |\n{table}\n"))).then_some(table)
        };
        let missing: Vec<String> = tables.iter().filter_map(missing).collect();
        assert!(missing.is_empty(), "config/import.md should have:\n{}", missing.join("\n"));
    }
}
