//! What a request must be before anybody asks who makes it: sent to us, by no page that may not, with a body as it is.
//! A web page that may call is told so in the headers that its browser asks for (Fetch, "CORS protocol").

use super::error::whole;
use super::{Body, Error, Gateway};
use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_ENCODING, HOST, HeaderValue, ORIGIN, VARY,
};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use std::net::IpAddr;

/// What a page may read of an answer's head, and what it may send by which methods.
const EXPOSED: &str = "Mcp-Session-Id, X-Mcpdeck-Route, X-Mcpdeck-Wake-Ms, Retry-After, WWW-Authenticate";
const METHODS: &str = "GET, POST, DELETE";
/// Seconds for which a browser need not ask again.
const AGE: &str = "600";

/// Refuses what a web page of somebody else sends through an operator's browser: a foreign `Origin`, or a name that only
/// rebinding makes lead here; and a body that would have to be unpacked first.
pub fn check<B>(gateway: &Gateway, request: &Request<B>) -> Result<(), Error> {
    let config = gateway.inside.config.peek();
    let (api, headers) = (&config.api, request.headers());
    for origin in headers.get_all(ORIGIN).iter().map(text) {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if !is_here(host) && !is_listed(&api.origins, origin) {
            return Err(Error::Forbidden(format!("the origin {origin} may not call: see [api] origins")));
        }
    }
    let mut hosts = headers.get_all(HOST).iter().map(text);
    let (host, another) = (hosts.next(), hosts.next());
    // Only a browser can be bent, and it always names the host.
    let nameless = host.is_none() && request.version() != Version::HTTP_10;
    if nameless || another.is_some() {
        return Err(Error::BadRequest("a request names its host once, in `Host`".to_owned()));
    }
    // A target in absolute form says once more where it leads (RFC 9112, 3.2.2).
    let target = request.uri().authority().map(Authority::as_str);
    for host in [host, target].into_iter().flatten() {
        let name = name_of(host).unwrap_or_default();
        if !is_here(host) && name.parse::<IpAddr>().is_err() && !is_listed(&api.hosts, name) {
            return Err(Error::Forbidden(format!("the host `{host}` is not served here: see [api] hosts")));
        }
    }
    match headers.get(CONTENT_ENCODING).map(text) {
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => Err(Error::Encoded(coding.to_owned())),
        _ => Ok(()),
    }
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("\u{fffd}")
}

fn is_listed(list: &[String], name: &str) -> bool {
    list.iter().any(|good| good.eq_ignore_ascii_case(name))
}

/// `host`, `host:port` or `[address]:port` without the port; `None` if it is none of them.
fn name_of(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.find(':').map_or((host, ""), |at| host.split_at(at)),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    port.bytes().all(|digit| digit.is_ascii_digit()).then_some(name)
}

/// True if it names this machine from within.
fn is_here(host: &str) -> bool {
    let Some(name) = name_of(host) else { return false };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The origin of a page that `[api] origins` lists.
pub fn page(gateway: &Gateway, headers: &HeaderMap) -> Option<HeaderValue> {
    let config = gateway.inside.config.peek();
    let listed = Some(&config.api.origins).filter(|listed| !listed.is_empty())?;
    let origin = headers.get(ORIGIN)?;
    is_listed(listed, origin.to_str().ok()?).then(|| origin.clone())
}

/// The answer to a browser that asks whether its page may send a request; `None`: this is no such question.
pub fn preflight<B>(request: &Request<B>) -> Option<Response<Body>> {
    let headers = request.headers();
    if request.method() != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let told = response.headers_mut();
    told.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    told.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(AGE));
    if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        told.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    Some(response)
}

/// The same response, which the page at `origin` may read.
pub fn readable(mut response: Response<Body>, origin: HeaderValue) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(VARY, HeaderValue::from_name(ORIGIN));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for (host, name, here) in [
            ("localhost", Some("localhost"), true),
            ("LOCALHOST:8080", Some("LOCALHOST"), true),
            ("127.0.0.1:8080", Some("127.0.0.1"), true),
            ("[::1]:8080", Some("::1"), true),
            ("[::1]", Some("::1"), true),
            ("deck.example.com", Some("deck.example.com"), false),
            ("", Some(""), false),
            ("::1", None, false),
            ("localhost:evil.example", None, false),
            ("localhost@evil.example", Some("localhost@evil.example"), false),
            ("[::1", None, false),
        ] {
            assert_eq!((name_of(host), is_here(host)), (name, here), "{host}");
        }
    }
}
