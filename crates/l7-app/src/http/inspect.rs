//! Endpoints that tell a client what it sent: `/get`, `/post`, `/anything`, `/headers`, `/ip`, `/delay/S`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::time::sleep;

use crate::http::options::HttpOptions;
use crate::http::payload::{Fields, Payload, fields};
use crate::http::peer::Peer;
use crate::http::plain::{json, plain};

/// The longest wait of `/delay/S`, in seconds.
const MAX_DELAY_SECONDS: f64 = 10.0;

/// A request without its body, under httpbin's names.
#[derive(Debug, Serialize)]
pub(crate) struct RequestHead {
    args: Fields,
    headers: BTreeMap<String, String>,
    origin: String,
    url: String,
}

impl RequestHead {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self {
            args: fields(
                form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned(),
            ),
            headers: header_map(&parts.headers),
            origin: Peer::origin(&parts.extensions),
            url: url(parts),
        }
    }
}

/// A request with its body.
#[derive(Debug, Serialize)]
struct WholeRequest {
    #[serde(flatten)]
    head: RequestHead,
    #[serde(flatten)]
    payload: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
}

/// The headers in the spelling of `Content-Type`, the values of repeated ones joined by commas
/// (RFC 9110, section 5.3).
fn header_map(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .keys()
        .map(|name| {
            let values: Vec<_> =
                headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (title_case(name.as_str()), values.join(","))
        })
        .collect()
}

fn title_case(name: &str) -> String {
    let mut is_first = true;
    let spell = |letter: char| {
        let spelled = if is_first { letter.to_ascii_uppercase() } else { letter };
        is_first = letter == '-';
        spelled
    };
    name.chars().map(spell).collect()
}

/// The address that the client asked for (RFC 9112, section 3.3).
fn url(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = parts.uri.authority().map(Authority::as_str).or(host).unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    format!("http://{host}{path}")
}

/// `/get`.
pub(crate) async fn get(request: Request) -> Response {
    json(&RequestHead::of(&request.into_parts().0))
}

/// `/headers`.
pub(crate) async fn headers(headers: HeaderMap) -> Response {
    json(&BTreeMap::from([("headers", header_map(&headers))]))
}

/// `/ip`.
pub(crate) async fn ip(request: Request) -> Response {
    json(&BTreeMap::from([("origin", Peer::origin(request.extensions()))]))
}

/// `/post`, `/put`, `/patch`, `/delete`.
pub(crate) async fn with_body(State(options): State<HttpOptions>, request: Request) -> Response {
    whole_request(&options, request, false).await
}

/// `/anything` and all below it.
pub(crate) async fn anything(State(options): State<HttpOptions>, request: Request) -> Response {
    whole_request(&options, request, true).await
}

/// `/delay/S`: the answer of `/post`, after S seconds.
pub(crate) async fn delay(
    State(options): State<HttpOptions>,
    Path(seconds): Path<String>,
    request: Request,
) -> Response {
    let Some(wait) = parse_delay(&seconds) else {
        return plain(
            StatusCode::BAD_REQUEST,
            format_args!("S is a number of seconds from 0 to 10, not {seconds}"),
        );
    };
    sleep(wait).await;
    whole_request(&options, request, false).await
}

/// Seconds, fractions included; more than the limit are the limit.
fn parse_delay(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds.min(MAX_DELAY_SECONDS)).ok()
}

async fn whole_request(options: &HttpOptions, request: Request, shows_method: bool) -> Response {
    let (parts, body) = request.into_parts();
    match Payload::read(&parts.headers, body, options.max_echo_len).await {
        Ok(payload) => json(&WholeRequest {
            head: RequestHead::of(&parts),
            payload,
            method: shows_method.then(|| parts.method.to_string()),
        }),
        Err(error) => plain(error.status(), error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_delay, title_case};

    #[test]
    fn header_names_are_spelled_as_people_write_them() {
        for (name, spelled) in
            [("content-type", "Content-Type"), ("x--y", "X--Y"), ("etag", "Etag"), ("", "")]
        {
            assert_eq!(title_case(name), spelled);
        }
    }

    #[test]
    fn delays_are_capped_and_nonsense_is_refused() {
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("0.25", Some(Duration::from_millis(250))),
            ("1000000", Some(Duration::from_secs(10))),
            ("-1", None),
            ("nan", Some(Duration::from_secs(10))),
            ("soon", None),
        ] {
            assert_eq!(parse_delay(text), expected, "{text}");
        }
    }
}
