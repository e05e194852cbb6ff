//! The routes and their description: a route is served because it is described here.

use super::caller::Via;
use super::{
    Answer, act, customers, events, json_text, login, logs, mcp_services, memory, metrics, records, servers, status,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const ABOUT: &str = "Operations of an mcpdeck platform. MCP itself is served at `/mcp` and `/mcp/{server}`. \
    A request is made as the customer of its credential; an operator names one by `X-Customer-ID`, or looks at everything. \
    What belongs to another customer looks unknown.";

/// Why a request was not answered as it wished.
#[derive(Serialize, ToSchema)]
pub struct Problem {
    pub error: String,
}

/// Every route with its description.
pub fn routes() -> OpenApiRouter {
    let credentials = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    let any = ["bearer", "key"].map(|name| SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
    let document = OpenApiBuilder::new()
        .info(InfoBuilder::new().title("mcpdeck").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)))
        .components(Some(credentials.build()))
        .security(Some(any))
        .build();
    OpenApiRouter::with_openapi(document)
        .routes(routes!(openapi))
        .routes(routes!(login::login))
        .routes(routes!(status::health))
        .routes(routes!(status::ready))
        .routes(routes!(status::status))
        .routes(routes!(metrics::metrics))
        .routes(routes!(servers::list))
        .routes(routes!(servers::info))
        .routes(routes!(logs::logs))
        .routes(routes!(act::act))
        .routes(routes!(mcp_services::available))
        .routes(routes!(mcp_services::enabled))
        .routes(routes!(mcp_services::enable))
        .routes(routes!(mcp_services::disable))
        .routes(routes!(mcp_services::info))
        .routes(routes!(mcp_services::health))
        .routes(routes!(mcp_services::query))
        .routes(routes!(customers::list))
        .routes(routes!(customers::detail))
        .routes(routes!(customers::switch))
        .routes(routes!(memory::skills, memory::add_skill))
        .routes(routes!(memory::conversations, memory::add_message))
        .routes(routes!(memory::commits))
        .routes(routes!(records::calls))
        .routes(routes!(records::journal))
        .routes(routes!(records::usage))
        .routes(routes!(events::events))
}

/// This description, as OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "platform", security(()), responses((status = 200, content_type = "application/json")))]
pub async fn openapi(Via { gateway, .. }: Via) -> Answer {
    json_text(gateway.rest().document.clone()).map(axum::body::Body::new)
}
